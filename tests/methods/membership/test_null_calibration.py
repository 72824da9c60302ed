"""Where nothing leaks, 95 % intervals hold the truth in 93 to 97 % of 1,000 repetitions (arrays, not trainings)."""

import numpy as np
import pytest

from assay.base.intervals import auc_bounds, delong_auc
from assay.methods.membership.results import gap_metrics
from assay.methods.membership.roc import held_out_accuracy, operate, roc_curve, tpr_at

REPETITIONS = 1000
SHAPES = {
    "uniform": lambda generator, n: generator.random(n),
    "confident": lambda generator, n: generator.beta(8, 0.5, n),
    "tied": lambda generator, n: np.minimum(generator.geometric(0.2, n), 12) / 12,
}
SIZES = [(1000, 1000), (2000, 400)]


def unseen(shape, members, non_members):
    """Scores of unseen data, split at random: repetitions of a pair."""
    generator = np.random.default_rng([members, *shape.encode()])
    for _ in range(REPETITIONS):
        scores = SHAPES[shape](generator, members + non_members)
        yield scores[:members], scores[members:]


def check(held):
    assert 0.93 <= sum(held) / len(held) <= 0.97, sum(held) / len(held)


def holds(bounds, truth):
    return bounds.low <= truth <= bounds.high


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_auc(shape, sizes):
    check([holds(auc_bounds(delong_auc(*pair)), 0.5) for pair in unseen(shape, *sizes)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_balanced_accuracy(shape, sizes):
    check([holds(held_out_accuracy(*pair, seed).bounds, 0.5) for seed, pair in enumerate(unseen(shape, *sizes))])


@pytest.mark.parametrize("sizes", SIZES)
def test_correctness(sizes):
    generator = np.random.default_rng(0)
    held = []
    for _ in range(REPETITIONS):
        right = [generator.random(n) < 0.8 for n in sizes]
        gap, auc = gap_metrics(*right)[2:]
        held.append(holds(gap.interval, 0))
        assert holds(auc.interval, 0.5) == held[-1]
    check(held)


@pytest.mark.parametrize("rate", [0.05, 0.01])
def test_true_positive_rate_at_the_threshold_that_was_found(rate):
    """Of uniform scores, the share above a threshold t is 1 - t, whatever non-members the threshold came from."""
    held, at_rate = [], []
    for pair in unseen("uniform", 10_000, 1000):
        roc = roc_curve(*pair)
        bounds = tpr_at(roc, rate).bounds
        held.append(holds(bounds, 1 - operate(roc, rate).threshold))
        at_rate.append(holds(bounds, rate))
    check(held)
    assert sum(at_rate) / len(at_rate) < 0.6
