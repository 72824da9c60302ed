"""Data files and descriptions made to hurt: each is refused in one sentence, at once."""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from assay.base.errors import AssayError
from assay.data.form import form_of
from assay.data.formats.registry import load_dataset
from assay.reports.gate.policy import read_policy
from assay.studies.study_file import read_study
from assay.targets.reference import open_model
from assay.targets.service_file import is_service_file, read_service_file

Open = Callable[[Path], object]
Make = Callable[[Path], Path]
CASES: dict[str, tuple[Make, Open, str]] = {}


def case(words: str, open_it: Open = load_dataset) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        CASES[make.__name__] = (make, open_it, words)
        return make

    return keep


def npy(shape: str, kind: str = "'|u1'", content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(folder: Path, x: bytes, y: bytes | None = None) -> Path:
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x_train.npy", x)
        archive.writestr("y_train.npy", npy("(6,)", content=bytes(6)) if y is None else y)
    return folder / "data.npz"


@case("is damaged: x_train says that it is uint8 (1000000, 1000, 1000), and holds")
def an_array_that_promises_a_terabyte(folder: Path) -> Path:
    return npz(folder, npy("(1000000, 1000, 1000)", content=bytes(100)))


@case("times its own size, and was not read")
def an_array_of_zeros_without_end(folder: Path) -> Path:
    return npz(folder, npy("(400, 1024, 1024)", content=bytes(400 << 20)))


@case("could run code; only arrays are read")
def an_array_of_objects(folder: Path) -> Path:
    return npz(folder, npy("(1,)", "'|O'", b"cos\nsystem\n(S'touch executed'\ntR."))


@case("data.npz")
def an_array_whose_header_is_a_program(folder: Path) -> Path:
    return npz(folder, npy("__import__('os').system('touch executed')"))


@case("data.npz")
def an_array_whose_header_is_open_brackets(folder: Path) -> Path:
    return npz(folder, npy("(" * 5000))


@case("data.npz")
def an_array_of_negative_size(folder: Path) -> Path:
    return npz(folder, npy("(-1, 8, 8)"))


@case("is a pipe, a socket or a device")
def a_pipe_for_an_archive(folder: Path) -> Path:
    os.mkfifo(folder / "data.npz")
    return folder / "data.npz"


def idx(folder: Path, content: bytes, name: str) -> Path:
    (folder / name).write_bytes(content)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 6) + bytes(6))
    return folder


@case("times its own size, and was not read")
def a_gz_that_unpacks_to_gigabytes(folder: Path) -> Path:
    plain = struct.pack(">HBB3I", 0, 8, 3, 400, 1024, 1024) + bytes(400 << 20)
    return idx(folder, gzip.compress(plain, 1), "train-images-idx3-ubyte.gz")


@case("is cut short or too long")
def a_gz_with_more_than_it_says(folder: Path) -> Path:
    plain = struct.pack(">HBB3I", 0, 8, 3, 6, 4, 4) + bytes(300 << 20)
    return idx(folder, gzip.compress(plain, 1), "train-images-idx3-ubyte.gz")


@case("times its own size, and was not read")
def sizes_beyond_all_numbers(folder: Path) -> Path:
    return idx(folder, struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "train-images-idx3-ubyte")


def batch(folder: Path, content: bytes) -> Path:
    (folder / "data_batch_1").write_bytes(content)
    return folder


@case("data_batch_1")
def nine_bytes_that_take_four_gigabytes(folder: Path) -> Path:
    return batch(folder, b"\x80\x02]r\xff\xff\xff\x0f.")


@case("data_batch_1")
def a_string_of_four_gigabytes(folder: Path) -> Path:
    return batch(folder, b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.")


@case("data_batch_1 takes more than")
def a_key_that_takes_for_ever_to_hash(folder: Path) -> Path:
    return batch(folder, b"\x80\x02}(K\x01K\x01\x86" + b"q\x00h\x00\x86" * 60 + b"K\x01u.")


@case("asks for posix.system when it is read")
def a_batch_with_code(folder: Path) -> Path:
    return batch(folder, b"cposix\nsystem\n(S'touch executed'\ntR.")


def pictures(folder: Path) -> Path:
    (folder / "cat").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "cat" / "a.png")
    return folder


@case("is a pipe, a socket or a device")
def a_pipe_among_pictures(folder: Path) -> Path:
    os.mkfifo(pictures(folder) / "cat" / "b.png")
    return folder


@case("is a folder, not a file")
def a_folder_called_like_a_picture(folder: Path) -> Path:
    (pictures(folder) / "cat" / "b.png").mkdir()
    return folder


@case("more than the 512 MiB")
def a_picture_of_a_terabyte_of_nothing(folder: Path) -> Path:
    with (pictures(folder) / "cat" / "b.png").open("wb") as file:
        file.truncate(1 << 40)
    return folder


def table(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pa.table(columns), folder / "train.parquet", **options)
    return folder / "train.parquet"


@case("takes more than", form_of)  # type: ignore[arg-type]
def a_parquet_file_of_one_long_word(folder: Path) -> Path:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 500_000]))
    return table(folder, {"age": [1.0] * 4000, "job": words, "label": ["a", "b"] * 2000}, store_schema=False)


