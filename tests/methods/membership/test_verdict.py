import re

import numpy as np
import pytest
from scipy.special import ndtri

from assay.methods.finding import Interval, Metric, Scale
from assay.methods.membership.results import auc_metric, true_positive_rates
from assay.methods.membership.verdict import samples_for_low, verdict
from benchmarks.membership.coverage import judged_low


def auc_of(low, high):
    interval = Interval(low=low, high=high, method="DeLong")
    return Metric(name="auc_loss", label="AUC, loss", value=(low + high) / 2, interval=interval)


def judged(members, non_members):
    return verdict(auc_metric("loss", (members, non_members)), (members, non_members))


@pytest.mark.parametrize(
    ("low", "high", "level"),
    [
        (0.61, 0.7, "high"),
        (0.56, 0.7, "elevated"),
        (0.56, 0.59, "elevated"),
        (0.52, 0.58, "undecided"),
        (0.5, 0.7, "undecided"),
        (0.48, 0.54, "low"),
        (0.3, 0.4, "low"),
    ],
)
def test_the_level_follows_the_bounds(low, high, level):
    found = verdict(auc_of(low, high))
    assert found.level == level
    assert found.metric == "auc_loss"
    assert f"{(low + high) / 2:.3f}" in found.sentence
    assert f"{low:.3f} to {high:.3f}" in found.sentence


def test_few_sure_accusations_are_a_high_leak_whatever_the_auc():
    generator = np.random.default_rng(0)
    members = np.concatenate([generator.normal(9, 1, 200), generator.normal(-0.2, 1, 1800)])
    non_members = generator.normal(0, 1, 1000)
    assert auc_metric("loss", (members, non_members)).interval.high < 0.6
    found = judged(members, non_members)
    assert found.level == "high"
    assert "finds 10." in found.sentence
    assert found.metric == "tpr_at_fpr_0.01"


def test_a_share_surely_above_where_low_ends_is_elevated():
    generator = np.random.default_rng(0)
    members = np.concatenate([generator.normal(9, 1, 150), generator.normal(-0.1, 1, 4850)])
    found = judged(members, generator.normal(0, 1, 5000))
    assert (found.level, found.metric) == ("elevated", "tpr_at_fpr_0.01")


def test_a_sure_accusation_must_beat_the_doubt_about_the_threshold():
    """100 non-members: 1 % of false positives is one of them, and may as well be 5 %."""
    members = np.concatenate([np.full(37, 2.0), np.zeros(463)])
    non_members = np.concatenate([np.full(1, 2.0), np.zeros(99)])
    assert verdict(auc_of(0.5, 0.54), (members, non_members)).level == "undecided"


def test_the_auc_is_named_where_it_would_have_decided_alone():
    generator = np.random.default_rng(0)
    found = judged(generator.normal(2, 1, 2000), generator.normal(0, 1, 1000))
    assert (found.level, found.metric) == ("high", "auc_loss")


def test_what_is_judged_has_a_scale():
    generator = np.random.default_rng(0)
    scores = generator.normal(2, 1, 300), generator.normal(0, 1, 300)
    assert auc_metric("loss", scores).scale == Scale(risk="up", chance=0.5, high=0.6, low=0.55)
    rates = {metric.name: metric.scale for metric in true_positive_rates(scores)}
    assert rates["tpr_at_fpr_0.01"] == Scale(risk="up", chance=0.01, high=0.05, low=0.02)
    assert [name for name, scale in rates.items() if scale] == ["tpr_at_fpr_0.01"]


def test_a_metric_without_a_value_decides_nothing():
    with pytest.raises(ValueError, match="no value"):
        verdict(Metric(name="auc_loss", label="AUC", value=None, note="why"))


def test_scores_that_say_nothing_are_low_with_5000_of_each():
    assert judged_low(0.0, 0.0, 5000, np.random.default_rng(0), 60) >= 0.95


@pytest.mark.parametrize(("shift", "exposed"), [(0.1777, 0.0), (0.0, 0.0101)])
def test_scores_at_a_bound_are_hardly_ever_low(shift, exposed):
    """An AUC of 0.55, and 2 % of the members found at 1 % false positives: each is low at most 2.5 times in 100."""
    assert judged_low(shift, exposed, 5000, np.random.default_rng(0), 120) <= 0.05


def spread(members, non_members, shift=0.0):
    """Normal scores without chance: quantiles of members, and those between which non-members lie on average."""
    of_members = ndtri((np.arange(members) + 0.5) / members) + shift
    return of_members, ndtri((np.arange(non_members) + 1) / (non_members + 1))


@pytest.mark.parametrize(("members", "non_members", "both"), [(5000, 300, False), (300, 300, True)])
def test_an_undecided_verdict_says_how_many_samples_would_decide_and_they_do(members, non_members, both):
    scores = spread(members, non_members)
    found = judged(*scores)
    assert found.level == "undecided"
    sizes = samples_for_low(scores, grow_members=both)
    more = (round(1.1 * sizes[0]) if both else members, round(1.1 * sizes[1]))
    assert judged(*spread(*more)).level == "low"
    fewer = (round(0.8 * sizes[0]) if both else members, round(0.8 * sizes[1]))
    assert judged(*spread(*fewer)).level == "undecided"
    named = re.search(r"about ([\d,]+) more members and ([\d,]+) more non-members would decide", found.sentence)
    named = named or re.search(r"about()(.+?) more non-members would decide", found.sentence)
    said = int(named[2].replace(",", ""))
    assert sizes[1] - non_members <= said <= 1.1 * (sizes[1] - non_members) + 1
    assert bool(named[1]) == both


def test_what_lies_above_the_bound_is_not_made_low_by_more_samples():
    scores = spread(100, 100, 0.2)
    assert samples_for_low(scores, grow_members=True) is None
    assert "more samples may show a leak" in judged(*scores).sentence


def test_fewer_non_members_than_the_rate_needs_are_never_low():
    found = verdict(auc_of(0.48, 0.52), (np.zeros(5000), np.zeros(60)))
    assert found.level == "undecided"
    assert "at least 100 non-members" in found.sentence
