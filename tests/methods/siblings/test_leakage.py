"""Leakage of a release set: paired areas against references, scores that do not know whom they judge, the method."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from assay.access import Serving
from assay.base.errors import UsageError
from assay.base.intervals import delong_auc
from assay.methods.siblings.leakage_scores import apart, auc_difference, cross_fitted, features, set_features
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from assay.studies.samples import SAMPLES, read_samples
from assay.targets.reference import load_target
from oracles.siblings import auc_slowly


def two_scores(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    members = np.arange(n) < n // 2
    common = generator.normal(0.5 * members, 1)
    return common + generator.normal(0, 0.5, n), common + generator.normal(0, 0.5, n), members


@pytest.mark.parametrize("seed", range(4))
def test_a_difference_of_areas_is_that_of_the_definition(seed):
    first, second, members = two_scores(seed)
    first = np.round(first, 1)
    value, bounds = auc_difference(first, second, members)
    assert value == pytest.approx(auc_slowly(first, members) - auc_slowly(second, members))
    assert bounds.low < value < bounds.high
    apart_ = (
        delong_auc(first[members], first[~members]).variance + delong_auc(second[members], second[~members]).variance
    )
    assert bounds.high - bounds.low < 2 * 1.96 * np.sqrt(apart_)


def test_equal_scores_have_no_difference():
    first, _, members = two_scores(0)
    value, bounds = auc_difference(first, 3 * first + 1, members)
    assert (value, bounds.low, bounds.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("better", [0.0, 0.6])
def test_the_interval_covers_what_it_says(better):
    held, drawn = 0, 400
    generator = np.random.default_rng(0)
    inside = generator.normal(size=(200_000, 3)) + np.array([0.7, 0.0, better])
    outside = generator.normal(size=(200_000, 3))
    truth = np.array([delong_auc(*(group[:, 0] + group[:, k] for group in (inside, outside))).value for k in (1, 2)])
    for _ in range(drawn):
        groups = [group[generator.integers(0, len(group), 150)] for group in (inside, outside)]
        joined = np.concatenate(groups)
        _, bounds = auc_difference(joined[:, 0] + joined[:, 2], joined[:, 0] + joined[:, 1], np.arange(300) < 150)
        held += bounds.low <= truth[1] - truth[0] <= bounds.high
    assert 0.92 <= held / drawn <= 0.98


def test_nobody_is_judged_by_what_was_learned_from_him():
    """Thirty columns of noise would separate samples that they were fitted on; they say nothing of others."""
    areas = []
    for seed in range(20):
        columns = np.random.default_rng(seed).normal(size=(120, 30))
        members = np.arange(120) % 2 == 0
        areas.append(auc_slowly(cross_fitted(columns, members, 5, seed), members))
    assert abs(np.mean(areas) - 0.5) < 0.04


def test_versions_that_err_apart_leak_more_together():
    generator = np.random.default_rng(1)
    members = np.arange(2000) < 1000
    labels = np.zeros(2000, np.int64)
    sure = [expit(generator.normal(1.0 * members, 1)) for _ in range(3)]
    answers = [np.stack([p, 1 - p], axis=1) for p in sure]
    one = cross_fitted(features(answers[0], labels), members, 5, 0)
    value, bounds = auc_difference(cross_fitted(set_features(answers, labels), members, 5, 0), one, members)
    assert bounds.low > 0.03
    same = cross_fitted(set_features([answers[0]] * 2, labels), members, 5, 0)
    assert abs(auc_difference(same, one, members)[0]) < 0.01
    assert value > 0.05


def test_a_distance_is_that_of_log_odds():
    first, second = np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(apart(first, second, np.array([0, 1])), [2 * np.log(4), 0.0])


def leak(tmp_path, serving: Serving | None = None, **options: object) -> tuple[Outcome, Workspace]:
    workspace = Workspace(tmp_path / "w")
    method = make_method("siblings.leakage", None, {"max_samples": 300, **options})
    trial = Trial(load_target("starter/digits-cnn-overfitted"), method, serving or Serving(), 0)
    return run_trials([trial], workspace).outcomes[0], workspace


def test_the_method_on_an_overfitted_network(tmp_path):
    outcome, workspace = leak(tmp_path, siblings="int4, prune=0.8")
    assert outcome.status == "done", outcome.reason
    assert outcome.verdict is not None
    assert (outcome.verdict.metric, outcome.verdict.answers) == ("auc_gained", False)
    samples = read_samples(workspace.artefacts(outcome.key) / SAMPLES)
    assert samples.positive is not None
    n = len(samples)
    assert outcome.spent.images == outcome.spent.forwards == n
    assert set(samples.scores) == {
        "auc_set", "auc_model", "auc_sibling_1", "auc_sibling_2", "auc_apart_1", "auc_apart_2",
    }  # fmt: skip
    for name, scores in samples.scores.items():
        assert outcome.metric(name).value == pytest.approx(auc_slowly(scores, samples.positive))
    assert outcome.metric("auc_model").value > 0.55
    best = max(outcome.metric(name).value for name in ("auc_model", "auc_sibling_1", "auc_sibling_2"))
    assert outcome.metric("auc_gained").value == pytest.approx(outcome.metric("auc_set").value - best)


def test_too_little_is_said(tmp_path):
    assert "100 questions are needed" in leak(tmp_path, Serving(budget=60))[0].reason
    outcome, _ = leak(tmp_path, Serving(budget=201))
    assert outcome.status == "done", outcome.reason
    assert outcome.spent.images == 200
    with pytest.raises(UsageError, match="'int8=9' is not valid"):
        leak(tmp_path, siblings="int4, int8=9")
