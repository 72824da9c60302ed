from pathlib import Path

import torch

from assay.methods.method import Context


def draw(seed: int, purpose: str) -> list[float]:
    context = Context(seed=seed, device=torch.device("cpu"), artefacts=Path(), shared=Path())
    return torch.rand(4, generator=context.generator(purpose)).tolist()


def test_a_generator_depends_on_the_seed_and_on_the_purpose_and_on_nothing_else():
    assert draw(0, "split") == draw(0, "split")
    assert draw(0, "split") != draw(1, "split")
    assert draw(0, "split") != draw(0, "noise")
    assert draw(1 << 40, "split") != draw(0, "split")
