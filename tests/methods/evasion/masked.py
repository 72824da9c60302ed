"""Networks that are as easy to fool as the one inside, and hide it; one wrapper each."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import dropout, interpolate, pad


class Around(torch.nn.Module):
    """A network with something done to its images before and its logits after."""

    def __init__(self, inner, before=lambda images: images, after=lambda logits: logits):
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, images):
        return self.after(self.inner(self.before(images)))


class WithGradient(torch.autograd.Function):
    """Nothing forwards; backwards what the rule makes of the gradient."""

    @staticmethod
    def forward(ctx, images, rule):
        ctx.rule = rule
        return images.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.rule(gradient), None


def saturated(logits):
    """A steep sigmoid around the middle between the two highest logits: all else is exactly 0 or 1."""
    first, second = logits.topk(2, dim=1).values.T
    return 4 * torch.sigmoid(1000 * (logits - (first + second)[:, None] / 2))


def rounded(levels):
    return lambda images: (images * levels).round() / levels


def compressed(images, step=0.2):
    """As JPEG does: cosines of the whole (small) image, rounded to multiples of a step."""
    side = images.shape[-1]
    place = torch.arange(side, dtype=images.dtype)
    basis = torch.cos(math.pi * place[:, None] * (place[None] + 0.5) / side) * math.sqrt(2 / side)
    basis[0] /= math.sqrt(2)
    coefficients = basis @ images @ basis.T
    return (basis.T @ ((coefficients / step).round() * step) @ basis).clamp(0, 1)


def resized(images):
    """Shrunk by one pixel or not, and put at a random place."""
    height, width = images.shape[2:]
    small = height - int(torch.randint(0, 2, ()))
    top, left = (int(torch.randint(0, side - small + 1, ())) for side in (height, width))
    shrunk = interpolate(images, size=(small, small), mode="bilinear", align_corners=False)
    return pad(shrunk, (left, width - small - left, top, height - small - top))


def _nowhere(gradient):
    """Random, and smaller than what any step would need to know."""
    return torch.randn(gradient.shape, generator=torch.Generator().manual_seed(gradient.numel()))


def _one_pixel(gradient):
    kept = torch.zeros_like(gradient)
    kept[..., 0, 0] = gradient[..., 0, 0]
    return kept


MASKS = {
    "logits x 10": lambda inner: Around(inner, after=lambda z: 10 * z),
    "logits x 100": lambda inner: Around(inner, after=lambda z: 100 * z),
    "logits x 1,000": lambda inner: Around(inner, after=lambda z: 1000 * z),
    "logits x 10,000": lambda inner: Around(inner, after=lambda z: 10_000 * z),
    "temperature 1,000": lambda inner: Around(inner, after=lambda z: z / 1000),
    "saturated sigmoid": lambda inner: Around(inner, after=saturated),
    "five grey levels": lambda inner: Around(inner, before=rounded(4)),
    "rounded cosines": lambda inner: Around(inner, before=compressed),
    "random resizing": lambda inner: Around(inner, before=resized),
    "dropout left on": lambda inner: Around(inner, before=lambda x: dropout(x, 0.1, training=True)),
    "a step": lambda inner: Around(inner, before=lambda x: (x > 0.5).to(x.dtype) + 0 * x),
    "rounded logits": lambda inner: Around(inner, after=lambda z: (2 * z).round() / 2 + 0 * z),
    "gradient to nowhere": lambda inner: Around(inner, before=lambda x: WithGradient.apply(x, _nowhere)),
    "gradient reversed": lambda inner: Around(inner, before=lambda x: WithGradient.apply(x, torch.neg)),
    "gradient of one pixel": lambda inner: Around(inner, before=lambda x: WithGradient.apply(x, _one_pixel)),
}
