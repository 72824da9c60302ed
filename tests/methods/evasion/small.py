"""A small trained-like network and images for it."""

from __future__ import annotations

import numpy as np
import torch

from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.targets.target import Target

torch.set_num_threads(1)  # threads only wait for each other on networks this small

SHAPE = (2, 4, 5)
CLASSES = 3


def network(seed=0, sharpness=1.0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(2, 4, 3, padding=1),
            torch.nn.Tanh(),
            torch.nn.Flatten(),
            torch.nn.Linear(80, CLASSES),
        )
    with torch.no_grad():
        module[-1].weight.mul_(4 * sharpness)
        module[-1].bias.mul_(4 * sharpness)
    return module


def pictures(count, seed=0):
    random = np.random.default_rng(seed)
    images = random.uniform(-0.2, 1.2, (count, *SHAPE)).clip(0, 1).astype(np.float32)
    return torch.from_numpy(images)


def target_of(module, count=60, wrong=10):
    """A target whose labels are its own predictions, but for the first ``wrong``."""
    images = pictures(count)
    labels = module(images).argmax(1).numpy()
    labels[:wrong] = (labels[:wrong] + 1) % CLASSES
    splits = Splits(non_members=ArrayImages(images.numpy(), labels, "pictures"))
    return Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES, splits=splits)


def context_of(folder, **changes):
    return Context(seed=0, device=torch.device("cpu"), artefacts=folder, shared=folder, **changes)
