import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.base.intervals import (
    CHUNK,
    Auc,
    auc_bounds,
    bootstrap,
    clopper_pearson,
    delong_auc,
    difference_of_proportions,
    paired_difference,
    wilson,
)
from oracles.membership import auc as slow_auc
from oracles.membership import delong_variance

few_values = st.lists(st.sampled_from([-1e300, -1.0, 0.0, 0.5, 2.0, 1e300]), min_size=2, max_size=25)
any_values = st.lists(st.floats(-10, 10), min_size=2, max_size=25)
groups = st.one_of(st.tuples(few_values, few_values), st.tuples(any_values, any_values))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95]))
def test_clopper_pearson_is_scipys_exact_interval(counts, level):
    successes, n = counts
    expected = scipy.stats.binomtest(successes, n).proportion_ci(level, method="exact")
    found = clopper_pearson(successes, n, level)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)
    assert (found.level, found.method) == (level, "Clopper-Pearson")


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts):
    successes, n = counts
    expected = scipy.stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n)[:2] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_newcombe_gives_the_published_example():
    """Newcombe (1998), table II, method 10: 56/70 - 48/80 and 9/10 - 3/10."""
    assert difference_of_proportions(56, 70, 48, 80)[:2] == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference_of_proportions(9, 10, 3, 10)[:2] == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert difference_of_proportions(10, 10, 0, 10).high == pytest.approx(1.0)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(DataError, match="no proportion"):
        clopper_pearson(successes, n)


@given(groups)
def test_delong_equals_all_pairs(pair):
    members, non_members = pair
    found = delong_auc(np.array(members), np.array(non_members))
    assert found.value == pytest.approx(slow_auc(members, non_members), abs=1e-12)
    assert found.variance == pytest.approx(delong_variance(members, non_members), abs=1e-12)
    assert found.pairs == min(len(members), len(non_members))


@given(groups)
def test_auc_bounds_hold_the_value_and_stay_in_the_unit_interval(pair):
    found = delong_auc(np.array(pair[0]), np.array(pair[1]))
    bounds = auc_bounds(found)
    assert 0.0 <= bounds.low <= found.value + 1e-12
    assert found.value - 1e-12 <= bounds.high <= 1.0
    mirrored = auc_bounds(delong_auc(-np.array(pair[0]), -np.array(pair[1])))
    assert mirrored[:2] == pytest.approx((1 - bounds.high, 1 - bounds.low), abs=1e-9)


def test_perfect_separation_still_leaves_doubt():
    found = delong_auc(np.arange(10.0) + 100, np.arange(30.0))
    assert found == Auc(1.0, 0.0, 10)
    assert auc_bounds(found)[:2] == pytest.approx((0.025 ** (1 / 10), 1.0))
    constant = delong_auc(np.zeros(50), np.zeros(80))
    assert constant.value == 0.5
    assert auc_bounds(constant).low < 0.4


def test_single_samples_and_useless_scores():
    assert auc_bounds(delong_auc(np.array([1.0]), np.array([0.0, 0.5])))[:2] == pytest.approx((0.025, 1.0))
    with pytest.raises(DataError, match="no non-members"):
        delong_auc(np.array([1.0]), np.array([]))
    with pytest.raises(DataError, match="NaN"):
        delong_auc(np.array([1.0, np.nan]), np.array([1.0]))
    with pytest.raises(DataError, match=r"non-members hold NaN or infinity \(row 1\)"):
        delong_auc(np.array([1.0]), np.array([1.0, np.inf]))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("shift", "sizes"), [(0.0, (400, 100)), (1.0, (60, 60)), (2.5, (200, 50))])
def test_auc_intervals_cover_the_truth(shift, sizes, ties):
    """300 repetitions: 95 % coverage lies in 91 to 99 % with probability above 0.998."""
    generator = np.random.default_rng(1)
    truth = scipy.stats.norm.cdf(shift / np.sqrt(2))
    covered = 0
    for _ in range(300):
        members, non_members = generator.normal(shift, 1, sizes[0]), generator.normal(0, 1, sizes[1])
        if ties:
            members, non_members = np.round(members, 1), np.round(non_members, 1)
        bounds = auc_bounds(delong_auc(members, non_members))
        covered += bounds.low <= truth <= bounds.high
    assert 0.91 <= covered / 300 <= 0.99


def test_bootstrap_is_paired_seeded_and_bounded_in_memory():
    generator = np.random.default_rng(0)
    a = generator.normal(0, 10, 500)
    b = a + generator.normal(1, 0.1, 500)
    seen = []

    def mean_difference(x, y):
        seen.append(x.size)
        return (y - x).mean(axis=1)

    found = bootstrap(mean_difference, a, b, seed=3)
    assert found == bootstrap(mean_difference, a, b, seed=3)
    assert found != bootstrap(mean_difference, a, b, seed=4)
    wanted = scipy.stats.norm.interval(0.95, (b - a).mean(), (b - a).std() / np.sqrt(500))
    assert found[:2] == pytest.approx(wanted, abs=0.002)
    assert max(seen) <= CHUNK
    assert (found.level, found.method) == (0.95, "bootstrap")


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.integers(0, 9))
def test_bootstrap_of_rows_stays_within_the_rows(values, seed):
    table = np.stack([values, values], axis=1)
    found = bootstrap(lambda rows: rows.mean(axis=(1, 2)), table, seed=seed, resamples=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_bootstrap_of_nothing_is_refused():
    with pytest.raises(DataError, match="nothing"):
        bootstrap(lambda rows: rows.mean(axis=1), np.empty(0), seed=0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_a_paired_difference_turns_round_and_holds_the_estimate(both, first, second, neither):
    if both + first + second + neither == 0:
        return
    found, turned = paired_difference(both, first, second, neither), paired_difference(both, second, first, neither)
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low), abs=1e-12)
    difference = (first - second) / (both + first + second + neither)
    assert -1 <= found.low <= difference + 1e-12
    assert difference - 1e-12 <= found.high <= 1


def test_a_paired_difference_is_the_bootstraps_where_there_are_many_trials():
    cells = (2_000, 400, 300, 1_300)
    a = np.repeat([1.0, 1.0, 0.0, 0.0], cells)
    b = np.repeat([1.0, 0.0, 1.0, 0.0], cells)
    wanted = bootstrap(lambda rows: rows.mean(axis=1), a - b, seed=0)
    assert paired_difference(*cells)[:2] == pytest.approx(wanted[:2], abs=0.002)
    alone = difference_of_proportions(2_400, 4_000, 2_300, 4_000)
    assert paired_difference(*cells).high < alone.high
