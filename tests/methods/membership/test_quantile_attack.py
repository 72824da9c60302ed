import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from assay.base.errors import DataError
from assay.methods.membership.quantile_attack import (
    LEVELS,
    QuantileRegression,
    conformal_threshold,
    level_metrics,
    pinball,
    place,
    quantiles,
)
from methods.membership import people


@given(st.integers(0, 10_000))
def test_quantiles_rise(seed):
    outputs = torch.randn(5, len(LEVELS), generator=torch.Generator().manual_seed(seed)) * 10
    assert bool((quantiles(outputs).diff(dim=1) > 0).all())


def test_the_pinball_loss_by_hand():
    outputs, scores = torch.randn(6, len(LEVELS)), torch.randn(6, 1)
    predicted = quantiles(outputs).numpy()
    expected = 0.0
    for i in range(6):
        for k, level in enumerate(LEVELS):
            under = float(scores[i, 0]) - predicted[i, k]
            expected += level * under if under > 0 else (level - 1) * under
    value, _ = pinball(lambda images: images, outputs, scores)
    assert float(value) == pytest.approx(expected / (6 * len(LEVELS)), rel=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_a_score_above_a_predicted_quantile_has_a_place_above_the_level(level):
    generator = np.random.default_rng(0)
    predicted = np.sort(generator.normal(size=(200, len(LEVELS))), axis=1)
    scores = generator.normal(size=200)
    at = LEVELS.index(level)
    assert ((place(scores, predicted) > norm.ppf(level)) == (scores > predicted[:, at])).all()


def test_conformal_thresholds_hold_their_level():
    generator = np.random.default_rng(1)
    exceeded = [generator.normal() > conformal_threshold(generator.normal(size=39), 0.05) for _ in range(4000)]
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.011)
    assert conformal_threshold(np.arange(99.0), 0.01) == 98.0
    assert conformal_threshold(np.arange(98.0), 0.01) is None


def test_places_are_linear_between_quantiles_and_rise_beyond():
    bounds = norm.ppf(LEVELS) * 3 + 1
    scores = np.linspace(-30, 30, 400)
    assert place(scores, np.tile(bounds, (400, 1))) == pytest.approx((scores - 1) / 3)


def test_rates_above_the_thresholds_by_hand():
    places = (np.array([30.0, 19.0, 18.5, 0.0]), np.array([18.1, 0.0]))
    metrics = {metric.name: metric for metric in level_metrics(places, np.arange(19.0))}
    assert (metrics["found_at_0.05"].value, metrics["alarms_at_0.05"].value) == (0.75, 0.5)
    assert metrics["found_at_0.01"].value is None
    assert "19 held-out images cannot support 1 %" in metrics["found_at_0.01"].note


def run(data, folder, **options):
    method = QuantileRegression(architecture="digits-mlp", **options)
    return method.run(people.oracle(people.target(data), folder), data, people.context(folder))


def test_the_attacker_keeps_half_of_the_non_members_and_flags_few_of_the_rest(tmp_path):
    data = people.splits(400, 2000, pull=6.0)
    found = run(data, tmp_path, epochs=20, learning_rate=0.01)
    member = found.samples.positive
    assert (member.sum(), (~member).sum()) == (400, 1000)
    assert len(set(found.samples["row"][~member].tolist())) == 1000
    assert found.metric("auc_quantile").interval.low > 0.6
    assert 0.02 < found.metric("alarms_at_0.05").value < 0.1
    assert found.metric("found_at_0.05").value > 2 * found.metric("alarms_at_0.05").value


def test_too_few_non_members_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="at least 8 images to learn from; 7 are left"):
        run(people.splits(50, 18), tmp_path)
