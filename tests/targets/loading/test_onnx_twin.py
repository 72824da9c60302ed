"""Gradients through ONNX files: exported networks, float and int8, in any batch, and what has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from assay.targets.loading import load_network

SHAPE = (3, 12, 12)
IMAGES = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """Residual, with what exporters make of such things: slices, concatenation, an odd pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 4, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        made = torch.nn.functional.hardswish(self.norm(self.first(maps)) + maps)
        left, right = made.chunk(2, dim=1)
        return torch.cat([self.second(made), left * torch.sigmoid(right)], dim=1)


def network(softmax: bool = False) -> nn.Module:
    torch.manual_seed(3)
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        Block(),
        nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
        nn.GELU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(32, 16),
        nn.LayerNorm(16),
        nn.ReLU6(),
        nn.Linear(16, 5),
    ]
    net = nn.Sequential(*layers, *([nn.Softmax(1)] if softmax else []))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


def export(net: nn.Module, path: Path, batch: int = 0) -> Path:
    torch.onnx.export(
        net,
        (torch.zeros(batch or 2, *SHAPE),),
        str(path),
        dynamo=False,
        input_names=["x"],
        dynamic_axes=None if batch else {"x": {0: "n"}},
        opset_version=17,
    )
    return path


def gradient(net: nn.Module) -> torch.Tensor:
    images = IMAGES.clone().requires_grad_(True)
    logits = net(images)
    (found,) = torch.autograd.grad(logits.log_softmax(1)[:, 2].sum(), images)
    return found


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("softmax", [False, True])
def test_a_float_twin_has_the_networks_answers_and_gradients(tmp_path: Path, batch: int, softmax: bool) -> None:
    loaded = load_network(export(network(softmax), tmp_path / "a.onnx", batch), "onnx")
    assert loaded.twin is not None, loaded.no_twin
    logits = network()(IMAGES)
    torch.testing.assert_close(loaded.twin(IMAGES), logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loaded.network(IMAGES).softmax(1), logits.softmax(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient(loaded.twin), gradient(network()), rtol=1e-3, atol=1e-6)


def test_operators_that_hold_the_batch_in_themselves(tmp_path: Path) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.token, self.head = nn.Parameter(torch.randn(1, 1, 12)), nn.Linear(12, 4)
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            rows = torch.cat([self.token.expand(len(images), -1, -1), images.mean(1)], dim=1)
            return self.head(self.attention(rows, rows, rows, need_weights=True)[0][:, 0])

    net = Tokens().eval()
    loaded = load_network(export(net, tmp_path / "a.onnx", 3), "onnx")
    assert loaded.twin is not None, loaded.no_twin
    torch.testing.assert_close(loaded.twin(IMAGES), net(IMAGES), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient(loaded.twin), gradient(net), rtol=1e-3, atol=1e-6)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.parts = iter([{"x": IMAGES.numpy()}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.parts, None)


@pytest.mark.parametrize("per_channel", [False, True])
def test_an_int8_twin_rounds_as_the_file_does(tmp_path: Path, per_channel: bool) -> None:
    export(network(), tmp_path / "a.onnx")
    quantize_static(
        tmp_path / "a.onnx",
        tmp_path / "q.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    loaded = load_network(tmp_path / "q.onnx", "onnx")
    assert loaded.twin is not None, loaded.no_twin
    images = torch.rand(400, *SHAPE, generator=torch.Generator().manual_seed(1))
    twin, own = (net(images).detach() for net in (loaded.twin, loaded.network))
    step = own.unique().diff().min()
    # What lies between two steps of a layer inside may fall to either side, and moves the answer by a few steps.
    assert (twin - own).abs().mean() < step
    assert (twin - own).abs().max() < 5 * step
    assert ((twin / step).round() * step - twin).abs().max() < 0.02 * step
    assert (twin.argmax(1) == own.argmax(1)).float().mean() >= 0.98
    similarity = torch.nn.functional.cosine_similarity(gradient(loaded.twin).flatten(1), gradient(network()).flatten(1))
    assert similarity.mean() > 0.9


def test_an_operator_without_a_gradient_is_named_and_the_file_still_answers(tmp_path: Path) -> None:
    kernel = numpy_helper.from_array(np.random.default_rng(0).normal(size=(432, 4)).astype(np.float32), "kernel")
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["y"]),
        helper.make_node("Round", ["y"], ["z"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [z], [kernel]), ir_version=9)
    onnx.save(model, tmp_path / "a.onnx")
    loaded = load_network(tmp_path / "a.onnx", "onnx")
    assert loaded.twin is None
    assert loaded.no_twin == "the operator Round: no gradient"
    assert loaded.network(IMAGES).shape == (7, 4)


def test_a_twin_that_answers_otherwise_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.targets.loading import onnx_operators

    monkeypatch.setitem(onnx_operators.OPERATIONS, "Relu", lambda node, values: values)
    loaded = load_network(
        export(nn.Sequential(nn.Flatten(), nn.Linear(432, 6), nn.ReLU()), tmp_path / "a.onnx"), "onnx"
    )
    assert loaded.twin is None
    assert "off by" in loaded.no_twin
