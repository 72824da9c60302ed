"""The files of a ``save_pretrained`` folder, checked before any library reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from assay.base.digests import digest_file, digest_json
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.reading import read_text
from assay.targets.target import Modality

CONFIG, PROCESSOR, TOKENIZER = "config.json", "preprocessor_config.json", "tokenizer.json"
SETTINGS = (CONFIG, PROCESSOR, TOKENIZER, "tokenizer_config.json")
"""Files beside the weights that decide what the network computes; they are JSON."""

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")
"""Weights in forms that are not read; pickles among them can hold code."""

OTHER_TASKS = ("Detection", "Segmentation", "DepthEstimation", "CausalLM", "MaskedLM", "TokenClassification")
"""Parts of transformers' class names of models that answer with something else than one row of classes."""

KINDS: dict[str, Modality] = {"ForImageClassification": "image", "ForSequenceClassification": "text"}
"""The part of transformers' class names that tells what they classify."""


@dataclass(frozen=True)
class Folder:
    """A folder whose weights are safetensors and whose settings name no code.

    ``config`` is the content of ``config.json``; ``architecture`` the class of transformers that it names; ``weights``
    the safetensors files, sorted.
    """

    path: Path
    config: dict[str, Any]
    architecture: str
    weights: tuple[Path, ...]

    @property
    def modality(self) -> Modality:
        """``image`` or ``text``."""
        return next(modality for end, modality in KINDS.items() if end in self.architecture)

    def digest(self) -> str:
        """SHA-256 over all files that the network's outputs depend on."""
        there = [self.path / name for name in SETTINGS if (self.path / name).is_file()]
        return digest_json({file.name: digest_file(file) for file in (*there, *self.weights)})

    def setting(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; empty if it is not there."""
        return read_json(self.path / name) if (self.path / name).is_file() else {}

    def class_names(self) -> tuple[str, ...]:
        """The labels in the order of their classes; empty where they are transformers' placeholders."""
        labels = self.config.get("id2label") or {}
        try:
            ordered = tuple(str(labels[key]) for key in sorted(labels, key=int))
        except (TypeError, ValueError) as error:
            raise LoadError(f"{self.path / CONFIG} has an id2label that does not number its classes.") from error
        return () if all(name == f"LABEL_{place}" for place, name in enumerate(ordered)) else ordered


def is_folder(path: Path) -> bool:
    """Whether a path is a folder as ``save_pretrained`` writes it."""
    return (path / CONFIG).is_file()


def refuse_foreign_folder(path: Path) -> None:
    """No-op for a folder of ``save_pretrained``.

    Raises:
        UnsafeFileError: if it is a SavedModel of TensorFlow, which holds code.
        UsageError: if it is some other folder.
    """
    if (path / "saved_model.pb").is_file():
        raise UnsafeFileError(
            f"{path} is a SavedModel, whose graph can run code: where you trust it, convert it with "
            f"`python -m tf2onnx.convert --saved-model {path} --output model.onnx`, and describe that in a target file."
        )
    if not is_folder(path):
        raise UsageError(
            f"{path} is a folder without a {CONFIG}: Assay opens folders that transformers' save_pretrained wrote, and "
            "single files of weights that a target file (TOML) describes."
        )


def read_folder(path: Path) -> Folder:
    """What a folder holds.

    Raises:
        UnsafeFileError: if a setting names code, or weights are not safetensors of the folder.
        LoadError: if files are missing or damaged, or it is no classifier of images or texts.
    """
    if not is_folder(path):
        raise LoadError(f"{path} holds no model: a folder written by save_pretrained has a {CONFIG}.")
    config = read_json(path / CONFIG)
    for name in SETTINGS:
        if (path / name).is_file() and name != TOKENIZER and _names_code(read_json(path / name)):
            raise UnsafeFileError(
                f"{path / name} asks for code of its own (auto_map), which is never run: convert the model to an "
                "architecture of transformers, or export it to ONNX where you trust it."
            )
    _check_plain(path, config)
    architecture = _architecture(path, config)
    return Folder(path, config, architecture, _weights(path, architecture))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        LoadError: if it is none.
    """
    text = read_text(path, "The file", 64 << 20)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise LoadError(f"{path} is not a JSON object.")
    return found


def _names_code(setting: Any) -> bool:
    """Whether a setting names code anywhere in it, however deep."""
    left = [setting]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "auto_map" in one:
                return True
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def _check_plain(path: Path, config: dict[str, Any]) -> None:
    """Refuse what needs other files or other arithmetic than the architecture's."""
    if (path / "adapter_config.json").is_file():
        raise LoadError(
            f"{path} holds an adapter of another model: merge them (`model.merge_and_unload()` of peft) and save the "
            "whole model."
        )
    if config.get("quantization_config"):
        raise LoadError(f"{path} holds quantised weights: save the model with dequantised float32 weights.")
    if config.get("problem_type") in ("multi_label_classification", "regression"):
        what = config["problem_type"].replace("_", " ")
        raise LoadError(f"{path} is for {what}; Assay assesses classifiers with one label for each input.")


def _architecture(path: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    found = str(named[0]) if isinstance(named, list) and named else ""
    if not any(end in found for end in KINDS):
        what = f"a {found}" if found else "no architecture"
        if any(word in found for word in OTHER_TASKS):
            raise LoadError(
                f"{path / CONFIG} names {what}, and Assay assesses classifiers only: measure its backbone under a "
                "classification head (AutoModelForImageClassification), or name a function of yours that turns its "
                "answers into posteriors of classes (module:function)."
            )
        raise LoadError(
            f"{path / CONFIG} names {what}; Assay assesses classifiers of images (...ForImageClassification) and of "
            "texts (...ForSequenceClassification)."
        )
    return found


def _weights(path: Path, architecture: str) -> tuple[Path, ...]:
    index = path / "model.safetensors.index.json"
    if (path / "model.safetensors").is_file():
        names = ["model.safetensors"]
    elif index.is_file():
        mapped = read_json(index).get("weight_map")
        if not isinstance(mapped, dict) or not mapped:
            raise LoadError(f"{index} has no weight_map.")
        names = sorted({str(name) for name in mapped.values()})
    else:
        _refuse_without_safetensors(path, architecture)
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UnsafeFileError(f"{index} points to {name!r}; weights must be safetensors files of the same folder.")
        if not (path / name).is_file():
            raise LoadError(f"{index} names {name}, which is not in the folder.")
    return tuple(path / name for name in names)


def _refuse_without_safetensors(path: Path, architecture: str) -> NoReturn:
    others = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if not others:
        raise LoadError(f"{path} holds no weights: model.safetensors is missing.")
    convert = f"from transformers import {architecture} as M; M.from_pretrained('.').save_pretrained('.')"
    raise UnsafeFileError(
        f"{path} holds its weights as {others[0]}, which can run code when it is opened: where you trust it, run "
        f'`python -c "{convert}"` in that folder, which writes model.safetensors.'
    )
