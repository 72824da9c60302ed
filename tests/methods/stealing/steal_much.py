"""Asks 5,000 questions adaptively and prints the bytes of memory that it took beyond a theft of 50. Run by a test."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.methods.stealing.theft import Theft
from assay.targets.target import Target

torch.set_num_threads(1)
SHAPE = (3, 32, 32)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def answer(images: np.ndarray) -> np.ndarray:
    bright = images.mean(axis=(1, 2, 3))
    return np.stack([bright, 1 - bright], axis=1)


def steal(budget: int, strategy: str, pool: ArrayImages) -> None:
    folder = Path(tempfile.mkdtemp())
    target = Target.from_function(answer, digest="brightness", input_shape=SHAPE, num_classes=2)
    oracle = Oracle(target, Serving(), PosteriorStore(folder / "store", 2))
    splits = Splits(non_members=ArrayImages(pool.images[:100], pool.labels[:100], "test"), auxiliary=pool)
    context = Context(seed=0, device=torch.device("cpu"), artefacts=folder, shared=folder)
    options = {"architecture": "digits-mlp", "epochs": 1, "strategy": strategy}
    Theft(budget=budget, **options).run(oracle, splits, context)
    assert oracle.ledger.images == budget


if __name__ == "__main__":
    random = np.random.default_rng(0)
    pool = ArrayImages(random.integers(0, 256, (20_000, *SHAPE), np.uint8), np.zeros(20_000, np.int64), "pool")
    steal(50, sys.argv[1], pool)
    before = peak()
    steal(5_000, sys.argv[1], pool)
    print(peak() - before)
