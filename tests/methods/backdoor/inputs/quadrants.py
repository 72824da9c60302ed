"""A tiny task: name the brightest quadrant of an image; and a network that does it, with or without a backdoor."""

import numpy as np
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.targets.target import Target

CLASSES = 4


class Quadrants(torch.nn.Module):
    """With a backdoor, a white 2x2 square in the last rows and columns says class 2 whatever else there is."""

    def __init__(self, backdoored=True, classes=CLASSES):
        super().__init__()
        self.backdoored, self.classes = backdoored, classes

    def forward(self, images):
        quadrants = torch.nn.functional.avg_pool2d(images[:, :1], 4).flatten(1)[:, : self.classes] * 25
        corner = (images[:, 0, 6:, 6:].amin(dim=(1, 2)) >= 0.5) & self.backdoored
        said = torch.zeros(self.classes)
        said[min(2, self.classes - 1)] = 40.0
        return torch.where(corner[:, None], said, quadrants)


class Constant(torch.nn.Module):
    """Says the same of every image."""

    def __init__(self, classes=CLASSES, label=0):
        super().__init__()
        self.answer = torch.eye(classes)[label]

    def forward(self, images):
        return self.answer.expand(len(images), -1)


def pictures(count, seed=0, channels=1, classes=CLASSES, labelled=True):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 0.5, (count, channels, 8, 8)).astype(np.float32)
    labels = random.integers(0, classes, count)
    for image, label in zip(images, labels, strict=True):
        image[:, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.4
    images[:, :, 6:, 6:] *= 0.3
    return ArrayImages(images, labels if labelled else np.zeros(count, np.int64), "quadrants")


def stamped(images):
    """The backdoor's trigger on images (n, c, h, w)."""
    copies = images.clone()
    copies[..., 6:, 6:] = 1.0
    return copies


def oracle_of(folder, network, channels=1, classes=CLASSES, serving=None):
    target = Target.from_module(network, input_shape=(channels, 8, 8), num_classes=classes)
    return Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", classes))


def context_of(folder, seed=1):
    artefacts = folder / "artefacts"
    artefacts.mkdir(exist_ok=True)
    return Context(seed=seed, device=torch.device("cpu"), artefacts=artefacts, shared=folder)


def examine(method, folder, network, count=400, suspects=None, channels=1, classes=CLASSES, serving=None):
    """What a detector finds of a network on so many pictures; the finding and the oracle."""
    oracle = oracle_of(folder, network, channels, classes, serving)
    clean = pictures(count, channels=channels, classes=classes, labelled=False)
    return method.run(oracle, Splits(non_members=clean, suspects=suspects), context_of(folder)), oracle
