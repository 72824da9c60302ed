"""The bootstrap keeps a row's columns together."""

from __future__ import annotations

import numpy as np

from assay.base.intervals import bootstrap


def test_equal_columns_never_differ() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = bootstrap(lambda a, b: a.mean(axis=1) - b.mean(axis=1), values, values.copy(), seed=1)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_paired_difference_is_as_narrow_as_its_differences() -> None:
    generator = np.random.default_rng(2)
    base, apart = generator.normal(0, 10, 400), generator.normal(0.3, 0.1, 400)
    found = bootstrap(lambda a, b: np.median(a - b, axis=1), base + apart, base, seed=3)
    assert found.low < 0.3 < found.high
    assert found.high - found.low < 0.05
