"""Architectures: sizes, counts, the parameter-free shortcut, and those of libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError, UsageError
from assay.data.images import Shape
from assay.targets.architectures import ARCHITECTURES, build
from assay.targets.architectures.resnet_option_a import Block

PARAMETERS = {
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet56": 853_018,
    "resnet18-cifar": 11_173_962,
    "small-cnn": 288_746,
    "kw-small": 214_918,
    "oval-base": 105_966,
    "eran-conv-small": 125_318,
    "badnets-cnn": 429_290,
    "tiny-resnet": 78_042,
    "tiny-vit": 141_090,
}
"""For ten classes of 3x32x32. Those of resnet20, 32, 56 and resnet18-cifar are the published ones."""

DEEPER = ("resnet32", "resnet44", "resnet56", "resnet110")
"""The same code as resnet20, run more often."""


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    assert parameters(build(name, 10, (3, 32, 32))) == PARAMETERS[name]


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES.names() if name not in (*DEEPER, "vector:mlp")])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 36, 28)])
def test_every_architecture_answers_for_each_image_alone(name: str, shape: Shape) -> None:
    torch.manual_seed(0)
    network = build(name, 7, shape).eval()
    images = torch.rand(3, *shape)
    with torch.no_grad():
        together, alone = network(images), network(images[1:2])
    assert together.shape == (3, 7)
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0


@settings(max_examples=5, deadline=None)
@given(side=st.integers(8, 20), channels=st.integers(1, 5), name=st.sampled_from(["small-cnn", "resnet18-cifar"]))
def test_surrogates_take_any_small_image(side: int, channels: int, name: str) -> None:
    assert build(name, 4, (channels, side, side + 1)).eval()(torch.rand(1, channels, side, side + 1)).shape == (1, 4)


@settings(max_examples=20, deadline=None)
@given(inputs=st.integers(1, 4), added=st.integers(0, 5), stride=st.integers(1, 2), side=st.integers(2, 6))
def test_the_shortcut_skips_pixels_and_adds_channels_of_zeros(inputs: int, added: int, stride: int, side: int) -> None:
    block = Block(inputs, inputs + added, stride).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    images = torch.rand(1, inputs, side, side)
    found = block(images)[0].detach().numpy()
    expected = np.zeros_like(found)
    for channel in range(inputs):
        for row in range(found.shape[1]):
            for column in range(found.shape[2]):
                expected[channel + added // 2, row, column] = images[0, channel, row * stride, column * stride]
    np.testing.assert_array_equal(found, expected)


def test_libraries_fit_channels_and_sizes_where_they_can() -> None:
    assert build("timm:resnet18", 5, (1, 40, 40)).eval()(torch.zeros(1, 1, 40, 40)).shape == (1, 5)
    assert build("timm:vit_tiny_patch16_224", 5, (3, 32, 32)).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert build("torchvision:mobilenet_v3_small", 5, (3, 32, 32)).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    with pytest.raises(DataError, match="takes three channels"):
        build("torchvision:resnet18", 5, (1, 32, 32))
    with pytest.raises(DataError, match="cannot be built for images of 3x30x30"):
        build("torchvision:vit_b_16", 5, (3, 30, 30))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet21", "no architecture 'resnet21': did you mean 'resnet32' or 'resnet20'"),
        ("timm:resnet1888", "timm has no network 'resnet1888': did you mean 'resnet18'"),
        ("torchvision:resnet1", "torchvision has no classifier 'resnet1': did you mean 'resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "torchvision's fasterrcnn_resnet50_fpn detects"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, 10, (3, 32, 32))
