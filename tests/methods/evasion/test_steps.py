"""Steps of the attacks by questions that success rates alone would not miss."""

from __future__ import annotations

import pytest
import torch

from assay.access import WhiteBox
from assay.methods.evasion.ball import Ball, lengths, unit
from assay.methods.evasion.greedy import GreedyOptions, gfcs
from assay.methods.evasion.square import HALVINGS, _step_bumps, share, start, step
from assay.targets.target import Target


def test_the_schedule_of_squares_is_stretched_to_the_questions():
    for number in (0, 1, 7, 30, 99):
        assert share(0.8, number, 100) == share(0.8, 10 * number, 1000) == share(0.8, 100 * number, 10_000)
    assert share(0.8, 1, 10_000) == 0.8
    assert share(0.8, 99, 100) == pytest.approx(0.8 / 2 ** len(HALVINGS))


@pytest.mark.parametrize("length", [0.2, 0.7, 1.0])
def test_a_square_in_l2_spends_the_whole_length(length):
    """What the change has lost of epsilon comes back, however short it has become."""
    generator = torch.Generator().manual_seed(0)
    change = length * unit(torch.randn((6, 3, 16, 16), generator=generator))
    for covered in (0.05, 0.3):
        moved = _step_bumps(Ball("l2", 1.0), change, covered, generator)
        assert torch.allclose(lengths(moved).flatten(), torch.ones(6), atol=1e-4)
        assert not torch.equal(moved, change)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_candidates_use_the_whole_ball(norm):
    generator = torch.Generator().manual_seed(1)
    images = torch.full((5, 3, 12, 12), 0.5)
    ball = Ball(norm, 0.1)
    points = start(ball, images, generator)
    for covered in (0.4, 0.05):
        assert torch.allclose(ball.sizes(points - images), torch.full((5,), 0.1), atol=1e-5)
        points = step(ball, images, points, covered, generator)


class Scripted:
    """A target whose loss rises at the questions of a script alone; it keeps what it was asked."""

    def __init__(self, rises):
        self.rises, self.asked, self.height = rises, [], 0.0

    def __call__(self, points):
        self.asked.append(points[0].clone())
        rises = len(self.asked) - 1 in self.rises
        self.height += rises
        return torch.tensor([[9.0, self.height - (0 if rises or len(self.asked) == 1 else 0.5), -5.0]])


def test_gfcs_comes_back_to_the_surrogate_after_a_success():
    """The surrogate's gradient, both ways; random combinations until one raises the loss; then the gradient again."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn((3, 16), generator=generator)
    surrogate = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    with torch.no_grad():
        surrogate[1].weight.copy_(weights)
    prior = WhiteBox(Target.from_module(surrogate, input_shape=(1, 4, 4), num_classes=3))
    image, label = torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, dtype=torch.int64)
    target = Scripted(rises={6})
    options = GreedyOptions(max_queries=9, epsilon=1.0, step=0.1)
    gfcs(target, image, label, prior, options, generator)
    steady = unit((weights[1] - weights[0]).view(1, 4, 4))
    moved = [(point - image[0]) / 0.1 for point in target.asked]
    cosine = [float((direction * steady).sum()) for direction in moved]
    assert cosine[1:3] == pytest.approx([1.0, -1.0], abs=1e-4)
    assert all(abs(value) < 0.99 for value in cosine[3:7])
    after = [float((((point - target.asked[6]) / 0.1) * steady).sum()) for point in target.asked[7:9]]
    assert after == pytest.approx([1.0, -1.0], abs=1e-4)
