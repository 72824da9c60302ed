import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from assay.base.errors import DataError
from assay.methods.membership.roc import (
    allowed_between,
    best_threshold,
    held_out_accuracy,
    operate,
    placement_variances,
    precision_at,
    projected,
    roc_curve,
    thinned,
    tpr_at,
    unsupported,
)
from oracles import membership as slow

tied = st.lists(st.sampled_from([-1e300, 0.0, 0.25, 1.0, 3.0, 1e300]), min_size=1, max_size=40)
spread = st.lists(st.floats(-3, 3), min_size=1, max_size=40)
groups = st.one_of(st.tuples(tied, tied), st.tuples(spread, spread))


def curve(pair):
    return roc_curve(np.array(pair[0]), np.array(pair[1]))


@given(groups)
def test_every_operating_point_is_there_once_with_ties_together(pair):
    roc = curve(pair)
    found = list(zip(roc.thresholds, roc.true_positives, roc.false_positives, strict=True))
    assert found == slow.operating_points(*pair)


@given(groups)
def test_the_area_under_the_curve_is_the_all_pairs_auc(pair):
    roc = curve(pair)
    assert np.trapezoid(roc.tpr, roc.fpr) == pytest.approx(slow.auc(*pair), abs=1e-12)


@given(groups, st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0]))
def test_tpr_at_a_rate_is_the_last_point_that_respects_it_or_is_refused(pair, rate):
    roc = curve(pair)
    found = tpr_at(roc, rate)
    if len(pair[1]) * rate < 1 - 1e-9:
        assert found.value is None
        assert found.bounds is None
        assert "needs at least" in found.note
    else:
        assert found.value == pytest.approx(slow.tpr_at_fpr(*pair, rate))
        assert found.bounds[:2] == pytest.approx(slow.tpr_bounds(*pair, rate))
        assert found.bounds.low <= found.value <= found.bounds.high
        flagged = operate(roc, rate)
        assert (np.array(pair[1]) >= flagged.threshold).sum() == flagged.false_positives <= rate * len(pair[1]) + 1e-9


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.001, 0.0001])
def test_support_starts_at_one_over_the_rate(rate):
    needed = round(1 / rate)
    assert not unsupported(roc_curve(np.ones(1), np.arange(needed)), rate)
    refused = unsupported(roc_curve(np.ones(1), np.arange(needed - 1)), rate)
    assert f"{needed:,} non-members" in refused
    assert f"there are {needed - 1:,}" in refused


def test_many_equal_scores_above_the_rate_leave_nothing_flagged():
    """5 % of all scores are the highest: at 1 % nobody can be flagged, and the interval begins at 0."""
    members, non_members = np.repeat([1.0, 0.0], [50, 950]), np.repeat([1.0, 0.0], [50, 950])
    found = tpr_at(roc_curve(members, non_members), 0.01)
    assert found.value == found.bounds.low == 0


@given(st.integers(1, 3000), st.sampled_from([0.05, 0.01, 0.001]), st.sampled_from([0.9, 0.95]))
def test_how_many_non_members_may_lie_above_the_threshold(n, rate, level):
    ends = ((1 - level) / 2, (1 + level) / 2)
    assert allowed_between(n, rate, level) == tuple(binom.ppf(end, n, rate) for end in ends)


@given(groups)
def test_the_variance_of_an_auc_is_that_of_its_placements(pair):
    if min(len(pair[0]), len(pair[1])) < 2:
        return
    first, second = placement_variances(*pair)
    assert first / len(pair[0]) + second / len(pair[1]) == pytest.approx(slow.delong_variance(*pair), abs=1e-12)


def test_the_projection_to_the_same_samples_is_the_interval_itself():
    generator = np.random.default_rng(0)
    roc = roc_curve(generator.normal(0.3, 1, 3000), generator.normal(0, 1, 2000))
    assert projected(roc, 0.01, 3000, 2000)[:2] == pytest.approx(tpr_at(roc, 0.01).bounds[:2])
    wide, narrow = (projected(roc, 0.01, 3000 * k, 2000 * k) for k in (1, 16))
    assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 4, rel=0.3)


