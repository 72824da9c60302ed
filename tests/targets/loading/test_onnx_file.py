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


def test_weights_in_a_file_beside_it_are_read_and_digested(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", external="a.onnx.data")
    loaded = load_network(path, "onnx")
    np.testing.assert_allclose(loaded.network(torch.from_numpy(IMAGES)), IMAGES.reshape(5, -1) @ KERNEL, rtol=1e-5)
    assert loaded.external == (tmp_path / "a.onnx.data",)
    before = loaded.digest(path)
    (tmp_path / "a.onnx.data").write_bytes((2 * KERNEL).tobytes())
    assert load_network(path, "onnx").digest(path) != before


def test_an_export_of_torch_opens(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 4))
    path, images = tmp_path / "m.onnx", torch.rand(5, 3, 5, 5)
    torch.onnx.export(module.eval(), (images[:1],), path, verbose=False)
    assert (tmp_path / "m.onnx.data").is_file(), "torch writes external data by default"
    loaded = load_network(path, "onnx")
    assert (loaded.input_shape, loaded.num_classes) == ((3, 5, 5), 4)
    torch.testing.assert_close(loaded.network(images), module(images).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "location", ["../secret.bin", "sub/../../secret.bin", "/etc/hostname", "linked.bin", "link/w.bin"]
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(KERNEL.tobytes())
    (tmp_path / "w.bin").write_bytes(KERNEL.tobytes())
    (folder / "linked.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    path = write(folder / "a.onnx", external="weights.bin")
    model = onnx.load(path, load_external_data=False)
    (entry,) = [entry for entry in model.graph.initializer[0].external_data if entry.key == "location"]
    entry.value = location
    path.write_bytes(model.SerializeToString())
    monkeypatch.chdir(folder)
    with pytest.raises(UnsafeFileError, match="not a plain file in its own folder"):
        load_network(path, "onnx")


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", external="weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(LoadError, match=r"keeps weights in weights\.bin, which is not beside it"):
        load_network(path, "onnx")


def test_weights_in_attributes_are_found_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", external="weights.bin")
    model = onnx.load(path, load_external_data=False)
    kernel = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["kernel"], value=kernel))
    path.write_bytes(model.SerializeToString())
    assert module.external_files(path) == [tmp_path / "weights.bin"]


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


def write_sklearn(path: Path, *, zip_map: bool, strings: bool = True, width: int | None = 3) -> Path:
    """A linear classifier of vectors as skl2onnx writes it: labels, and probabilities as a tensor or dictionaries."""
    names = ["cat", "dog", "eel"]
    classes: dict[str, Any] = {"classlabels_strings": names} if strings else {"classlabels_ints": [1, 2, 4]}
    ml = {"domain": "ai.onnx.ml"}
    nodes = [
        helper.make_node(
            "LinearClassifier", ["X"], ["label", "scores"], coefficients=KERNEL[:3, :3].T.ravel().tolist(),
            intercepts=[0.0, 0.1, 0.2], post_transform="SOFTMAX", multi_class=1, **classes, **ml,
        )
    ]  # fmt: skip
    last = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 3])
    if zip_map:
        named = {"classlabels_strings": names} if strings else {"classlabels_int64s": [1, 2, 4]}
        nodes.append(helper.make_node("ZipMap", ["scores"], ["maps"], **named, **ml))
        key = TensorProto.STRING if strings else TensorProto.INT64
        value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        last = helper.make_value_info("maps", helper.make_sequence_type_proto(helper.make_map_type_proto(key, value)))
    label = helper.make_tensor_value_info("label", TensorProto.STRING if strings else TensorProto.INT64, [None])
    entry = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, width])
    graph = helper.make_graph(nodes, "g", [entry], [label, last])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.mark.parametrize("zip_map", [False, True])
@pytest.mark.parametrize("strings", [False, True])
def test_scikit_learn_models_answer_with_labels_and_probabilities(tmp_path: Path, zip_map: bool, strings: bool) -> None:
    loaded = load_network(write_sklearn(tmp_path / "a.onnx", zip_map=zip_map, strings=strings), "onnx")
    assert (loaded.input_shape, loaded.num_classes, loaded.vector) == ((1, 1, 3), 3, True)
    rows = np.random.default_rng(2).normal(size=(6, 3)).astype(np.float32)
    expected = softmax(rows @ KERNEL[:3, :3] + [0.0, 0.1, 0.2], axis=1)
    found = loaded.network(torch.from_numpy(rows)[:, None, None]).softmax(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_number_of_features_may_be_said(tmp_path: Path) -> None:
    path = write_sklearn(tmp_path / "a.onnx", zip_map=False, width=None)
    with pytest.raises(LoadError, match="say it with input_shape"):
        load_network(path, "onnx")
    assert load_network(path, "onnx", input_shape=(1, 1, 3)).input_shape == (1, 1, 3)


def test_detectors_and_segmentation_models_are_refused(tmp_path: Path) -> None:
    entry = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])]
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    answers = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 4, 4]) for name in "yz"]
    for count in (1, 2):
        graph = helper.make_graph(nodes[:count], "g", entry, answers[:count])
        path = tmp_path / f"{count}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        with pytest.raises(LoadError, match=r"classifiers only.*export the backbone with a classification head"):
            load_network(path, "onnx")
