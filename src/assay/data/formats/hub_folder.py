"""Data sets as the Hugging Face Hub stores them: Parquet shards with a column of images or texts, and one of labels."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.base.digests import digest_json
from assay.base.errors import DataError, LoadError, nearest
from assay.data.formats.folder import inspected, opened, planes
from assay.data.formats.parquet_file import read_parquet
from assay.data.formats.registry import Dataset, Reading, Size, file_format
from assay.data.formats.text import LABEL_NAMES, TEXT_NAMES, class_names
from assay.data.images import Images
from assay.data.streamed import StreamedImages, kept_in_memory
from assay.data.text_rows import MAX_BYTES, Texts

SPLITS = {"train": "train", "test": "test", "validation": "test", "valid": "test", "val": "test", "dev": "test"}
"""The part that a split of each name is; ``test`` is taken before ``validation`` where both are there."""

IMAGE_NAMES = ("image", "img", "picture", "pixel_values")
ROLES = {"image", "text", "label"}

_WORD = re.compile(r"[A-Za-z]+")


def shards(path: Path) -> list[Path]:
    """The Parquet files of a folder and of the folders in it, sorted, or the file itself."""
    if path.is_dir():
        return sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])
    return [path] if path.suffix.lower() == ".parquet" else []


@file_format("hub", lambda path: bool(shards(path)), "a folder of Parquet shards as the Hugging Face Hub has them")
def load_hub_folder(path: Path, reading: Reading) -> Dataset:
    """``data/train-00000-of-00001.parquet`` and ``data/test-...``; or ``train/*.parquet``, or one Parquet file.

    The split ``train`` is the training part; ``test`` is the test part, or ``validation`` (``valid``, ``val``, ``dev``)
    where there is no ``test``; other splits are left. Images are structs of encoded ``bytes``; the label is the only
    ClassLabel, or has a usual name, or is said: ``FOLDER?label=fine_label``. Names of classes come from the files'
    own features, ``dataset_info.json`` or the head of ``README.md``.

    Raises:
        LoadError: if a file or an image is damaged.
        DataError: if no split is named so, or columns are missing or not clear.
    """
    unknown = sorted(set(reading.columns) - ROLES)
    if unknown:
        raise DataError(f"{path}: columns are given as image, text and label; there is no {unknown[0]!r}.")
    tables = {part: _table(files) for part, files in _parts(path).items()}
    schema = next(iter(tables.values())).schema
    features = _features(path, schema)
    images, column, label = _columns(path, schema, features, reading)
    texts = [str(value) for table in tables.values() for value in table.column(label).to_pylist()]
    names = _class_names(features.get(label))
    classes = names or class_names(texts)
    sets: dict[str, Images] = {}
    for part, table in tables.items():
        labels = _labels(table.column(label).to_pylist(), classes, bool(names), f"{path.name} {part}")
        values = table.column(column).to_pylist()
        if images:
            sets[part] = _images(values, labels, f"{path.name} {part}", reading)
        else:
            length = reading.size[1] if reading.size else MAX_BYTES
            sets[part] = Texts([value or "" for value in values], labels, f"{path.name} {part}", length)
    return Dataset(path.name, sets.get("train"), sets.get("test"), classes)


def _parts(path: Path) -> dict[str, list[Path]]:
    """The files of the training and the test part."""
    if path.is_file():
        beside = path.with_name(path.name.replace("_train.", "_test."))
        return {"train": [path]} | ({"test": [beside]} if beside != path and beside.is_file() else {})
    found: dict[str, list[Path]] = {}
    for file in shards(path):
        words = [*_WORD.findall(file.stem.lower()), *_WORD.findall(file.parent.name.lower())]
        split = next((word for word in words if word in SPLITS), None)
        if split is not None:
            found.setdefault(split, []).append(file)
    parts: dict[str, list[Path]] = {}
    for split, part in SPLITS.items():
        if split in found:
            parts.setdefault(part, found[split])
    if not parts:
        raise DataError(
            f"{path}: none of its Parquet files is named train, test or validation, so that members and non-members "
            "cannot be told apart: name the files so, or name each in a target file (members, non_members)."
        )
    return parts


def _table(files: Sequence[Path]) -> pa.Table:
    try:
        return pa.concat_tables([read_parquet(file) for file in files])
    except pa.ArrowException as error:
        raise LoadError(f"{files[0]} cannot be read: {str(error).splitlines()[0].rstrip('.')}.") from error


def _features(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """What is stated of the columns: the first of the files' own metadata, dataset_info.json and README.md."""
    own = (schema.metadata or {}).get(b"huggingface")
    try:
        if own is not None:
            return dict(json.loads(own).get("info", {}).get("features") or {})
        info = path / "dataset_info.json"
        if info.is_file():
            stated = json.loads(info.read_text("utf-8"))
            stated = stated if "features" in stated else next(iter(stated.values()))
            return dict(stated["features"])
        return _card(path / "README.md")
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, OSError) as error:
        raise LoadError(f"{path}: what it states of its features cannot be read: {error}.") from error


def _card(readme: Path) -> dict[str, Any]:
    """The features in the YAML head of a data set's card."""
    if not readme.is_file():
        return {}
    import yaml

    parts = readme.read_text("utf-8").split("---")
    try:
        head = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0].strip() else None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    info = (head or {}).get("dataset_info") or {}
    info = info[0] if isinstance(info, list) else info
    listed = {feature["name"]: feature.get("dtype") for feature in info.get("features", ())}
    return {
        name: kind["class_label"] for name, kind in listed.items() if isinstance(kind, dict) and kind.get("class_label")
    }


def _class_names(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(map(str, names or ()))


def _columns(path: Path, schema: pa.Schema, features: dict[str, Any], reading: Reading) -> tuple[bool, str, str]:
    """Whether there are images; the columns of inputs and of labels."""
    asked = reading.columns
    for name in asked.values():
        if name not in schema.names:
            raise DataError(f"{path} has no column {name!r}: {nearest(name, schema.names)}")
    pictures = [
        field.name for field in schema if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    lines = [name for name in schema.names if name.lower() in TEXT_NAMES]
    image = asked.get("image") or _only(pictures, IMAGE_NAMES)
    column = image if image and "text" not in asked else asked.get("text") or _only(lines, TEXT_NAMES)
    named = [name for name in schema.names if _class_names(features.get(name))]
    usual = [name for name in schema.names if name.lower() in LABEL_NAMES]
    label = asked.get("label") or _only(named, LABEL_NAMES) or _only(usual, LABEL_NAMES)
    if column is None or label is None:
        what = "images or texts" if column is None else "labels"
        raise DataError(
            f"{path}: which of its columns ({', '.join(schema.names)}) holds the {what} is not clear: say it, as in "
            f"{path.name}?image=image&label=label."
        )
    return column == image, column, label


def _only(found: list[str], usual: Iterable[str]) -> str | None:
    """The only name, or the first usual one of several."""
    return found[0] if len(found) == 1 else next((name for name in usual if name in found), None)


def _labels(values: list[Any], classes: tuple[str, ...], numbered: bool, name: str) -> NDArray[np.int64]:
    numbers = {text: place for place, text in enumerate(classes)}
    found = [value if numbered and isinstance(value, int) else numbers.get(str(value), -1) for value in values]
    bad = [row for row, label in enumerate(found) if not 0 <= label < len(classes)]
    if bad:
        raise DataError(f"{name}: row {bad[0]} has the label {values[bad[0]]!r}, which is none of the classes.")
    return np.array(found, np.int64)


def _images(values: list[Any], labels: NDArray[np.int64], name: str, reading: Reading) -> Images:
    found = [value.get("bytes") if isinstance(value, dict) else None for value in values]
    contents: list[bytes] = [content for content in found if content is not None]
    if None in found:
        raise DataError(f"{name}: row {found.index(None)} holds no image, only a path: embed the images' bytes.")
    places = [Path(f"{name} row {row}") for row in range(len(contents))]
    seen = [inspected(content, place) for content, place in zip(contents, places, strict=True)]
    sizes, grey = {size for _, size, _ in seen}, all(is_grey for _, _, is_grey in seen)
    if reading.size is None and len(sizes) > 1:
        shown = " and ".join(f"{height}x{width}" for height, width in sorted(sizes)[:2])
        raise DataError(f"{name}: images differ in size ({shown}, height x width); give a size to bring them to.")
    size = reading.size or seen[0][1]
    digest = digest_json(
        {"files": [each for each, _, _ in seen], "labels": labels.tolist(), "size": list(size), "grey": grey}
    )
    shape = (1 if grey else 3, *size)
    reader = BytesReader(contents, places, size, grey)
    return kept_in_memory(StreamedImages(reader, labels, shape=shape, digest=digest, name=name), reading.progress)


class BytesReader:
    """Decodes the encoded image of a row to uint8 (channels, height, width)."""

    def __init__(self, contents: list[bytes], places: list[Path], size: Size, grey: bool) -> None:
        self.contents, self.places, self.size, self.grey = contents, places, size, grey

    def __call__(self, row: int) -> NDArray[np.uint8]:
        """The pixels.

        Raises:
            LoadError: if they cannot be decoded.
        """
        with opened(io.BytesIO(self.contents[row]), self.places[row]) as image:
            return planes(image, self.size, self.grey)
