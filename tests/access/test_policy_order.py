"""Policies are applied in the order in which they are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.policies import Asked
from assay.access.policies.policy import parse_policy
from assay.access.store import image_keys
from assay.targets.target import Target

WEIGHTS = np.random.default_rng(0).normal(0, 3, (16, 5)).astype(np.float32)


def answer(images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    logits = images.reshape(len(images), -1) @ WEIGHTS
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("names", [("rounding=1", "temperature=4"), ("temperature=4", "rounding=1")])
def test_one_after_the_other(names: tuple[str, ...], tmp_path: Path) -> None:
    images = torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    target = Target.from_function(answer, digest="1", input_shape=(1, 4, 4), num_classes=5)
    served = Oracle(target, Serving(policies=names), PosteriorStore(tmp_path / "a.bin", 5)).ask(images).posteriors
    asked = Asked(images, image_keys(images))
    by_hand = answer(images.numpy()).astype(np.float32)
    for name in names:
        by_hand = parse_policy(name)(by_hand, asked)
    assert served is not None
    np.testing.assert_allclose(served, by_hand, atol=1e-5)
