"""Measures of similarity against slow references, and in cases whose answer is known."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Serving
from assay.base.errors import DataError
from assay.methods.evasion.ball import Ball
from assay.methods.siblings.comparison import (
    Pair,
    compare,
    similarity_metrics,
    similarity_outcomes,
    similarity_table,
)
from assay.methods.siblings.similarity_measures import (
    agreement,
    ascend,
    cka_bounds,
    cosines,
    divergence,
    linear_cka,
    margin_gradients,
    penultimate,
)
from assay.studies import Trial, Workspace, make_method, run_trials
from methods.siblings.pairs import box, digits, sibling
from oracles.siblings import cka_slowly, cosine_slowly, divergence_slowly

torch.set_num_threads(1)


def features(seed: int, n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 7), classes=st.integers(2, 5), seed=st.integers(0, 999))
def test_answers_against_references(n, classes, seed):
    first, second = 3 * features(seed, n, classes), 3 * features(seed + 1, n, classes)
    assert agreement(first, second).tolist() == [
        bool(a.argmax() == b.argmax()) for a, b in zip(*map(list, (first, second)), strict=True)
    ]
    np.testing.assert_allclose(divergence(first, second), divergence_slowly(first.numpy(), second.numpy()), atol=1e-6)
    np.testing.assert_allclose(divergence(first, first + 7.0), 0.0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 5), seed=st.integers(0, 999), scale=st.floats(1e-12, 1e12))
def test_cosines_against_a_reference(n, seed, scale):
    first, second = (features(seed + k, n, 24).view(n, 2, 3, 4).double() for k in (0, 1))
    np.testing.assert_allclose(cosines(first * scale, second), cosine_slowly(first.numpy(), second.numpy()), atol=1e-9)
    np.testing.assert_allclose(cosines(first, -first), -1.0)


def test_the_cosine_of_a_vanished_gradient_is_0():
    assert cosines(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).tolist() == [0.0]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(3, 8), d=st.integers(1, 5), e=st.integers(1, 5), seed=st.integers(0, 999))
def test_cka_against_a_reference(n, d, e, seed):
    first, second = features(seed, n, d), features(seed + 1, n, e)
    assert linear_cka(first, second) == pytest.approx(cka_slowly(first.numpy(), second.numpy()), abs=1e-6)


def test_cka_sees_through_rotation_scale_and_shift_but_not_through_noise():
    first = features(0, 200, 6)
    turn = torch.linalg.qr(features(1, 6, 6)).Q
    assert linear_cka(first, 3.0 * first @ turn + 5.0) == pytest.approx(1.0, abs=1e-6)
    assert linear_cka(first, features(2, 200, 6)) < 0.1
    assert linear_cka(first, torch.ones(200, 3)) == 0.0


def test_the_interval_of_cka_covers():
    """The truth is taken from 40,000 images; of 60 samples of 100 at least 85 % must cover it."""
    mix = features(3, 5, 4)

    def drawn(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        first = features(seed, n, 5)
        return first, first @ mix + 2.0 * features(seed + 500, n, 4)

    truth = np.mean([linear_cka(*drawn(10_000 + k, 2000)) for k in range(5)])
    covered = [bounds.low <= truth <= bounds.high for bounds in (cka_bounds(*drawn(k, 200)) for k in range(60))]
    assert np.mean(covered) >= 0.85
    with pytest.raises(DataError, match="too few"):
        cka_bounds(features(0, 9, 3), features(1, 9, 3))


def test_penultimate_features_are_what_the_last_layer_is_given():
    images = torch.rand(7, 1, 8, 8)
    found = penultimate(box(), images)
    last = [m for m in box().module.modules() if isinstance(m, torch.nn.Linear)][-1]
    torch.testing.assert_close(found @ last.weight.T + last.bias, box().logits(images), rtol=1e-4, atol=1e-4)
    assert not any(module._forward_pre_hooks for module in box().module.modules())


def test_margin_gradients_are_those_of_the_margin():
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([1, 5, 9])
    found = margin_gradients(box(), images, labels)
    step = 1e-6 * torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = copy.deepcopy(box().module).double()
    for row in range(3):
        ends = network(torch.stack([images[row] - step, images[row] + step]))
        rest = ends.clone()
        rest[:, labels[row]] = -torch.inf
        rise = (rest.max(1).values - ends[:, labels[row]]).diff()
        assert float((found[row] * 2 * step).sum()) == pytest.approx(float(rise), rel=1e-3)


def test_ascending_fools_and_stays_in_the_ball():
    test = digits().splits.non_members
    assert test is not None
    images, labels = test.take(np.arange(60)), torch.from_numpy(test.labels[:60])
    for ball in (Ball("l2", 1.5), Ball("linf", 0.2)):
        moved = ascend(box(), images, labels, ball)
        size = (moved - images).flatten(1)
        lengths = size.norm(dim=1) if ball.norm == "l2" else size.abs().amax(1)
        assert float(lengths.max()) <= ball.epsilon + 1e-5
        assert float((box().logits(moved).argmax(1) != labels).float().mean()) > 0.8


@pytest.fixture(scope="module")
def measured():
    test = digits().splits.non_members
    assert test is not None
    images, labels = test.take(np.arange(150)), torch.from_numpy(test.labels[:150])
    names = ("int8", "int4", "starter/digits-mlp")
    ball = Ball("l2", 1.0)
    compared = {name: compare(Pair(box(), sibling(name), images, labels), ball) for name in names}
    return {name: (similarity_metrics(each, 0), similarity_outcomes(each)) for name, each in compared.items()}


def test_the_less_a_sibling_was_changed_the_more_it_is_alike(measured):
    for name in ("gradient_cosine", "gradient_cosine_q50", "cka", "transfer_to_target"):
        int8, int4, other = ({m.name: m.value for m in metrics}[name] for metrics, _ in measured.values())
        assert int8 >= int4 > other, name


def test_metrics_agree_with_their_columns(measured):
    for metrics, columns in measured.values():
        named = {metric.name: metric for metric in metrics}
        assert len(columns) == 6
        for name in columns:
            assert named[name].value == pytest.approx(np.nanmean(columns[name]))
            assert named[name].n == int(np.isfinite(columns[name]).sum())
        for metric in metrics:
            assert metric.interval is not None
            assert metric.interval.low - 1e-9 <= metric.value <= metric.interval.high + 1e-9
    table = similarity_table({name: metrics for name, (metrics, _) in measured.items()})
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_no_image_that_both_get_right():
    images = torch.rand(5, 1, 8, 8)
    labels = (box().logits(images).argmax(1) + 1) % 10
    with pytest.raises(DataError, match="both"):
        compare(Pair(box(), sibling("int8"), images, labels), Ball("l2", 1.0))


def test_the_method_on_a_published_sibling(tmp_path):
    method = make_method("siblings.similarity", None, {"sibling": "starter/digits-cnn-int8", "max_images": 60})
    (outcome,) = run_trials([Trial(digits(), method, Serving(), 0)], Workspace(tmp_path / "w")).outcomes
    assert outcome.status == "done", outcome.reason
    assert outcome.verdict is not None
    assert outcome.verdict.level == "high"
    assert outcome.metric("gradient_cosine").value > 0.9
