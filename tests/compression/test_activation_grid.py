"""A static grid of activations reaches from the least to the largest value that was seen, on both sides of 0."""

from __future__ import annotations

import copy

import numpy as np
import torch

from assay.compression.compression import Workshop, compress, parse
from assay.data.images import ArrayImages


@torch.no_grad()
def test_negative_activations_keep_their_place() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Linear(8, 3))
    network[1].bias.data.fill_(-2.0)  # what the last layer is given is mostly negative
    pixels = np.random.default_rng(0).random((64, 1, 4, 4), np.float32)
    images = ArrayImages(pixels, np.zeros(64, np.int64), "noise")
    made = compress(copy.deepcopy(network), parse("activations"), Workshop((1, 4, 4), 3, images))
    inside = network[1](network[0](torch.from_numpy(pixels)))
    assert float((inside < 0).float().mean()) > 0.9
    # One step of the grid at every input, times the weights that it meets.
    step = float(inside.max().clamp_min(0) - inside.min()) / 255
    first = 1 / 255 * float(network[1].weight.abs().sum(1).max())
    most = (step / 2 + first / 2) * float(network[2].weight.abs().sum(1).max())
    apart = (made(torch.from_numpy(pixels)) - network(torch.from_numpy(pixels))).abs()
    assert float(apart.max()) <= most + 1e-5
