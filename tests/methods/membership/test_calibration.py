import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.intervals import delong_auc
from assay.methods.membership.calibration import Thresholds, balanced, calibrate, calibrated_metrics, in_turn
from assay.methods.membership.lira import lira_online
from assay.methods.membership.vulnerability import class_table, exposure
from assay.training.shadow import assign
from oracles import membership as slow


@pytest.fixture
def world():
    generator = np.random.default_rng(0)
    inside = np.argsort(generator.random((8, 60)), axis=0) < 4
    shadows = generator.normal(size=(8, 60, 2)) + 2 * inside[:, :, None]
    return shadows, inside


def test_each_shadow_model_is_judged_by_the_others_alone(world):
    shadows, inside = world
    found = in_turn(lira_online, shadows, inside)
    for one in range(8):
        for i in range(60):
            rest = []
            for kind in (True, False):
                rest += [other for other in range(8) if other != one and inside[other, i] == kind][:3]
            example = slice(i, i + 1)
            expected = slow.lira(shadows[one, example], shadows[rest, example], inside[rest, example], True, False)
            assert found[one, example] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_counts_of_the_other_models_do_not_give_members_away():
    """Models that know nothing: in turn against all others, 3 and 4 of a kind, their AUC is far from 0.5."""
    aucs, naive = [], []
    for seed in range(4):
        inside = assign(8, 1500, seed)
        shadows = np.random.default_rng(seed).normal(size=(8, 1500))
        scores = in_turn(lira_online, shadows, inside)
        aucs.append(delong_auc(scores[inside], scores[~inside]).value)
        others = np.stack(
            [lira_online(shadows[m], np.delete(shadows, m, 0), np.delete(inside, m, 0)) for m in range(8)]
        )
        naive.append(delong_auc(others[inside], others[~inside]).value)
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.01)
    assert np.mean(naive) < 0.45


@given(st.integers(4, 9), st.integers(0, 1000), st.booleans())
def test_balanced_models_are_equally_many_of_each_kind_and_keep_their_values(models, seed, queries):
    generator = np.random.default_rng(seed)
    inside = assign(models, 12, seed)
    shadows = generator.normal(size=(models, 12, 2) if queries else (models, 12))
    values, kinds = balanced(shadows, inside)
    half = len(kinds) // 2
    assert kinds[:half].all()
    assert not kinds[half:].any()
    assert half == min(inside.sum(axis=0).min(), (~inside).sum(axis=0).min())
    for i in range(12):
        for kind, rows in ((True, values[:half, i]), (False, values[half:, i])):
            assert (rows == shadows[inside[:, i] == kind, i][:half]).all()


def test_thresholds_come_from_all_shadow_models_together(world):
    scores, inside = world[0][:, :, 0], world[1]
    found = calibrate(scores, inside)
    members, non_members = scores[inside], scores[~inside]
    assert (members >= found.balanced).mean() + (non_members < found.balanced).mean() == pytest.approx(
        max((members >= t).mean() + (non_members < t).mean() for t in scores.ravel())
    )
    assert (non_members >= found.alarms).mean() <= 0.01
    lower = max(t for t in scores.ravel() if t < found.alarms)
    assert (non_members >= lower).mean() > 0.01 or (members >= lower).sum() == (members >= found.alarms).sum()


def test_calibrated_metrics_by_hand():
    scores = (np.array([3.0, 2.0, 1.0, 0.0]), np.array([2.5, 0.5, 0.4, 0.3, 0.2]))
    metrics = {m.name: m for m in calibrated_metrics(scores, Thresholds(1.0, 2.5), 8)}
    assert metrics["balanced_accuracy"].value == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert metrics["calibrated_tpr"].value == 1 / 4
    assert metrics["calibrated_fpr"].value == 1 / 5
    assert metrics["precision_at_prior_0.1"].value == pytest.approx(0.1 / 4 / (0.1 / 4 + 0.9 / 5))
    assert "8 shadow models" in metrics["balanced_accuracy"].note


def test_nothing_flagged_is_said_and_not_divided_by():
    scores = (np.zeros(4), np.zeros(5))
    metrics = {m.name: m for m in calibrated_metrics(scores, Thresholds(np.inf, np.inf), 4)}
    assert metrics["precision_at_prior_0.5"].value is None
    assert "flags no sample" in metrics["precision_at_prior_0.5"].note
    assert metrics["balanced_accuracy"].value == 0.5


def test_exposure_equals_the_slow_reference(world):
    shadows, inside = world
    middles, residuals = {}, []
    for i in range(60):
        for q in range(2):
            for kind in (True, False):
                values = [shadows[s, i, q] for s in range(8) if inside[s, i] == kind]
                middles[i, q, kind] = slow.median(values)
                residuals += [v - middles[i, q, kind] for v in values]
    spread = slow.deviation(residuals)
    expected = [sum(middles[i, q, True] - middles[i, q, False] for q in range(2)) / 2 / spread for i in range(60)]
    assert exposure(shadows, inside) == pytest.approx(expected)


def test_models_that_all_answer_alike_expose_nobody():
    inside = np.arange(4)[:, None] < np.array([2, 2, 2])
    assert (exposure(np.ones((4, 3, 1)), inside) == 0).all()


def test_the_table_of_classes_is_that_of_each_class_alone():
    generator = np.random.default_rng(1)
    labels = (np.arange(90) % 3, np.arange(60) % 3)
    scores = (generator.normal(size=90) + labels[0], generator.normal(size=60))
    table = class_table(scores, labels, 2.0, ("ant", "bee", "cat"))
    assert [row[0] for row in table.rows] == ["cat", "bee", "ant"]
    for row in table.rows:
        label = ("ant", "bee", "cat").index(row[0])
        members, non_members = (part[of == label] for part, of in zip(scores, labels, strict=True))
        assert row[1:3] == [30, 20]
        assert row[3] == pytest.approx(slow.auc(members, non_members), abs=1e-4)
        assert row[4] < row[3] < row[5]
        assert row[6] == pytest.approx((members >= 2.0).mean(), abs=1e-4)


def test_many_classes_are_cut_to_the_most_exposed_and_lonely_ones_left_out():
    labels = np.repeat(np.arange(30), 2)
    scores = np.random.default_rng(2).random(60)
    table = class_table((scores, scores[::-1]), (labels, labels), 0.5)
    assert len(table.rows) == 20
    assert "20 most exposed of 30" in table.caption
    alone = class_table((scores[:3], scores[:2]), (np.array([0, 0, 1]), np.array([0, 0])), 0.5)
    assert [row[0] for row in alone.rows] == ["0"]
