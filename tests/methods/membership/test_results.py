import numpy as np
import pytest

from assay.base.intervals import clopper_pearson
from assay.methods.finding import Interval, Metric, Scale
from assay.methods.membership.results import auc_metric, true_positive_rates, verdict


def auc_of(low, high):
    interval = Interval(low=low, high=high, method="DeLong")
    return Metric(name="auc_loss", label="AUC, loss", value=(low + high) / 2, interval=interval)


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
    metric = auc_metric("loss", (members, non_members))
    assert metric.interval.high < 0.6
    found = verdict(metric, (members, non_members))
    assert found.level == "high"
    assert "finds 10." in found.sentence
    assert found.metric == "tpr_at_fpr_0.01"


def test_a_sure_accusation_must_beat_the_doubt_about_the_threshold():
    """100 non-members: 1 % of false positives is one of them, and may as well be 5 %."""
    members = np.concatenate([np.full(37, 2.0), np.zeros(463)])
    non_members = np.concatenate([np.full(1, 2.0), np.zeros(99)])
    assert clopper_pearson(37, 500).low > 0.05
    assert verdict(auc_of(0.5, 0.54), (members, non_members)).level == "low"


def test_a_metric_without_a_value_decides_nothing():
    with pytest.raises(ValueError, match="no value"):
        verdict(Metric(name="auc_loss", label="AUC", value=None, note="why"))


def test_the_auc_is_named_where_it_would_have_decided_alone():
    generator = np.random.default_rng(0)
    members, non_members = generator.normal(2, 1, 2000), generator.normal(0, 1, 1000)
    found = verdict(auc_metric("loss", (members, non_members)), (members, non_members))
    assert (found.level, found.metric) == ("high", "auc_loss")


def test_what_is_judged_has_a_scale():
    generator = np.random.default_rng(0)
    scores = generator.normal(2, 1, 300), generator.normal(0, 1, 300)
    assert auc_metric("loss", scores).scale == Scale(risk="up", chance=0.5, high=0.6, low=0.55)
    rates = {metric.name: metric.scale for metric in true_positive_rates(scores)}
    assert rates["tpr_at_fpr_0.01"] == Scale(risk="up", chance=0.01, high=0.05)
    assert [name for name, scale in rates.items() if scale] == ["tpr_at_fpr_0.01"]
