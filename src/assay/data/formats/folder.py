"""Folders of images, one folder per class."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from assay.base.digests import digest_json
from assay.base.errors import DataError, LoadError
from assay.base.reading import check_plain
from assay.data.formats.registry import Dataset, Reading, Size, file_format
from assay.data.images import Images
from assay.data.streamed import StreamedImages, kept_in_memory

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
PARTS = {"train": ("train",), "test": ("test", "val", "validation")}
GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
MAX_PIXELS = 64 << 20
"""A file that would unpack to more pixels (64 million) is taken for a decompression bomb."""

MOST_BYTES = 512 << 20
"""The largest file of one image."""


def _is_image_folder(path: Path) -> bool:
    inner = [child for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return bool(inner) and not any(path.glob("*/*.parquet"))


@file_format("folder", _is_image_folder, "a folder with a folder of PNG, JPEG or WebP images per class")
def load_folder(path: Path, reading: Reading) -> Dataset:
    """``train/CLASS/*.png`` and ``test/CLASS/*.png`` (or ``val``), or only ``CLASS/*.png``, which is a train part.

    Classes are numbered in the alphabetical order of their folders, and images in that of their paths, as
    torchvision's ImageFolder does. A set is grey if every image is grey; transparency is dropped. All images must be
    of one size, unless a size is given: then each is cropped about its middle to that size's aspect ratio and scaled.

    Every file is read once to hash it and to check its header. A small set is then decoded into memory; a large one
    is decoded when it is asked for, and its digest is that of the files' bytes and labels, in order (their names and
    dates do not count).

    Raises:
        LoadError: if an image cannot be decoded.
        DataError: if sizes differ, there are no images, or an image is a decompression bomb.
    """
    parts = {
        part: next((path / name for name in names if (path / name).is_dir()), None) for part, names in PARTS.items()
    }
    if not any(parts.values()):
        parts["train"] = path
    folders = [folder for folder in parts.values() if folder is not None]
    classes = sorted({child.name for child in folders[0].iterdir() if child.is_dir()})
    strangers = {child.name for child in folders[-1].iterdir() if child.is_dir()} - set(classes)
    if strangers:
        raise DataError(f"{folders[-1]} has the class {min(strangers)!r}, which {folders[0]} has not.")
    images = {
        part: None if folder is None else _part(folder, classes, f"{path.name} {part}", reading)
        for part, folder in parts.items()
    }
    return Dataset(path.name, images["train"], images["test"], tuple(classes))


def _part(folder: Path, classes: list[str], name: str, reading: Reading) -> Images:
    files, labels = [], []
    for label, class_name in enumerate(classes):
        found = sorted(file for file in (folder / class_name).rglob("*") if file.suffix.lower() in SUFFIXES)
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"{folder} holds no PNG, JPEG or WebP image.")
    digests: list[str] = []
    sizes: dict[Size, Path] = {}
    grey = True
    with reading.progress.step(f"Checking {name}", len(files)) as step:
        for file in files:
            digest, size, is_grey = _inspect(file)
            digests.append(digest)
            sizes.setdefault(size, file)
            grey = grey and is_grey
            step.advance()
    if reading.size is None and len(sizes) > 1:
        (first, file), (other, other_file) = list(sizes.items())[:2]
        raise DataError(
            f"{name}: images differ in size ({file} is {first[0]}x{first[1]}, {other_file} is {other[0]}x{other[1]}, "
            "height x width); give a size to bring them to."
        )
    size = reading.size or next(iter(sizes))
    digest = digest_json({"files": digests, "labels": labels, "size": list(size), "grey": grey})
    images = StreamedImages(
        FileReader(files, size, grey), labels, shape=(1 if grey else 3, *size), digest=digest, name=name
    )
    return kept_in_memory(images, reading.progress)


class FileReader:
    """Decodes the image of a row to uint8 (channels, height, width)."""

    def __init__(self, files: list[Path], size: Size, grey: bool) -> None:
        self.files, self.size, self.grey = files, size, grey

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """The pixels.

        Raises:
            LoadError: if the file cannot be decoded.
        """
        with opened(self.files[row], self.files[row]) as image:
            return planes(image, self.size, self.grey)


def planes(image: Image.Image, size: Size, grey: bool) -> NDArray[np.uint8]:
    """A picture as uint8 (channels, height, width): its middle, in the size's proportions, resized bilinearly."""
    height, width = size
    pixels = np.array(image.convert("L" if grey else "RGB"))
    if pixels.shape[:2] != size:
        fitted = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.BILINEAR)
        pixels = np.array(fitted)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def opened(source: Any, file: Path) -> Iterator[Image.Image]:
    """An image that is checked before it is unpacked; ``file`` names it in messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except Image.DecompressionBombError:
        raise DataError(f"{file} would unpack to more than {MAX_PIXELS >> 20} million pixels; refused.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise LoadError(f"{file} cannot be decoded as PNG, JPEG or WebP: {error}") from error


def _inspect(file: Path) -> tuple[str, Size, bool]:
    check_plain(file, MOST_BYTES)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LoadError(f"{file} cannot be read: {error.strerror}.") from error
    return inspected(content, file)


def inspected(content: bytes, file: Path) -> tuple[str, Size, bool]:
    """The digest of an encoded image, its (height, width), and whether it is grey; ``file`` names it in messages.

    Raises:
        LoadError: if it cannot be decoded.
        DataError: if it is a decompression bomb, or has other than 8-bit grey or colour pixels.
    """
    with opened(io.BytesIO(content), file) as image:
        if image.mode not in GREY + COLOUR:
            raise DataError(f"{file} has pixels of the kind {image.mode}; 8-bit grey or colour is needed.")
        return hashlib.sha256(content).hexdigest(), (image.height, image.width), image.mode in GREY
