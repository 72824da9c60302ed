"""Trains a small network once it is told to, and prints the seconds that it took. Run by a test, several at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from assay.training import Recipe, fit, seeded_build

ready, go, architecture = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
random = torch.Generator().manual_seed(0)
images = torch.randint(0, 256, (640, 1, 16, 16), dtype=torch.uint8, generator=random)
labels = torch.randint(0, 4, (640,), generator=random)
recipe = Recipe(epochs=8, batch_size=64)
module = seeded_build(architecture, 4, (1, 16, 16), 0)
fit(module, images[:64], labels[:64], recipe, seed=0, device=torch.device("cpu"))
ready.touch()
while not go.exists():
    time.sleep(0.01)
start = time.perf_counter()
fit(module, images, labels, recipe, seed=0, device=torch.device("cpu"))
print(time.perf_counter() - start)
