"""Detection of a model file's format from its content."""

from __future__ import annotations

import zipfile
from pathlib import Path

from assay.base.errors import LoadError, UnsafeFileError
from assay.base.reading import check_plain
from assay.catalogue.weights import Format
from assay.targets.loading.foreign import HEAD, foreign, foreign_pickle

ENDINGS: dict[Format, str] = {
    "safetensors": ".safetensors",
    "torch": ".pt",
    "onnx": ".onnx",
    "tflite": ".tflite",
    "keras": ".keras",
}
"""A usual ending of each format's files."""
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The magic number that PyTorch pickles first into checkpoints that are not zip archives."""
_TEXT = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights: fetch the real file with `git lfs pull`",
    b"<!doctype html": "a web page, not the weights: the address that it came from needs a log-in or is gone",
    b"<html": "a web page, not the weights: the address that it came from needs a log-in or is gone",
}


def sniff(path: Path) -> Format:
    """The format of a model file.

    Raises:
        LoadError: if the file is missing, empty, damaged or of no known format.
        UnsafeFileError: if it is of a kind that holds code (TorchScript).
    """
    try:
        size = check_plain(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error
    if not size:
        raise LoadError(f"{path.name} is empty.")
    for start, meaning in _TEXT.items():
        if head.lower().startswith(start):
            raise LoadError(f"{path.name} is {meaning}.")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith(b"PK\x03\x04"):
        return _inside_zip(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return "safetensors"
    if head.startswith(_LEGACY_TORCH):
        return "torch"
    if head[:1] == b"\x80":
        raise UnsafeFileError(foreign_pickle(path, head))
    if path.name == "saved_model.pb":
        raise UnsafeFileError(
            "saved_model.pb belongs to a SavedModel, whose graph can run code: where you trust it, convert its folder "
            "with `python -m tf2onnx.convert --saved-model FOLDER --output model.onnx`."
        )
    if head[:1] == b"\x08" and path.suffix.lower() == ".onnx":
        return "onnx"
    raise LoadError(
        foreign(path, head)
        or f"{path.name} is not a model file that Assay knows "
        "(safetensors, PyTorch state dictionary, ONNX, TFLite, .keras or Keras HDF5)."
    )


def check_format(path: Path, expected: Format) -> None:
    """Check that a file has the expected format.

    Raises:
        UnsafeFileError: if it is something else.
        LoadError: if it is nothing at all; see `sniff`.
    """
    found = sniff(path)
    if found != expected:
        raise UnsafeFileError(f"{path.name} is said to be a {expected} file, but it is a {found} file.")


def _inside_zip(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except Exception as error:  # a hostile or damaged archive may fail in any way
        raise LoadError(f"{path.name} is a damaged or truncated zip archive: {error}.") from error
    if "constants.pkl" in names:
        raise UnsafeFileError(
            f"{path.name} is a TorchScript archive, which holds code: where you trust it, save its weights with "
            f"`python -c \"import torch; torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pt')\"`, and "
            "name their architecture."
        )
    if "archive_format" in names:
        raise UnsafeFileError(
            f'{path.name} is a program that torch.export saved: convert it with `python -c "import torch; '
            f"torch.onnx.export(torch.export.load('{path.name}'), f='model.onnx')\"`, and name the ONNX file."
        )
    if "data.pkl" in names:
        return "torch"
    if {"model.weights.h5", "config.json"} <= names:
        return "keras"
    if inside := sorted(
        name for name in names if Path(name).suffix.lower() in {*ENDINGS.values(), ".pth", ".h5", ".bin"}
    ):
        raise LoadError(f"{path.name} is an archive: unpack it with `unzip {path.name}`, and name {inside[0]}.")
    raise LoadError(f"{path.name} is a zip archive without a model that Assay knows.")
