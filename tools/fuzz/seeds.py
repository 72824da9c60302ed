"""Good files, as small as they can be: what mutations start from. Each function writes into an empty folder."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pyarrow as pa
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from pyarrow import parquet
from safetensors.torch import save_file

from tools.fuzz import mutations as m

RANDOM = np.random.default_rng(0)
TARGET = """name = "seed"
weights = "WEIGHTS"
num_classes = 3
input_shape = [1, 8, 8]
class_names = ["a", "b", "c"]
expected_accuracy = 0.9

[preprocessing]
scale = 1.0
mean = [0.5]
std = [0.25]

[serving]
output = "posteriors"
policies = ["rounding=2"]
"""


def _described(folder: Path, weights: str, architecture: str | None = None) -> Path:
    text = TARGET.replace("WEIGHTS", weights)
    if architecture:
        text = text.replace("[preprocessing]", f'architecture = "{architecture}"\n\n[preprocessing]', 1)
    (folder / "target.toml").write_text(text)
    return folder / weights


def _state() -> dict[str, torch.Tensor]:
    from assay.targets.architectures import build

    torch.manual_seed(0)
    return build("digits-mlp", 3, (1, 8, 8)).state_dict()


def safetensors(folder: Path) -> Path:
    file = _described(folder, "model.safetensors", "digits-mlp")
    save_file(_state(), file)
    return file


def target(folder: Path) -> Path:
    safetensors(folder)
    return folder / "target.toml"


def torch_zip(folder: Path) -> Path:
    file = _described(folder, "model.pt", "digits-mlp")
    torch.save({"state_dict": _state(), "epoch": 3}, file)
    return file


def torch_legacy(folder: Path) -> Path:
    file = _described(folder, "model.pth", "digits-mlp")
    torch.save(_state(), file, _use_new_zipfile_serialization=False)
    return file


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ('touch "$ASSAY_FUZZ_CANARY"',)


def torch_code(folder: Path) -> Path:
    file = _described(folder, "model.pt", "digits-mlp")
    torch.save({"state_dict": _state(), "hook": _Code()}, file)
    return file


def _keras(file: h5py.File) -> dict[str, Any]:
    layers = [
        {"class_name": "Flatten", "config": {"name": "flatten", "batch_input_shape": [None, 8, 8, 1]}},
        {"class_name": "Dense", "config": {"name": "dense", "units": 4, "activation": "relu", "use_bias": True}},
        {"class_name": "Dense", "config": {"name": "last", "units": 3, "activation": "softmax", "use_bias": True}},
    ]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers, "build_input_shape": [None, 8, 8, 1]}}


_KERNELS = {"dense": (64, 4), "last": (4, 3)}


def keras_h5(folder: Path) -> Path:
    path = _described(folder, "model.h5")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(_keras(file))
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"flatten", b"dense", b"last"]
        weights.create_group("flatten").attrs["weight_names"] = np.array([], "S1")
        for name, shape in _KERNELS.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = RANDOM.normal(size=shape).astype(np.float32)
            group[f"{name}/bias:0"] = np.zeros(shape[1], np.float32)
    return path


def keras_archive(folder: Path) -> Path:
    import io
    import zipfile

    path, content = _described(folder, "model.keras"), io.BytesIO()
    with h5py.File(content, "w") as file:
        config = _keras(file)
        for group, (name, shape) in zip(("dense", "dense_1"), _KERNELS.items(), strict=True):
            variables = file.create_group(f"layers/{group}/vars")
            variables.attrs["name"] = name
            variables["0"] = RANDOM.normal(size=shape).astype(np.float32)
            variables["1"] = np.zeros(shape[1], np.float32)
        file.create_group("layers/flatten/vars").attrs["name"] = "flatten"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("config.json", json.dumps(config))
        packed.writestr("model.weights.h5", content.getvalue())
    return path


def _graph() -> onnx.ModelProto:
    first = numpy_helper.from_array(RANDOM.normal(size=(2, 1, 3, 3)).astype(np.float32), "w1")
    last = numpy_helper.from_array(RANDOM.normal(size=(32, 3)).astype(np.float32), "w2")
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "w2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [first, last],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def onnx_file(folder: Path) -> Path:
    file = _described(folder, "model.onnx")
    onnx.save(_graph(), file)
    return file


def onnx_external(folder: Path) -> Path:
    file = _described(folder, "model.onnx")
    onnx.save(_graph(), file, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    return file


_OPERATORS = (
    "Loop",
    "If",
    "ConstantOfShape",
    "Resize",
    "Tile",
    "Expand",
    "Range",
    "Gather",
    "Einsum",
    "Cast",
    "Identity",
)


def change_onnx(draw: m.Draw, content: bytes) -> bytes:
    """One to three fields of a graph changed: sizes, attributes, names and kinds of operators."""
    model = onnx.load_from_string(content)
    fields = list(_fields(model))
    for _ in range(draw.choice((1, 2, 3))):
        message, field = draw.choice(fields)
        listed, value = field.is_repeated, getattr(message, field.name)
        if field.name == "op_type":
            message.op_type = draw.choice(_OPERATORS)
            continue
        new: Any = draw.choice(m.EDGES) if field.type != field.TYPE_STRING else draw.choice(m.TEXTS)
        if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            new = draw.choice((0.0, float("nan"), 1e38))
        elif field.type == field.TYPE_BYTES:
            new = m.of_bytes(draw, bytes(value[0] if listed else value))
        try:
            if listed:
                value[draw.randrange(len(value))] = new
            else:
                setattr(message, field.name, new)
        except (ValueError, TypeError):  # a number that the field cannot hold
            continue
    return model.SerializeToString()


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _fields(inner)
        else:
            yield message, field


def tflite(folder: Path) -> Path:
    from oracles.tflite import write_tflite

    file = _described(folder, "model.tflite")
    write_tflite(file, "float32", (8, 8, 1), 3)
    return file


def _hub(folder: Path) -> None:
    from assay.targets.text.transformer import library

    config = library().ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=8,
        patch_size=4,
        num_channels=1,
        num_labels=3,
    )
    torch.manual_seed(0)
    library().ViTForImageClassification(config).save_pretrained(folder / "hub")
    text = TARGET.replace("WEIGHTS", "hub").replace("num_classes = 3\n", "")
    (folder / "target.toml").write_text(text)


def hugging_face(folder: Path) -> Path:
    _hub(folder)
    return folder / "hub" / "config.json"


def hugging_face_weights(folder: Path) -> Path:
    _hub(folder)
    return folder / "hub" / "model.safetensors"


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


def service(folder: Path) -> Path:
    text = """input_shape = [3, 32, 32]