@case("is nested too deep", lambda path: read_policy(Path(path)))
def a_policy_of_open_brackets(folder: Path) -> Path:
    return toml(folder, "a = " + "[" * 50_000)


@case("is nested too deep", open_model)  # type: ignore[arg-type]
def a_target_of_open_brackets(folder: Path) -> Path:
    return toml(folder, "a = " + "{b = " * 50_000)


@case("is nested too deep", read_study)  # type: ignore[arg-type]
def a_study_of_open_brackets(folder: Path) -> Path:
    return toml(folder, "a = " + "[" * 50_000)


@case("is nested too deep", lambda path: read_service_file(Path(path)))
def a_service_of_open_brackets(folder: Path) -> Path:
    path = toml(folder, "a = " + "[" * 50_000)
    assert not is_service_file(str(path))
    return path


@case("is not TOML", open_model)  # type: ignore[arg-type]
def a_number_of_a_million_digits(folder: Path) -> Path:
    return toml(folder, "num_classes = " + "9" * 10**6)


@case("more than the 4 MiB", open_model)  # type: ignore[arg-type]
def a_target_file_of_a_terabyte(folder: Path) -> Path:
    with toml(folder, "").open("wb") as file:
        file.truncate(1 << 40)
    return folder / "file.toml"


@case("is a pipe, a socket or a device", open_model)  # type: ignore[arg-type]
def a_target_file_that_is_a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "file.toml")
    return folder / "file.toml"


@case("is not a text in UTF-8: byte 0", open_model)  # type: ignore[arg-type]
def a_target_file_in_another_encoding(folder: Path) -> Path:
    (folder / "file.toml").write_bytes("a = 'Ä'".encode("utf-16"))
    return folder / "file.toml"


@case("std.0: it must not be 0", open_model)  # type: ignore[arg-type]
def a_division_by_zero(folder: Path) -> Path:
    return toml(folder, 'weights = "a.onnx"\npreprocessing.std = [0.0]\n')


@case("preprocessing.scale", open_model)  # type: ignore[arg-type]
def a_scale_that_is_no_number(folder: Path) -> Path:
    return toml(folder, 'weights = "a.onnx"\npreprocessing.scale = nan\n')


@case("at most 64 million numbers in all", open_model)  # type: ignore[arg-type]
def an_input_of_terabytes(folder: Path) -> Path:
    return toml(folder, 'factory = "a:b"\nnum_classes = 3\ninput_shape = [3, 1000000, 1000000]\n')


@case("num_classes", open_model)  # type: ignore[arg-type]
def a_billion_classes(folder: Path) -> Path:
    return toml(folder, 'weights = "a.pt"\nnum_classes = 1000000000\ninput_shape = [1, 8, 8]\n')


def toml(folder: Path, text: str) -> Path:
    (folder / "file.toml").write_text(text)
    return folder / "file.toml"


@pytest.mark.parametrize("name", CASES)
def test_hostile_data_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_OPEN_SECONDS", "4")
    make, open_it, words = CASES[name]
    path = make(tmp_path)
    before, began = largest(), time.process_time()
    with pytest.raises(AssayError) as refused:
        open_it(str(path))  # type: ignore[arg-type]
    assert words in str(refused.value)
    assert time.process_time() - began < 20
    assert largest() < max(before, 2 << 20), "more than 2 GiB of memory"
    assert not (tmp_path / "executed").exists()


def largest() -> int:
    """KiB of memory that this process or a child had at most."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def test_a_byte_order_mark_is_nothing_to_complain_about(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_bytes(b"\xef\xbb\xbftext,label\ngood,1\nbad,0\n")
    assert len(load_dataset(tmp_path / "texts.csv").train or ()) == 2
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbfage,job,label\n1,a,x\n2,b,y\n")
    assert form_of(str(tmp_path / "table.csv")) == ("vector", (1, 1, 3))
    (tmp_path / "policy.toml").write_bytes(b'\xef\xbb\xbf[[rule]]\nquestion = "backdoor"\nworst = "low"\n')
    assert len(read_policy(tmp_path / "policy.toml").rules) == 1
    (tmp_path / "study.toml").write_bytes(
        b'\xef\xbb\xbfname = "s"\ntargets = ["starter/digits-cnn"]\n[[methods]]\nname = "membership.metrics"\n'
    )
    assert read_study(str(tmp_path / "study.toml")).name == "s"


def test_honest_zeros_are_read(tmp_path: Path) -> None:
    """Black images and sparse features compress far, and are no bomb as long as they are small."""
    np.savez_compressed(tmp_path / "black.npz", x_train=np.zeros((500, 64, 64), np.uint8), y_train=np.arange(500) % 3)
    assert len(load_dataset(tmp_path / "black.npz").train or ()) == 500
    content = io.BytesIO()
    parquet.write_table(pa.table({"age": [0.0] * 10**6, "label": ["a", "b"] * 500_000}), content)
    (tmp_path / "zeros.parquet").write_bytes(content.getvalue())
    assert form_of(f"{tmp_path / 'zeros.parquet'}?label=label") == ("vector", (1, 1, 1))
