"""Model files made to hurt: each is refused in one sentence, in seconds, and takes no more memory than it may."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from assay.base.errors import AssayError
from assay.targets.architectures import build
from assay.targets.reference import open_model
from hostile.making import DENSE, FLAT, KERNEL, dense, graph, keras
from oracles.keras import Layer

Make = Callable[[Path], Path]
CASES: dict[str, tuple[Make, str]] = {}


def case(words: str) -> Callable[[Make], Make]:
    def keep(make: Make) -> Make:
        CASES[make.__name__] = (make, words)
        return make

    return keep


def state() -> dict[str, torch.Tensor]:
    return build("digits-mlp", 3, (1, 8, 8)).state_dict()


def first(tensor: Callable[[torch.Tensor], Any]) -> dict[str, Any]:
    name, value = next(iter(state().items()))
    return {**state(), name: tensor(value)}


def saved(content: Any, folder: Path, **options: Any) -> Path:
    torch.save(content, folder / "model.pt", **options)
    return folder / "model.pt"


@case("nests its state dictionary more than 16 deep, or holds itself")
def a_list_that_holds_itself(folder: Path) -> Path:
    circle: list[Any] = []
    circle.append(circle)
    return saved(circle, folder)


@case("nests its state dictionary more than 16 deep, or holds itself")
def a_dictionary_that_holds_itself(folder: Path) -> Path:
    circle: dict[str, Any] = {}
    circle["state_dict"] = circle
    return saved(circle, folder)


@case("nests its state dictionary more than 16 deep, or holds itself")
def two_that_hold_each_other_in_an_old_file(folder: Path) -> Path:
    one: dict[str, Any] = {"model": [None]}
    one["model"][0] = one
    return saved(one, folder, _use_new_zipfile_serialization=False)


@case("takes more than")
def a_key_that_takes_for_ever_to_hash(folder: Path) -> Path:
    text = b"\x80\x02}(K\x01K\x01\x86" + b"q\x00h\x00\x86" * 60 + b"K\x01u."
    made = io.BytesIO()
    torch.save({"a": torch.ones(1)}, made)
    return replaced(made.getvalue(), text, folder)


def replaced(content: bytes, pickled: bytes, folder: Path) -> Path:
    """A checkpoint with another pickle inside."""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(folder / "model.pt", "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, pickled if info.filename.endswith("data.pkl") else old.read(info))
    return folder / "model.pt"


@case("is sparse: save `tensor.to_dense()`")
def a_sparse_tensor(folder: Path) -> Path:
    return saved(first(lambda tensor: tensor.to_sparse()), folder)


@case("is quantised: save `tensor.dequantize()`")
def a_quantised_tensor(folder: Path) -> Path:
    return saved(first(lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)), folder)


@case("has no content")
def a_tensor_without_content(folder: Path) -> Path:
    return saved(first(lambda tensor: tensor.to("meta")), folder)


@case("the file holds fewer numbers: save `tensor.clone()`")
def a_number_repeated_to_a_thousand_billion(folder: Path) -> Path:
    return saved(first(lambda tensor: torch.zeros(1).expand(10**6, 10**6)), folder)


@case("of another shape")
def a_tensor_of_no_element(folder: Path) -> Path:
    return saved(first(lambda tensor: torch.zeros(0, 10**9)), folder)


@case("holds NoneType, not a state dictionary")
def nothing(folder: Path) -> Path:
    return saved(None, folder)


@case("holds code (posix.system) besides weights")
def code_beside_weights(folder: Path) -> Path:
    return saved({**state(), "hook": Code()}, folder)


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


@case("is a Python pickle, which can hold code")
def a_pickle_of_nine_bytes(folder: Path) -> Path:
    (folder / "model.pt").write_bytes(b"\x80\x02]r\xff\xff\xff\x0f.")
    return folder / "model.pt"


NUMBERS, MANY = 70_000, 100_000_000
"""What a checkpoint says that its tensor holds, before and after."""


def swollen(folder: Path, content: bytes) -> Path:
    """A checkpoint that says that its only tensor holds `MANY` numbers, and has other content for it."""
    made = io.BytesIO()
    torch.save({"a": torch.zeros(NUMBERS)}, made)
    with (
        zipfile.ZipFile(made) as old,
        zipfile.ZipFile(folder / "model.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for info in old.infolist():
            member = old.read(info)
            if info.filename.endswith("data.pkl"):
                assert member.count(struct.pack("<i", NUMBERS)) == 2
                member = member.replace(struct.pack("<i", NUMBERS), struct.pack("<i", MANY))
            elif info.filename.endswith("data/0"):
                member = content
            new.writestr(info.filename, member)
    return folder / "model.pt"


@case("is a damaged or truncated PyTorch checkpoint")
def a_tensor_that_is_larger_than_its_archive(folder: Path) -> Path:
    return swollen(folder, bytes(100))


@case("takes more memory to open than there is")
def an_archive_that_unpacks_to_more_than_it_may(folder: Path) -> Path:
    return swollen(folder, bytes(4 * MANY))


@case("has a header of 95 MiB")
def a_header_of_a_hundred_megabytes(folder: Path) -> Path:
    header = b'{"a":"' + b"x" * (100 * 10**6 - 8) + b'"}'
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder / "model.safetensors"


@case("damaged or truncated safetensors file")
def a_tensor_that_is_larger_than_its_file(folder: Path) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    return folder / "model.safetensors"


@case("damaged or truncated safetensors file")
def tensors_that_overlap(folder: Path) -> Path:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    header = json.dumps({"a": entry, "b": entry}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    return folder / "model.safetensors"


@case("damaged or truncated safetensors file")
def a_header_of_open_brackets(folder: Path) -> Path:
    header = b'{"a":' * 100_000
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder / "model.safetensors"


@case("takes more than")
def a_loop_without_an_end(folder: Path) -> Path:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Tanh", ["v"], ["u"])],
        "b",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 3]),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("u", TensorProto.FLOAT, ["n", 3]),
        ],
    )
    nodes = [
        DENSE[0],
        helper.make_node("MatMul", ["f", "w"], ["v0"]),
        helper.make_node("Loop", ["m", "t", "v0"], ["y"], body=body),
    ]
    return graph(folder, nodes, {**KERNEL, "m": np.int64(2**62), "t": np.bool_(True)})


@case("model.onnx")
def a_constant_of_six_gigabytes(folder: Path) -> Path:
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        DENSE[0],
        helper.make_node("MatMul", ["f", "w"], ["v"]),
        helper.make_node("Add", ["v", "sum"], ["y"]),
    ]
    return graph(folder, nodes, {**KERNEL, "s": np.int64([1500, 1024, 1024])})


@case("model.onnx")
def an_image_tiled_to_terabytes(folder: Path) -> Path:
    nodes = [
        helper.make_node("Tile", ["x", "r"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["z"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["z", "w"], ["y"]),
    ]
    return graph(folder, nodes, {"w": np.ones((8, 3), np.float32), "r": np.int64([1, 10**6, 1000, 1])})


@case("which is not a plain file in its own folder")
def weights_in_a_device(folder: Path) -> Path:
    path = graph(folder, DENSE, KERNEL)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/dev/zero")
    path.write_bytes(model.SerializeToString())
    return path


@case("model.onnx")
def a_graph_nested_a_thousand_deep(folder: Path) -> Path:
    inner = b""
    for _ in range(5000):
        inner = b"\x3a" + varint(len(inner)) + inner
    (folder / "model.onnx").write_bytes(b"\x08\x09" + inner)
    return folder / "model.onnx"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


@case("model.h5")
def a_data_set_of_terabytes_that_was_never_written(folder: Path) -> Path:
    path = keras(folder, FLAT, dense(3))
    with h5py.File(path, "a") as file:
        name = next(name for name in names(file) if "kernel" in name)
        del file[name]
        file.create_dataset(name, (10**6, 10**6), np.float32, chunks=(1000, 1000))
    return path


def names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return [name for name in found if isinstance(file[name], h5py.Dataset)]


@case("model.h5")
def padding_to_terabytes(folder: Path) -> Path:
    return keras(folder, Layer("ZeroPadding2D", "pad", {"padding": [10**6, 10**6]}), FLAT, dense(3))


@case("model.h5")
def settings_of_the_wrong_kind(folder: Path) -> Path:
    return keras(folder, Layer("Conv2D", "conv", {"filters": "many", "kernel_size": None, "strides": {}}), dense(3))


@case("model.h5")
def a_description_of_open_brackets(folder: Path) -> Path:
    path = keras(folder, FLAT, dense(3))
    with h5py.File(path, "a") as file:
        file.attrs.modify("model_config", "[" * 20_000)
    return path


@case("would unpack to")
def an_archive_of_keras_that_swells(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(300 << 20))
    return folder / "model.keras"


@case("There is no file of weights")
def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


@case("is empty")
def an_empty_file(folder: Path) -> Path:
    (folder / "model.pt").touch()
    return folder / "model.pt"


@case("damaged or truncated zip archive")
def half_an_archive(folder: Path) -> Path:
    path = saved(state(), folder)
    path.write_bytes(path.read_bytes()[:3000])
    return path


@case("which can hold code, and not a PyTorch checkpoint")
def a_pickled_network(folder: Path) -> Path:
    (folder / "model.pt").write_bytes(pickle.dumps(Code()))
    return folder / "model.pt"


def description(folder: Path, file: Path) -> Path:
    lines = [f'weights = "{file.name}"', "num_classes = 3", "input_shape = [1, 8, 8]"]
    if file.suffix in (".pt", ".safetensors"):
        lines.append('architecture = "digits-mlp"')
    (folder / "target.toml").write_text("\n".join(lines) + "\n")
    return folder / "target.toml"


@pytest.mark.parametrize("name", CASES)
def test_hostile_models_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_OPEN_SECONDS", "4")
    if name == "an_archive_that_unpacks_to_more_than_it_may":
        monkeypatch.setenv("ASSAY_OPEN_GB", "0.25")
    make, words = CASES[name]
    target = description(tmp_path, make(tmp_path))
    before, began = largest(), time.process_time()
    with pytest.raises(AssayError) as refused:
        open_model(str(target))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value).strip()
    assert time.process_time() - began < 20
    assert largest() < max(before, 2 << 20), "more than 2 GiB of memory"
    assert not (tmp_path / "executed").exists()


def largest() -> int:
    """KiB of memory that this process or a child had at most."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def test_honest_files_of_every_format_open_behind_the_fence(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "model.safetensors")
    saved({"state_dict": OrderedDict(state()), "epoch": 3}, tmp_path)
    files = [tmp_path / "model.pt", tmp_path / "model.safetensors", graph(tmp_path, DENSE, KERNEL)]
    for file in (*files, keras(tmp_path, FLAT, dense(3))):
        assert open_model(str(description(tmp_path, file))).target.num_classes == 3
