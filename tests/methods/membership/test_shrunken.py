import math
from functools import partial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.base.intervals import delong_auc
from assay.methods.membership.lira import lira_online
from assay.methods.membership.roc import roc_curve, tpr_at
from assay.methods.membership.shrunken import MOST_FREEDOM, Student, lira_shrunken, prior_of
from assay.training.shadow import assign
from oracles import membership as slow


def world(models, examples, seed, differing=0.7):
    """Examples of different ease, leak and, in logarithms by ``differing``, deviation."""
    generator = np.random.default_rng(seed)
    inside = assign(models, examples, seed)
    deviation = np.exp(generator.normal(0, differing, examples))
    ease, leak = generator.normal(0, 3, examples), generator.exponential(1, examples) * deviation
    shadows = ease + leak * inside + deviation * generator.normal(size=(models, examples))
    members = np.arange(examples) < examples // 2
    return ease + leak * members + deviation * generator.normal(size=examples), shadows, inside, members


def test_scores_are_ratios_of_predictive_student_densities():
    target, shadows, inside, _ = world(8, 40, 0)
    expected = slow.lira_shrunken(target, shadows, inside)
    assert lira_shrunken(target, shadows, inside) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@given(st.floats(0.5, 50), st.floats(-5, 5), st.floats(0.1, 9))
def test_a_students_density_is_scipys(freedom, value, scale):
    one = (np.array([[number]]) for number in (0.3, scale, freedom))
    expected = scipy.stats.t.logpdf(value, freedom, 0.3, math.sqrt(scale))
    assert Student(*one).log_density(np.array([[value]]))[0, 0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("freedom", "scale"), [(3.0, 2.0), (10.0, 0.5)])
def test_the_prior_is_found_again(freedom, scale):
    generator = np.random.default_rng(0)
    true = freedom * scale / generator.chisquare(freedom, 200_000)
    found = prior_of(true * generator.chisquare(5, 200_000) / 5, np.full(200_000, 5.0))
    assert found.freedom == pytest.approx(freedom, rel=0.05)
    assert found.scale == pytest.approx(scale, rel=0.02)


def test_equal_variances_are_pooled():
    generator = np.random.default_rng(0)
    found = prior_of(4 * generator.chisquare(3, 500) / 3, np.full(500, 3.0))
    assert found.freedom > 20
    assert prior_of(np.full(50, 2.0), np.full(50, 3.0)).freedom == MOST_FREEDOM


@pytest.mark.parametrize("models", [8, 16])
def test_it_finds_more_than_either_of_liras_variances_where_examples_differ(models):
    found = {}
    ways = {"shrunken": lira_shrunken, "fixed": partial(lira_online, fixed_variance=True), "per example": lira_online}
    for seed in range(3):
        target, shadows, inside, members = world(models, 4000, seed)
        for name, score in ways.items():
            scores = score(target, shadows, inside)
            pair = scores[members], scores[~members]
            found.setdefault(name, []).append((delong_auc(*pair).value, tpr_at(roc_curve(*pair), 0.01).value))
    auc, rate = (
        dict(zip(found, column, strict=True))
        for column in zip(*(np.mean(v, axis=0) for v in found.values()), strict=True)
    )
    assert auc["shrunken"] > max(auc["fixed"], auc["per example"])
    assert rate["shrunken"] > 1.2 * max(rate["fixed"], rate["per example"])


def test_it_loses_nothing_where_they_do_not():
    target, shadows, inside, members = world(16, 6000, 0, differing=0.0)
    aucs = []
    for score in (lira_shrunken, partial(lira_online, fixed_variance=True)):
        scores = score(target, shadows, inside)
        aucs.append(delong_auc(scores[members], scores[~members]).value)
    assert aucs[0] > aucs[1] - 0.005


def test_one_model_of_a_kind_is_refused():
    inside = np.array([[True, True], [False, False], [False, False]])
    with pytest.raises(DataError, match=r"1 shadow models trained on it; at least 2"):
        lira_shrunken(np.zeros(2), np.zeros((3, 2)), inside)


def test_models_that_all_say_the_same_are_no_division_by_zero():
    inside = assign(6, 5, 0)
    assert np.isfinite(lira_shrunken(np.zeros(5), np.zeros((6, 5)), inside)).all()
