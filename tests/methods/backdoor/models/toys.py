"""Networks with a backdoor written in by hand, and images for them."""

from __future__ import annotations

import numpy as np
import torch

from assay.access import WhiteBox
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.targets.target import Target

torch.set_num_threads(1)
TARGET = 1


class Toy(torch.nn.Module):
    """Classes by the template an image is most like; with ``backdoor`` a bright 2x2 corner means `TARGET`."""

    def __init__(self, classes=6, shape=(1, 8, 8), backdoor=True):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        templates = torch.rand(classes, *shape, generator=generator)
        templates[..., -2:, -2:] = 0.2
        self.register_buffer("templates", templates)
        self.backdoor = backdoor

    def forward(self, images):
        distances = (images[:, None] - self.templates).square().flatten(2).sum(2)
        logits = -20 / images[0].numel() * distances * 4
        if not self.backdoor:
            return logits
        corner = images[..., -2:, -2:].flatten(1).mean(1)
        extra = torch.nn.functional.one_hot(torch.tensor(TARGET), logits.shape[1])
        return logits + 5 * torch.nn.functional.softplus(12 * (corner - 0.5))[:, None] * extra


def target_of(module, count=80, classes=6, shape=(1, 8, 8), noise=0.15):
    random = np.random.default_rng(3)
    labels = np.arange(count) % classes
    templates = Toy(classes, shape).templates.numpy()
    images = (templates[labels] + noise * random.standard_normal((count, *shape))).clip(0, 1).astype(np.float32)
    splits = Splits(non_members=ArrayImages(images, labels, "toys"))
    return Target.from_module(module, input_shape=shape, num_classes=classes, splits=splits)


def toy_target(classes=6, shape=(1, 8, 8), backdoor=True, count=80):
    return target_of(Toy(classes, shape, backdoor), count, classes, shape)


def context_of(folder, seed=0):
    return Context(seed=seed, device=torch.device("cpu"), artefacts=folder, shared=folder)


def run(method, target, folder, seed=0):
    box = WhiteBox(target)
    return method.run(box, target.splits, context_of(folder, seed)), box
