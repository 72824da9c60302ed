from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from assay.analysis.correlation import (
    benjamini_hochberg,
    correlate,
    holm,
    partial,
    pearson,
    rank_interval,
    spearman,
    without_lowest,
    without_most_influential,
    z_interval,
)
from assay.base.errors import DataError
from oracles import analysis as slow

NUMBERS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=5, max_size=15)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(pairs=NUMBERS)
def test_pearson_and_spearman_are_their_definitions(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array([float(pair[i]) for pair in pairs]) for i in (0, 1))
    assume(np.ptp(x) > 0)
    assume(np.ptp(y) > 0)
    assert float(pearson(x, y)) == pytest.approx(slow.pearson(list(x), list(y)), abs=1e-9)
    assert float(spearman(x, y)) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_many_at_once_are_each_by_itself() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 7, 20))
    np.testing.assert_allclose(pearson(x, y), [pearson(a, b) for a, b in zip(x, y, strict=True)])
    np.testing.assert_allclose(spearman(x, y), [spearman(a, b) for a, b in zip(x, y, strict=True)])


@given(p=P_VALUES, level=st.sampled_from([0.01, 0.05, 0.2]))
def test_adjusted_p_values_reject_what_the_procedures_reject(p: list[float], level: float) -> None:
    def below(adjusted: np.ndarray) -> list[bool]:
        assume(np.abs(adjusted - level).min() > 1e-9)
        return [bool(value <= level) for value in adjusted]

    assert below(holm(p)) == slow.holm_rejects(p, level)
    assert below(benjamini_hochberg(p)) == slow.bh_rejects(p, level)


def test_partial_correlation() -> None:
    generator = np.random.default_rng(3)
    z = generator.normal(size=400)
    x, y = z + generator.normal(size=400), -z + generator.normal(size=400)
    r = [float(pearson(a, b)) for a, b in ((x, y), (x, z), (y, z))]
    assert partial(x, y, z) == pytest.approx(slow.partial(*r))
    assert r[0] < -0.3
    assert abs(partial(x, y, z)) < 0.15


def test_a_correlation_with_everything_that_says_how_far_to_trust_it() -> None:
    generator = np.random.default_rng(5)
    x = generator.normal(size=200)
    y = 0.6 * x + 0.8 * generator.normal(size=200)
    found = correlate(x, y)
    assert found.n == 200
    assert found.interval.low < found.r < found.interval.high
    assert found.interval.low < 0.6 < found.interval.high
    ranks = rank_interval(x, y)
    assert ranks.low < found.rho < ranks.high
    fisher = np.tanh(np.arctanh(found.r) + np.array([-1.96, 1.96]) / np.sqrt(197))
    np.testing.assert_allclose([found.interval.low, found.interval.high], fisher, atol=0.01)
    assert correlate(x, y) == found


def test_one_point_that_makes_the_correlation_is_found_out() -> None:
    generator = np.random.default_rng(7)
    x, y = generator.normal(size=(2, 30)) * 0.01
    x[4], y[4] = -10.0, 10.0
    assert correlate(x, y).r < -0.9
    assert [step.k for step in without_lowest(x, y, x, (0, 1, 3))] == [0, 1, 3]
    assert abs(without_lowest(x, y, x, (1,))[0].r) < 0.4
    worst = without_most_influential(x, y, (0, 1))
    assert worst[0].r < -0.9
    assert worst[1].r == pytest.approx(slow.pearson(list(np.delete(x, 4)), list(np.delete(y, 4))))


@given(pairs=NUMBERS)
def test_the_first_pair_taken_out_is_the_one_that_matters_most(pairs: list[tuple[int, int]]) -> None:
    x, y = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    assume(np.ptp(x) > 0)
    assume(np.ptp(y) > 0)
    r = slow.pearson(x, y)
    left = [(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :]) for i in range(len(x))]
    assume(len(x) > 4 and abs(r) > 1e-9 and all(np.ptp(a) > 0 and np.ptp(b) > 0 for a, b in left))
    others = [slow.pearson(a, b) for a, b in left]
    assert without_most_influential(x, y, (1,))[0].r == pytest.approx(min(others) if r > 0 else max(others), abs=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "at least 4 pairs; these are 3"),
        ([1, 2, 3, 4], [1, 2, 3], "pairs; these are 4 and 3 numbers"),
        ([1, 2, 3, 4], [1, 1, 1, 1], "both sides to vary"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], "finite numbers"),
    ],
)
def test_what_cannot_be_correlated_says_why(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        correlate(x, y)


def test_too_few_left() -> None:
    with pytest.raises(DataError, match="Without 2 of 5 pairs fewer than 4 are left"):
        without_lowest([1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [1, 2, 3, 4, 5], (2,))


@pytest.mark.parametrize("n", [8, 23, 100])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "skewed"])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_intervals_cover_the_true_correlation(kind: str, rho: float, n: int) -> None:
    """95 % in the null and under an effect; the bootstrap's percentiles covered .89 to .93 of normal pairs."""
    generator = np.random.default_rng(1)

    def drawn(count: int) -> np.ndarray:
        normal = generator.normal(size=(count, 2)) @ np.array([[1.0, rho], [0.0, np.sqrt(1 - rho**2)]])
        if kind == "heavy tails":
            return normal / np.sqrt(generator.chisquare(5, (count, 1)) / 5)
        return np.exp(0.5 * normal) if kind == "skewed" else normal

    true = np.corrcoef(drawn(1_000_000).T)[0, 1]
    pairs = [drawn(n).T for _ in range(800)]
    found = [z_interval(x, y) for x, y in pairs]
    assert np.mean([bounds.low <= true <= bounds.high for bounds in found]) >= 0.92


def test_the_jackknife_is_that_of_the_definition() -> None:
    x, y = np.random.default_rng(3).standard_t(3, (2, 12))
    z = np.array([np.arctanh(pearson(np.delete(x, i), np.delete(y, i))) for i in range(12)])
    slow = np.sqrt(11 / 12 * ((z - z.mean()) ** 2).sum())
    usual, half = 1 / 3, np.arctanh(z_interval(x, y).high) - np.arctanh(pearson(x, y))
    assert half == pytest.approx(1.959963984540054 * max(slow, usual), rel=1e-9)
    assert slow > usual