class_names = ["cat", "dog"]

[service]
url = "https://api.example.com/v1/classify"
body = { image = "{png}", options = { top = 10 } }
answers = "$.result.scores"
gives = "posteriors"
labels = { "felis catus" = "cat" }
batch = 1
price_per_1000 = 1.5
"""
    (folder / "service.toml").write_text(text)
    return folder / "service.toml"


def study(folder: Path) -> Path:
    text = """name = "seed"
seeds = [0, 1]
targets = ["starter/digits-cnn"]

[[methods]]
name = "membership.metrics"
options = { max_members = 100 }

[limits]
seconds = 60
memory_gb = 2
"""
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def policy(folder: Path) -> Path:
    text = """[[rule]]
question = "backdoor"
worst = "undecided"
reason = "No release with a sign of a backdoor."

[[rule]]
method = "membership.metrics"
metric = "auc_modified_entropy"
max = 0.65
max_increase = 0.05
"""
    (folder / "policy.toml").write_text(text)
    return folder / "policy.toml"


def card(folder: Path) -> Path:
    text = 'id = "own/mine"\ndataset = "CIFAR-10"\narchitecture = "resnet18"\nparameters = 9\ntop1 = 0.9\nyear = 2024\n'
    (folder / "card.toml").write_text(text)
    return folder / "card.toml"


def listing(folder: Path) -> Path:
    entry = {"architecture": "resnet18", "dataset": "cifar10", "id": "own/mine", "input": [3, 32, 32], "top1": 0.9}
    lines = [{"name": "own", "title": "own", "version": "1"}, entry, {**entry, "id": "own/other", "year": 2024}]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "records.jsonl"


@cache
def _outcomes() -> list[Any]:
    import tempfile

    from reports.samples import outcomes

    return outcomes(Path(tempfile.mkdtemp()))


def report(folder: Path) -> Path:
    from assay.reports.report import assemble, write_json

    write_json(assemble(_outcomes()), folder / "report.json")
    return folder / "report.json"


def workspace(folder: Path) -> Path:
    from assay.methods.finding import Samples
    from assay.studies.workspace import Workspace

    kept = Workspace(folder / "workspace")
    for outcome in _outcomes():
        if outcome.status == "done":
            kept.save(outcome, Samples(np.arange(0)))
    return sorted((folder / "workspace" / "trials").glob("*.json"))[0]


def annotations(folder: Path) -> Path:
    (folder / "coders.txt").write_text("one\n")
    lines = [{"record": "own/mine", "code": "year", "value": "2024"}, {"record": "a", "code": "top1", "value": "0.9"}]
    (folder / "one.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "one.jsonl"
