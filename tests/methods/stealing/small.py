"""A small service to steal from: it names the brightest quadrant, and counts what it is asked."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.store import image_keys
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.targets.target import Target

SHAPE = (1, 8, 8)
CLASSES = 4
FAST = {"architecture": "digits-mlp", "batch_size": 16, "epochs": 1, "learning_rate": 0.01}

QUICK = {
    "adversarial": "adversarial:rounds=2,epochs=1",
    "data-free": "data-free:batch_size=4,passes=1,latent=4",
    "dfal": "dfal:rounds=2",
    "dfal-k-center": "dfal-k-center:rounds=2",
    "entropy": "entropy:rounds=2",
    "jacobian": "jacobian:seeds=8,epochs=1",
    "k-center": "k-center:rounds=2",
    "knockoff": "knockoff:arms=3,batch=8",
    "margin": "margin:rounds=2",
    "random": "random",
}
"""Every strategy, as cheap as it gets."""


class Killed(BaseException):
    """The process dies here."""


class Service:
    """Answers posteriors; ``seen`` are the keys of the images asked; it dies when more than ``lives`` were."""

    def __init__(self, lives=None):
        self.seen = []
        self.lives = lives

    def __call__(self, images):
        keys = [key.tobytes() for key in image_keys(torch.from_numpy(images))]
        if self.lives is not None and len(self.seen) + len(keys) > self.lives:
            raise Killed
        self.seen += keys
        return softmax(images.reshape(-1, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(-1, CLASSES) * 25, axis=1)


def images_of(count, seed, labels=None):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, *SHAPE)).astype(np.float32)
    truth = images.reshape(count, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(count, CLASSES).argmax(1)
    return ArrayImages(images, truth if labels is None else labels, f"images {seed}")


def splits_of(pool=60, test=20):
    return Splits(non_members=images_of(test, 1), auxiliary=images_of(pool, 2))


def oracle_of(service, folder, serving=None):
    target = Target.from_function(service, digest="quadrants", input_shape=SHAPE, num_classes=CLASSES)
    return Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", CLASSES))


def context_of(folder, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    return Context(seed=seed, device=torch.device("cpu"), artefacts=folder, shared=folder / "shared")
