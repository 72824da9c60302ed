"""Good files of models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
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
