"""ONNX: shapes, layouts, probabilities or logits, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax

from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.targets.loading import load_network
from assay.targets.loading import onnx_file as module

KERNEL = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
IMAGES = np.random.default_rng(1).random((5, 3, 2, 4), dtype=np.float32)


def write(
    path: Path,
    shape: tuple[Any, ...] = ("n", 3, 2, 4),
    *,
    final: str | None = None,
    number: int = TensorProto.FLOAT,
    outputs: int = 1,
    external: str | None = None,
) -> Path:
    """Flatten, a matrix product, and perhaps an activation."""
    kernel = numpy_helper.from_array(KERNEL.astype(helper.tensor_dtype_to_np_dtype(number)), "kernel")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "kernel"], ["y0"])]
    if final:
        nodes.append(helper.make_node(final, ["y0"], ["y1"]))
    last = "y1" if final else "y0"
    answers = [helper.make_tensor_value_info(name, number, [shape[0], None]) for name in [last, "flat"][:outputs]]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", number, shape)], answers, [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=external is not None, location=external, size_threshold=0)
    return path


def test_logits_stay_logits_and_probabilities_become_logits(tmp_path: Path) -> None:
    expected = IMAGES.reshape(5, -1) @ KERNEL
    plain = load_network(write(tmp_path / "a.onnx"), "onnx")
    assert (plain.input_shape, plain.num_classes, plain.differentiable) == ((3, 2, 4), 4, False)
    np.testing.assert_allclose(plain.network(torch.from_numpy(IMAGES)), expected, rtol=1e-5)
    ending = load_network(write(tmp_path / "b.onnx", final="Softmax"), "onnx")
    found = ending.network(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(softmax(found, axis=1), softmax(expected, axis=1), rtol=1e-5)
    np.testing.assert_allclose(found, expected - np.log(np.exp(expected).sum(1, keepdims=True)), rtol=1e-4)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    loaded = load_network(write(tmp_path / "a.onnx", (2, 3, 2, 4)), "onnx")
    np.testing.assert_allclose(loaded.network(torch.from_numpy(IMAGES)), IMAGES.reshape(5, -1) @ KERNEL, rtol=1e-5)


def test_channels_last_and_half_precision(tmp_path: Path) -> None:
    loaded = load_network(write(tmp_path / "a.onnx", ("n", 2, 4, 3)), "onnx")
    assert loaded.input_shape == (3, 2, 4)
    expected = IMAGES.transpose(0, 2, 3, 1).reshape(5, -1) @ KERNEL
    np.testing.assert_allclose(loaded.network(torch.from_numpy(IMAGES)), expected, rtol=1e-5)
    half = load_network(write(tmp_path / "h.onnx", number=TensorProto.FLOAT16), "onnx")
    np.testing.assert_allclose(half.network(torch.from_numpy(IMAGES)), IMAGES.reshape(5, -1) @ KERNEL, atol=0.05)


def test_open_sizes_are_settled_by_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", ("n", 3, "h", "w"))
    with pytest.raises(LoadError, match="input_shape"):
        load_network(path, "onnx")
    assert load_network(path, "onnx", input_shape=(3, 2, 4)).num_classes == 4
    with pytest.raises(LoadError, match="cannot process images"):
        load_network(path, "onnx", input_shape=(3, 5, 5))


def test_what_was_said_must_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    with pytest.raises(LoadError, match="4 classes apart, not 10"):
        load_network(path, "onnx", num_classes=10)
    with pytest.raises(LoadError, match="takes images of 3x2x4"):
        load_network(path, "onnx", input_shape=(3, 4, 4))


def test_weights_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.onnx", external="weights.bin")
    assert (tmp_path / "weights.bin").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match="weights in other files"):
        load_network(path, "onnx")


def test_files_that_are_no_classifiers(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="1 inputs and 2 outputs"):
        load_network(write(tmp_path / "two.onnx", outputs=2), "onnx")
    with pytest.raises(LoadError, match="with 3 axes"):
        load_network(write(tmp_path / "flat.onnx", ("n", 6, 4)), "onnx")
    with pytest.raises(LoadError, match="takes tensor\\(int32\\)"):
        load_network(write(tmp_path / "int.onnx", number=TensorProto.INT32), "onnx")


def test_damaged_files_and_custom_operators(tmp_path: Path) -> None:
    content = write(tmp_path / "a.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="cannot be opened by ONNX Runtime"):
        load_network(tmp_path / "cut.onnx", "onnx")
    model = onnx.load(tmp_path / "a.onnx")
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    (tmp_path / "custom.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LoadError, match=r"com\.example") as caught:
        load_network(tmp_path / "custom.onnx", "onnx")
    assert "\n" not in str(caught.value)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("assay.targets.loading.extras.importlib.import_module", missing)
    with pytest.raises(UsageError, match=r"need the library onnxruntime: pip install 'modelassay\[onnx\]'"):
        module.read_onnx(write(tmp_path / "a.onnx"))
