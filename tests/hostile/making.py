"""Small ONNX and Keras files, of whatever nodes and layers a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oracles.keras import Layer, write_sequential


def graph(folder: Path, nodes: list[Any], constants: dict[str, Any], name: str = "model.onnx") -> Path:
    """Images (n, 1, 8, 8) through nodes to ``y`` (n, 3)."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / name)
    return folder / name


DENSE = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
KERNEL = {"w": np.ones((64, 3), np.float32)}


def keras(folder: Path, *layers: Layer) -> Path:
    write_sequential(folder / "model.h5", (8, 8, 1), list(layers))
    return folder / "model.h5"


FLAT = Layer("Flatten", "flatten", {})


def dense(units: int, name: str = "last") -> Layer:
    weights = {"kernel": np.ones((64, 3)), "bias": np.zeros(3)}
    return Layer("Dense", name, {"units": units, "activation": "linear", "use_bias": True}, weights)
