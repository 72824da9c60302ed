"""Small networks for small grey or colour images, such as scikit-learn's digits of 8x8 pixels.

The convolutional ones take any input of at least 4x4 pixels, the others any at all; all work on pixels in [0, 1].
"""

from __future__ import annotations

import math

import torch
from torch import nn

from assay.data.images import Shape
from assay.targets.architectures.registry import ARCHITECTURES


@ARCHITECTURES.add("digits-mlp")
def mlp(num_classes: int, input_shape: Shape) -> nn.Module:
    """One hidden layer of 64 units."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 64), nn.ReLU(), nn.Linear(64, num_classes))


@ARCHITECTURES.add("digits-mlp-deep")
def mlp_deep(num_classes: int, input_shape: Shape) -> nn.Module:
    """Three hidden layers of 96 units."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in (math.prod(input_shape), 96, 96):
        layers += [nn.Linear(width, 96), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(96, num_classes))


@ARCHITECTURES.add("digits-cnn")
def cnn(num_classes: int, input_shape: Shape) -> nn.Module:
    """Two convolutions of 16 and 32 channels, one hidden layer of 64 units."""
    return _convolutional(num_classes, input_shape, width=16)


@ARCHITECTURES.add("digits-cnn-wide")
def cnn_wide(num_classes: int, input_shape: Shape) -> nn.Module:
    """`cnn` with twice as many channels."""
    return _convolutional(num_classes, input_shape, width=32)


def _convolutional(num_classes: int, input_shape: Shape, width: int) -> nn.Module:
    channels, height, image_width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (height // 4) * (image_width // 4), 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


class Residual(nn.Module):
    """Two normalised 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


@ARCHITECTURES.add("digits-resnet")
def resnet(num_classes: int, input_shape: Shape) -> nn.Module:
    """Three residual blocks of 16, 32 and 32 channels, then the mean over all positions."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 32, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )


class VisionTransformer(nn.Module):
    """A vision transformer on patches of 2x2 pixels; the mean of all tokens is classified."""

    def __init__(self, num_classes: int, input_shape: Shape, width: int, depth: int, heads: int) -> None:
        super().__init__()
        channels, height, image_width = input_shape
        self.embed = nn.Conv2d(channels, width, 2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(1, (height // 2) * (image_width // 2), width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.position
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


class Block(nn.Module):
    """Self-attention, then two dense layers, each normalised first and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps tokens (n, t, width) to tokens of the same shape."""
        count, length, width = tokens.shape
        query, key, value = self.qkv(self.norm1(tokens)).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(mixed.transpose(1, 2).reshape(count, length, width))
        return tokens + torch.as_tensor(self.dense(self.norm2(tokens)))


@ARCHITECTURES.add("digits-vit")
def vit(num_classes: int, input_shape: Shape) -> nn.Module:
    """A vision transformer of 3 blocks, 32 wide, with 4 heads, on patches of 2x2 pixels."""
    return VisionTransformer(num_classes, input_shape, width=32, depth=3, heads=4)
