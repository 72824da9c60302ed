"""Good files of data sets."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from tools.fuzz import mutations as m

RANDOM = np.random.default_rng(0)


def npz_images(folder: Path) -> Path:
    images = RANDOM.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    labels = np.arange(6) % 3
    np.savez(folder / "data.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])
    return folder / "data.npz"


def npz_vectors(folder: Path) -> Path:
    np.savez(folder / "data.npz", x_train=RANDOM.normal(size=(6, 4)), y_train=np.arange(6) % 3)
    return folder / "data.npz"


def npz_answers(folder: Path) -> Path:
    rows = np.full((6, 3), 1 / 3, np.float32)
    labels = np.arange(6) % 3
    np.savez(folder / "answers.npz", members=rows, non_members=rows, member_labels=labels, non_member_labels=labels)
    return folder / "answers.npz"


def _idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx(folder: Path) -> Path:
    (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.arange(6, dtype=np.uint8) % 3))
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(_idx(RANDOM.integers(0, 256, (6, 4, 4), dtype=np.uint8)))
    return file


def idx_gz(folder: Path) -> Path:
    plain = idx(folder)
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
    return file


def inside_gz(draw: m.Draw, content: bytes) -> bytes:
    """The unpacked content changed, or made very long."""
    plain = gzip.decompress(content)
    return gzip.compress(draw.choice((m.of_bytes(draw, plain), plain + bytes(64 << 20))), 1, mtime=0)


def cifar_pickle(folder: Path) -> Path:
    rows = RANDOM.integers(0, 256, (3, 3072), dtype=np.uint8)
    file = folder / "data_batch_1"
    file.write_bytes(pickle.dumps({b"data": rows, b"labels": [0, 1, 2]}, protocol=2))
    (folder / "test_batch").write_bytes(file.read_bytes())
    return file


def _pictures(folder: Path, suffix: str) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        Image.fromarray(RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name / f"one{suffix}")
    return folder / "cat" / f"one{suffix}"


def png(folder: Path) -> Path:
    return _pictures(folder, ".png")


def jpeg(folder: Path) -> Path:
    return _pictures(folder, ".jpg")


def webp(folder: Path) -> Path:
    return _pictures(folder, ".webp")


def parquet_images(folder: Path) -> Path:
    import io

    content = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(content, "PNG")
    images = [{"bytes": content.getvalue(), "path": None}] * 4
    file = folder / "train.parquet"
    parquet.write_table(pa.table({"image": images, "label": [0, 1, 0, 1]}), file)
    return file


def _table() -> pa.Table:
    return pa.table({"age": [1.0, 2.0, 3.0, 4.0], "job": ["a", "b", "a", "b"], "label": ["x", "y", "x", "y"]})


def parquet_table(folder: Path) -> Path:
    parquet.write_table(_table(), folder / "table.parquet")
    return folder / "table.parquet"


def csv_table(folder: Path) -> Path:
    (folder / "table.csv").write_text('age,job,label\n1.0,"a",x\n2.5,"b",y\n3,"a",x\n4,"b",y\n')
    return folder / "table.csv"


def csv_texts(folder: Path) -> Path:
    (folder / "texts.csv").write_text('text,label\n"good, really",1\n"bad",0\n"fine",1\n"poor",0\n')
    return folder / "texts.csv"
