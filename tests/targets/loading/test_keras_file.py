"""Keras layers against slow loops, against Keras itself, and files that must be refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.targets.loading import load_network
from assay.targets.loading.keras_file import Rescale
from assay.targets.loading.keras_layers import build_layer
from oracles.keras import (
    Layer,
    convolution,
    depthwise,
    normalisation,
    pooling,
    write_functional,
    write_sequential,
)

PADDINGS = st.sampled_from(["same", "valid"])
SIDES = st.integers(4, 9)
KERNELS = st.tuples(st.integers(1, 4), st.integers(1, 4))
STRIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))
RANDOM = np.random.default_rng(5)
FIXTURE, ARCHIVE = (Path(__file__).parent / name for name in ("keras3.h5", "keras3.keras"))


def run(kind: str, options: dict[str, Any], weights: dict[str, Any], *images: NDArray[Any]) -> NDArray[Any]:
    """One layer over NHWC images."""
    tensors = {name: torch.tensor(array, dtype=torch.float64) for name, array in weights.items()}
    module = build_layer(kind, options, tensors)
    answer = module(*(torch.tensor(image, dtype=torch.float64).movedim(-1, 1) for image in images))
    return np.asarray(answer.movedim(1, -1).detach())


def options_of(strides: Any, padding: str) -> dict[str, Any]:
    return {"strides": list(strides), "padding": padding, "activation": "linear", "dilation_rate": [1, 1]}


@settings(max_examples=25, deadline=None)
@given(h=SIDES, w=SIDES, kernel=KERNELS, strides=STRIDES, padding=PADDINGS)
def test_convolutions_are_those_of_the_loops(h: int, w: int, kernel: Any, strides: Any, padding: str) -> None:
    image = RANDOM.normal(size=(h, w, 2))
    weights = {"kernel": RANDOM.normal(size=(*kernel, 2, 3)), "bias": RANDOM.normal(size=3)}
    found = run("Conv2D", options_of(strides, padding), weights, image[None])[0]
    np.testing.assert_allclose(found, convolution(image, weights["kernel"], weights["bias"], strides, padding))


@settings(max_examples=15, deadline=None)
@given(h=SIDES, w=SIDES, kernel=KERNELS, stride=st.integers(1, 2), padding=PADDINGS)
def test_depthwise_and_separable_convolutions(h: int, w: int, kernel: Any, stride: int, padding: str) -> None:
    image, strides = RANDOM.normal(size=(h, w, 2)), (stride, stride)
    kernels, bias, point = RANDOM.normal(size=(*kernel, 2, 3)), RANDOM.normal(size=6), RANDOM.normal(size=(1, 1, 6, 4))
    weights = {"depthwise_kernel": kernels, "bias": bias}
    expected = depthwise(image, kernels, bias, strides, padding)
    np.testing.assert_allclose(
        run("DepthwiseConv2D", options_of(strides, padding), weights, image[None])[0], expected, atol=1e-12
    )
    weights = {"depthwise_kernel": kernels, "pointwise_kernel": point, "bias": bias[:4]}
    deep = depthwise(image, kernels, np.zeros(6), strides, padding)
    np.testing.assert_allclose(
        run("SeparableConv2D", options_of(strides, padding), weights, image[None])[0],
        convolution(deep, point, bias[:4], (1, 1), "valid"),
        atol=1e-12,
    )


@settings(max_examples=25, deadline=None)
@given(h=SIDES, w=SIDES, size=KERNELS, strides=STRIDES, padding=PADDINGS, maximum=st.booleans())
def test_pooling_never_counts_padding(h: int, w: int, size: Any, strides: Any, padding: str, maximum: bool) -> None:
    image = RANDOM.normal(size=(h, w, 2)) - 5.0
    kind = "MaxPooling2D" if maximum else "AveragePooling2D"
    options = {"pool_size": list(size), "strides": list(strides), "padding": padding}
    np.testing.assert_allclose(run(kind, options, {}, image[None])[0], pooling(image, size, strides, padding, maximum))


@pytest.mark.parametrize("missing", [(), ("gamma",), ("beta",), ("gamma", "beta")])
@pytest.mark.parametrize(("shape", "axis"), [((3, 2, 4), -1), ((3, 2, 4), [3]), ((4,), 1)])
def test_normalisation_uses_the_files_epsilon(missing: tuple[str, ...], shape: tuple[int, ...], axis: Any) -> None:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = {name: RANDOM.uniform(0.01, 1.0, 4) for name in names if name not in missing}
    image = RANDOM.normal(size=shape)
    found = run("BatchNormalization", {"axis": axis, "epsilon": 0.1}, weights, image[None])[0]
    np.testing.assert_allclose(found, normalisation(image, weights, 0.1))


def test_a_flattened_image_has_its_channels_last() -> None:
    image = np.arange(24.0).reshape(1, 2, 3, 4)
    assert run("Flatten", {}, {}, image).ravel().tolist() == list(range(24))
    assert run("Reshape", {"target_shape": [3, 2, 4]}, {}, image).ravel().tolist() == list(range(24))
    dense = {"kernel": RANDOM.normal(size=(4, 5)), "bias": RANDOM.normal(size=5)}
    found = run("Dense", {"activation": "relu"}, dense, image)
    np.testing.assert_allclose(found, np.maximum(image @ dense["kernel"] + dense["bias"], 0))


X = np.array([-3.0, -0.5, 0.0, 0.2, 0.3, 0.9, 7.0]).reshape(1, 1, 1, 7)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (
            "ReLU",
            {"max_value": 0.8, "negative_slope": 0.1, "threshold": 0.3},
            [-0.33, -0.08, -0.03, -0.01, 0.3, 0.8, 0.8],
        ),
        ("ReLU", {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}, [0, 0, 0, 0.2, 0.3, 0.9, 7]),
        ("LeakyReLU", {"alpha": 0.5}, [-1.5, -0.25, 0, 0.2, 0.3, 0.9, 7]),
        ("LeakyReLU", {"negative_slope": 0.5}, [-1.5, -0.25, 0, 0.2, 0.3, 0.9, 7]),
        ("Activation", {"activation": "relu6"}, [0, 0, 0, 0.2, 0.3, 0.9, 6]),
        ("Rescaling", {"scale": 2.0, "offset": -1.0}, [-7, -2, -1, -0.6, -0.4, 0.8, 13]),
        ("Dropout", {"rate": 0.9}, X.ravel().tolist()),
    ],
)
def test_layers_without_weights(kind: str, options: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(run(kind, options, {}, X).ravel(), expected, atol=1e-12)


def test_borders_and_means() -> None:
    image = RANDOM.normal(size=(1, 4, 5, 2))
    padded = run("ZeroPadding2D", {"padding": [[1, 0], [2, 3]]}, {}, image)
    assert padded.shape == (1, 5, 10, 2)
    np.testing.assert_allclose(padded[:, 1:, 2:-3], image)
    assert np.abs(padded).sum() == pytest.approx(np.abs(image).sum())
    np.testing.assert_allclose(run("Cropping2D", {"cropping": [[1, 0], [2, 1]]}, {}, image), image[:, 1:, 2:-1])
    np.testing.assert_allclose(run("GlobalAveragePooling2D", {}, {}, image), image.mean(axis=(1, 2)))
    np.testing.assert_allclose(
        run("GlobalMaxPooling2D", {"keepdims": True}, {}, image), image.max(axis=(1, 2), keepdims=True)
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Add", lambda a, b: a + b),
        ("Subtract", lambda a, b: a - b),
        ("Multiply", lambda a, b: a * b),
        ("Average", lambda a, b: (a + b) / 2),
        ("Maximum", np.maximum),
        ("Concatenate", lambda a, b: np.concatenate([a, b], axis=-1)),
    ],
)
def test_merging(kind: str, expected: Any) -> None:
    a, b = RANDOM.normal(size=(2, 1, 3, 4, 2))
    np.testing.assert_allclose(run(kind, {"axis": -1}, {}, a, b), expected(a, b))


def dense(name: str, inputs: int, outputs: int, activation: str = "linear", inbound: tuple[str, ...] = ()) -> Layer:
    weights = {"kernel": RANDOM.normal(size=(inputs, outputs)), "bias": RANDOM.normal(size=outputs)}
    return Layer("Dense", name, {"activation": activation}, weights, inbound)


def test_a_sequential_file_gives_logits_and_gradients(tmp_path: Path) -> None:
    conv = Layer(
        "Conv2D",
        "conv",
        options_of((2, 2), "same") | {"activation": "relu"},
        {"kernel": RANDOM.normal(size=(3, 3, 3, 4)), "bias": RANDOM.normal(size=4)},
    )
    head = dense("head", 48, 5, "softmax")
    write_sequential(tmp_path / "m.h5", (6, 8, 3), [conv, Layer("Flatten", "flat", {}), head], keras_version="2.1.4")
    loaded = load_network(tmp_path / "m.h5", "keras")
    assert (loaded.input_shape, loaded.num_classes, loaded.differentiable) == ((3, 6, 8), 5, True)
    image = RANDOM.normal(size=(6, 8, 3))
    hidden = np.maximum(convolution(image, conv.weights["kernel"], conv.weights["bias"], (2, 2), "same"), 0)
    expected = hidden.ravel() @ head.weights["kernel"] + head.weights["bias"]
    inputs = torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None].requires_grad_(True)
    logits = loaded.network(inputs)
    np.testing.assert_allclose(logits.detach().numpy()[0], expected, rtol=1e-4)
    logits[0, 2].backward()
    assert inputs.grad is not None
    assert float(inputs.grad.abs().sum()) > 0


def test_a_functional_file_with_a_shared_shortcut(tmp_path: Path) -> None:
    layers = [
        Layer("Flatten", "flat", {}, inbound=("input",)),
        dense("a", 4, 3, "relu", ("flat",)),
        Layer("Add", "sum", {}, inbound=("a", "a")),
        dense("out", 3, 2, "linear", ("sum",)),
        Layer("Softmax", "soft", {"axis": -1}, inbound=("out",)),
    ]
    write_functional(tmp_path / "m.h5", (2, 2, 1), layers[::-1], "soft")
    loaded = load_network(tmp_path / "m.h5", "keras", num_classes=2)
    image = RANDOM.normal(size=4)
    hidden = 2 * np.maximum(image @ layers[1].weights["kernel"] + layers[1].weights["bias"], 0)
    expected = hidden @ layers[3].weights["kernel"] + layers[3].weights["bias"]
    found = loaded.network(torch.tensor(image, dtype=torch.float32).reshape(1, 1, 2, 2))
    np.testing.assert_allclose(found.detach().numpy()[0], expected, rtol=1e-4)


def test_a_softmax_that_is_not_the_last_layer_is_undone(tmp_path: Path) -> None:
    head = dense("head", 4, 3, "softmax")
    layers = [Layer("Flatten", "flat", {}), head, Layer("Dropout", "drop", {"rate": 0.5})]
    write_sequential(tmp_path / "m.h5", (2, 2, 1), layers)
    loaded = load_network(tmp_path / "m.h5", "keras")
    image = RANDOM.normal(size=4)
    logits = image @ head.weights["kernel"] + head.weights["bias"]
    found = torch.softmax(loaded.network(torch.tensor(image, dtype=torch.float32).reshape(1, 1, 2, 2)), dim=1)
    np.testing.assert_allclose(found.detach().numpy()[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)


def test_open_sizes_are_settled_by_the_caller(tmp_path: Path) -> None:
    layers = [Layer("GlobalAveragePooling2D", "mean", {}), dense("head", 3, 2)]
    write_sequential(tmp_path / "m.h5", (None, None, 3), layers)
    with pytest.raises(LoadError, match="input_shape"):
        load_network(tmp_path / "m.h5", "keras")
    assert load_network(tmp_path / "m.h5", "keras", input_shape=(3, 5, 7)).input_shape == (3, 5, 7)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([Layer("Lambda", "evil", {"function": ["4wAAAA", None, None]}), dense("d", 4, 2)], UnsafeFileError, "Lambda"),
        ([Layer("Conv2d", "typo", {}), dense("d", 4, 2)], LoadError, "did you mean .*Conv2D"),
        ([Layer("Activation", "act", {"activation": "my_own"}), dense("d", 4, 2)], LoadError, "'my_own' is not known"),
        ([Layer("Flatten", "flat", {}), dense("d", 4, 2, "sigmoid")], LoadError, "one sigmoid per class"),
        ([Layer("Flatten", "flat", {}), dense("d", 5, 2)], LoadError, "'d' cannot be applied"),
        (
            [Layer("Flatten", "flat", {}), Layer("Dense", "bare", {"activation": "relu"})],
            LoadError,
            "'kernel' is missing",
        ),
        ([Layer("Sequential", "inner", {}), dense("d", 4, 2)], LoadError, "model inside a model"),
        ([dense("d", 1, 2)], LoadError, "one row of classes"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, layers: list[Layer], error: type[Exception], message: str
) -> None:
    write_sequential(tmp_path / "m.h5", (2, 2, 1), layers)
    with pytest.raises(error, match=message) as caught:
        load_network(tmp_path / "m.h5", "keras")
    assert "\n" not in str(caught.value)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    write_sequential(tmp_path / "m.h5", (2, 2, 1), [Layer("Flatten", "flat", {}), dense("d", 4, 2)])
    content = (tmp_path / "m.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="damaged or truncated"):
        load_network(tmp_path / "cut.h5", "keras")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(LoadError, match=r"put the model's JSON beside it as bare\.json"):
        load_network(tmp_path / "bare.h5", "keras")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "MyModel", "config": {}})
    with pytest.raises(LoadError, match="'MyModel'"):
        load_network(tmp_path / "other.h5", "keras")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": 3}})
    with pytest.raises(LoadError, match="cannot read"):
        load_network(tmp_path / "odd.h5", "keras")


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    head = dense("d", 4, 2)
    write_sequential(tmp_path / "m.h5", (2, 2, 1), [Layer("Flatten", "flat", {}), head])
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.ones((4, 2), np.float32)
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights/d"]
        del group["d/kernel:0"]
        group["d/kernel:0"] = h5py.ExternalLink("secret.h5", "kernel")
    with pytest.raises(UnsafeFileError, match="points to"):
        load_network(tmp_path / "m.h5", "keras")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights/d"]
        del group["d/kernel:0"]
        (tmp_path / "raw").write_bytes(bytes(32))
        group.create_dataset("d/kernel:0", (4, 2), "f4", external=[(str(tmp_path / "raw"), 0, 32)])
    with pytest.raises(UnsafeFileError, match="points to"):
        load_network(tmp_path / "m.h5", "keras")


@pytest.mark.parametrize("place", ["model_weights", "model_weights/d", "elsewhere/far"])
def test_a_link_to_another_file_is_refused_at_any_level(tmp_path: Path, place: str) -> None:
    for name in ("m.h5", "other.h5"):
        write_sequential(tmp_path / name, (2, 2, 1), [Layer("Flatten", "flat", {}), dense("d", 4, 2)])
    assert load_network(tmp_path / "m.h5", "keras").num_classes == 2
    with h5py.File(tmp_path / "m.h5", "a") as file:
        if place in file:
            del file[place]
        circle = file.require_group("circle")
        circle["again"] = circle  # must not hang the search
        file[place] = h5py.ExternalLink("other.h5", place if place != "elsewhere/far" else "model_weights")
    with pytest.raises(UnsafeFileError, match="points to"):
        load_network(tmp_path / "m.h5", "keras")


def test_circles_are_refused(tmp_path: Path) -> None:
    layers = [
        Layer("Flatten", "flat", {}, inbound=("input",)),
        Layer("Add", "a", {}, inbound=("flat", "b")),
        Layer("Add", "b", {}, inbound=("flat", "a")),
    ]
    write_functional(tmp_path / "m.h5", (2, 2, 1), layers, "b")
    with pytest.raises(LoadError, match="circle"):
        load_network(tmp_path / "m.h5", "keras")


def test_a_file_of_keras_itself() -> None:
    """The file was saved by Keras 3.15.1, which gave these posteriors for these images (rows: image; 5 classes).

    It has strided convolutions of all kinds, a layer used twice, both poolings with padding, and a concatenation.
    """
    loaded = load_network(FIXTURE, "keras")
    images = torch.from_numpy((np.arange(2 * 8 * 7 * 3) % 17 / 16).reshape(2, 8, 7, 3).astype(np.float32))
    found = torch.softmax(loaded.network(images.permute(0, 3, 1, 2)), dim=1).detach().numpy()
    expected = [
        [0.273595, 0.5620089, 0.0010258, 0.1486399, 0.0147304],
        [0.2627499, 0.6016345, 0.0012355, 0.1190188, 0.0153612],
    ]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_an_archive_of_keras_itself() -> None:
    """The archive was saved by Keras 3.15.1, which gave these posteriors for these images (rows: image; 3 classes).

    It has rescaling, plain, separable and depthwise convolutions, batch normalisation with and without scale, and a
    shortcut; its members were compressed afterwards, which Keras does not do.
    """
    loaded = load_network(ARCHIVE, "keras")
    images = np.random.RandomState(0).rand(4, 8, 8, 3).astype(np.float32) * 255
    found = torch.softmax(loaded.network(torch.from_numpy(images).permute(0, 3, 1, 2)), dim=1).detach().numpy()
    expected = [
        [0.3826262, 0.2723364, 0.3450375],
        [0.399119, 0.2606633, 0.3402177],
        [0.4183599, 0.2428187, 0.3388214],
        [0.3822976, 0.2770951, 0.3406073],
    ]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def archive(path: Path, layers: list[dict[str, Any]], arrays: dict[str, list[NDArray[Any]]], name: bool = True) -> Path:
    """A ``.keras`` archive as Keras 3 lays it out; ``arrays`` are by group, ``name`` is what newer releases add."""
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    config["config"]["build_input_shape"] = [None, 2, 2, 1]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for (group, stored), layer in zip(arrays.items(), layers, strict=True):
            variables = file.create_group(f"layers/{group}/vars")
            if name:
                variables.attrs["name"] = layer["config"]["name"]
            for place, array in enumerate(stored):
                variables[str(place)] = array
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("config.json", json.dumps(config))
        packed.writestr("model.weights.h5", content.getvalue())
    return path


KERNELS_OF = {"one": RANDOM.normal(size=(4, 3)), "two": RANDOM.normal(size=(3, 2))}


def dense_layers(*extra: dict[str, Any]) -> list[dict[str, Any]]:
    flat = {"class_name": "Flatten", "config": {"name": "flat"}}
    options = {"activation": "linear", "use_bias": False}
    both = [{"class_name": "Dense", "config": {"name": name, **options}} for name in KERNELS_OF]
    return [*extra, flat, *both]


GROUPS = {"flatten": [], "dense": [KERNELS_OF["one"]], "dense_1": [KERNELS_OF["two"]]}
PIXELS = torch.rand(5, 1, 2, 2)
EXPECTED = PIXELS.reshape(5, 4).numpy() @ KERNELS_OF["one"] @ KERNELS_OF["two"]


@pytest.mark.parametrize("name", [True, False])
def test_layers_of_one_class_are_told_apart_by_name_or_order(tmp_path: Path, name: bool) -> None:
    loaded = load_network(archive(tmp_path / "m.keras", dense_layers(), GROUPS, name), "keras")
    np.testing.assert_allclose(loaded.network(PIXELS).detach(), EXPECTED, atol=1e-5)


LAMBDA = {"class_name": "Lambda", "config": {"name": "prepare", "function": {"class_name": "__lambda__", "config": {}}}}


def test_a_lambda_is_never_run_and_replaced_only_by_what_the_user_says(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", dense_layers(LAMBDA), {"lambda": [], **GROUPS})
    with pytest.raises(UnsafeFileError, match=r'replace_lambda\.prepare = "identity"'):
        load_network(path, "keras")
    as_it_is = load_network(path, "keras", replace_lambda={"prepare": "identity"})
    np.testing.assert_allclose(as_it_is.network(PIXELS).detach(), EXPECTED, atol=1e-5)
    scaled = load_network(path, "keras", replace_lambda={"prepare": Rescale(scale=2.0)})
    np.testing.assert_allclose(scaled.network(PIXELS).detach(), 2 * EXPECTED, atol=1e-5)
    with pytest.raises(UsageError, match="no Lambda layer 'prepar' to replace: did you mean 'prepare'"):
        load_network(path, "keras", replace_lambda={"prepar": "identity"})


def test_weights_alone_with_their_description_beside_them(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", dense_layers(), GROUPS)
    with zipfile.ZipFile(path) as packed:
        config = json.loads(packed.read("config.json"))
        (tmp_path / "cat.weights.h5").write_bytes(packed.read("model.weights.h5"))
    with pytest.raises(LoadError, match=r"as cat\.weights\.json \(`model\.to_json"):
        load_network(tmp_path / "cat.weights.h5", "keras")
    (tmp_path / "cat.json").write_text(json.dumps(config))
    loaded = load_network(tmp_path / "cat.weights.h5", "keras")
    np.testing.assert_allclose(loaded.network(PIXELS).detach(), EXPECTED, atol=1e-5)
    assert loaded.external == (tmp_path / "cat.json",)


def test_weights_of_keras_2_alone(tmp_path: Path) -> None:
    write_sequential(tmp_path / "m.h5", (2, 2, 1), [Layer("Flatten", "flat", {}), dense("d", 4, 2)])
    with h5py.File(tmp_path / "m.h5") as whole, h5py.File(tmp_path / "w.h5", "w") as weights:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)
        weights.attrs["layer_names"] = list(whole["model_weights"])
        (tmp_path / "model.json").write_text(whole.attrs["model_config"])
    expected = load_network(tmp_path / "m.h5", "keras").network(PIXELS)
    torch.testing.assert_close(load_network(tmp_path / "w.h5", "keras").network(PIXELS), expected)


def test_archives_that_are_damaged_or_swell(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", dense_layers(), GROUPS)
    with zipfile.ZipFile(path) as packed:
        config = packed.read("config.json")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", config)
        packed.writestr("model.weights.h5", bytes(1 << 24))
    with pytest.raises(LoadError, match="would unpack to 16 MiB"):
        load_network(path, "keras")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("config.json", config)
        packed.writestr("model.weights.h5", b"nothing")
    with pytest.raises(LoadError, match="damaged or truncated"):
        load_network(path, "keras")