@given(groups)
def test_the_best_threshold_in_hindsight(pair):
    threshold, accuracy = best_threshold(curve(pair))
    assert accuracy == pytest.approx(slow.balanced_accuracy(*pair))
    flagged = [np.mean(np.array(part) >= threshold) for part in pair]
    assert (1 + flagged[0] - flagged[1]) / 2 == pytest.approx(accuracy)


def test_held_out_accuracy_is_not_fooled_by_chance():
    """Where scores say nothing, hindsight always finds more than 0.5; a held-out threshold does not on average."""
    generator = np.random.default_rng(0)
    hindsight, held_out, covered = [], [], 0
    for repetition in range(300):
        members, non_members = generator.normal(size=80), generator.normal(size=60)
        hindsight.append(best_threshold(roc_curve(members, non_members))[1])
        rate = held_out_accuracy(members, non_members, repetition)
        held_out.append(rate.value)
        covered += rate.bounds.low <= 0.5 <= rate.bounds.high
    assert np.mean(hindsight) > 0.55
    assert np.mean(held_out) == pytest.approx(0.5, abs=0.01)
    assert covered / 300 >= 0.91


def test_held_out_accuracy_of_separated_scores():
    found = held_out_accuracy(np.arange(20.0) + 100, np.arange(20.0), 0)
    assert found.value >= 0.9
    assert found.value <= found.bounds.high <= 1.0
    assert held_out_accuracy(np.ones(1), np.ones(5), 0).value is None


def test_precision_follows_bayes():
    """40 of 100 members and 2 of 200 non-members: 0.4 and 0.01."""
    members = np.concatenate([np.ones(40), np.zeros(60)])
    non_members = np.concatenate([np.ones(2), np.zeros(198)])
    roc = roc_curve(members, non_members)
    found = {prior: precision_at(roc, 0.01, prior) for prior in (0.5, 0.1, 0.01)}
    assert found[0.5].value == pytest.approx(0.4 / 0.41)
    assert found[0.1].value == pytest.approx(0.04 / 0.049)
    assert found[0.01].value == pytest.approx(0.004 / 0.0139)
    for rate in found.values():
        assert 0 <= rate.bounds.low < rate.value < rate.bounds.high <= 1
    assert precision_at(roc, 0.001, 0.5).value is None
    assert "No sample" in precision_at(roc_curve(np.zeros(50), np.zeros(100)), 0.01, 0.5).note


def test_precision_intervals_cover_the_truth():
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        members, non_members = generator.random(300) < 0.3, generator.random(400) < 0.02
        found = precision_at(roc_curve(members, non_members), 0.5, 0.1)
        if (non_members.mean() > 0) and found.value < 1:
            covered += found.bounds.low <= 0.03 / 0.048 <= found.bounds.high
        else:
            covered += 1
    assert covered / 300 >= 0.94


@given(groups, st.integers(5, 60))
def test_a_thinned_curve_is_part_of_the_curve_and_keeps_its_ends(pair, points):
    roc = curve(pair)
    fpr, tpr = thinned(roc, points)
    assert len(fpr) <= points
    best = {}
    for f, t in zip(roc.fpr, roc.tpr, strict=True):
        best[f] = max(t, best.get(f, 0.0))
    assert all(best[f] == t for f, t in zip(fpr, tpr, strict=True))
    assert (np.diff(fpr) > 0).all()
    assert (fpr[-1], tpr[-1]) == (1.0, 1.0)
    assert min(f for f in best if f > 0) in fpr


def test_a_thinned_curve_keeps_every_low_rate():
    generator = np.random.default_rng(0)
    roc = roc_curve(generator.normal(1, 1, 5000), generator.normal(0, 1, 20_000))
    fpr, tpr = thinned(roc)
    assert len(fpr) <= 400
    kept = np.rint(fpr * 20_000).astype(int)
    assert set(range(1, 25)) <= set(kept.tolist())
    full = np.interp(np.geomspace(1e-4, 1, 50), roc.fpr, roc.tpr)
    assert np.interp(np.geomspace(1e-4, 1, 50), fpr, tpr) == pytest.approx(full, abs=0.01)


def test_useless_scores_are_refused():
    with pytest.raises(DataError, match="no members"):
        roc_curve(np.array([]), np.array([1.0]))
    with pytest.raises(DataError, match="NaN"):
        roc_curve(np.array([1.0]), np.array([np.nan]))
