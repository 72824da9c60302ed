"""Intervals of means over targets: the targets are what varies, however often each was measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from assay.analysis.mixed import fit


@pytest.mark.parametrize("each", [2, 20])
def test_a_balanced_mean_has_the_interval_of_its_groups_means(each: int) -> None:
    generator = np.random.default_rng(3)
    table = generator.normal(0, 1, (5, 1)) + generator.normal(0, 0.1, (5, each))
    model = fit(table.ravel(), np.ones((5 * each, 1)), np.repeat(np.arange(5), each))
    _, found = model.estimate([1.0])
    means = table.mean(axis=1)
    low, high = stats.t.interval(0.95, 5 - 1, means.mean(), stats.sem(means))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-4)


def test_more_seeds_do_not_make_targets_more() -> None:
    generator = np.random.default_rng(4)
    held = 0
    for _ in range(300):
        table = generator.normal(0, 1, (4, 1)) + generator.normal(0, 0.05, (4, 10))
        _, bounds = fit(table.ravel(), np.ones((40, 1)), np.repeat(np.arange(4), 10)).estimate([1.0])
        held += bounds.low <= 0 <= bounds.high
    assert 0.92 <= held / 300 <= 0.98
