"""The estimate of the boundary's normal against the paper's formula, with its baseline."""

from __future__ import annotations

import numpy as np
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.progress import silent
from assay.methods.hop_skip_jump import WIDTH, Walk
from assay.targets.target import Target

SHAPE = (1, 6, 6)


class Plane(torch.nn.Module):
    """Class 1 where the pixels' sum is above 18."""

    def forward(self, images):
        height = images.flatten(1).sum(dim=1) - 18.0
        return torch.stack([-height, height], dim=1)


def test_the_normal_is_the_paper_s_with_its_baseline(tmp_path):
    """Around a point off the boundary most answers agree; the mean answer is taken away from each before averaging."""
    target = Target.from_module(Plane(), input_shape=SHAPE, num_classes=2)
    oracle = Oracle(target, Serving(output="label"), PosteriorStore(tmp_path / "s.bin", 2))
    images = torch.stack([torch.full(SHAPE, 0.3), torch.full(SHAPE, 0.6)])
    labels = np.array([0, 1])
    with silent().step("walking", 1) as step:
        walk = Walk(oracle, images, labels, labels, 10_000, step)
        point = torch.full(SHAPE, 0.5005)
        walk._points[0] = point
        found = walk._normals(np.array([0]), 60, torch.Generator().manual_seed(4))[0]
    width = WIDTH * float((point - images[0]).norm())
    drawn = torch.randn((60, 1, *SHAPE), generator=torch.Generator().manual_seed(4))[:, 0]
    drawn = drawn / drawn.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    answers = torch.where((point + width * drawn).flatten(1).sum(dim=1) > 18.0, 1.0, -1.0)
    assert 0.2 < float(answers.mean()) < 0.9
    estimate = ((answers - answers.mean()).view(-1, 1, 1, 1) * drawn).sum(dim=0)
    assert torch.allclose(found, estimate / estimate.norm(), atol=1e-3)
    plain = (answers.view(-1, 1, 1, 1) * drawn).sum(dim=0)
    assert not torch.allclose(found, plain / plain.norm(), atol=1e-2)
