import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.access import Answers, Oracle, PosteriorStore, Serving
from assay.access.detectors import Alarm, Traffic
from assay.access.policies import POLICIES, Asked, parse_policy
from assay.access.store import image_keys
from assay.base.errors import BudgetError, DataError, UsageError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.methods.stealing.defences.adaptive import lesson
from assay.methods.stealing.defences.detection import false_alarms, first_alarm
from assay.methods.stealing.defences.method import Defences
from assay.methods.stealing.defences.results import Row, defence_metrics, key_of, verdict
from assay.methods.stealing.defences.utility import (
    Service,
    calibration_columns,
    calibration_error,
    utility_metrics,
)
from assay.methods.stealing.results import agreement_scale
from assay.targets.target import Target
from oracles.stealing import calibration_error as slow_calibration_error

SHAPE, CLASSES = (1, 8, 8), 4
FAST = {"architecture": "digits-mlp", "epochs": 12, "learning_rate": 0.01, "client_questions": 40}


class Quadrants(torch.nn.Module):
    """Names the brightest quadrant, more or less surely."""

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) * 25


def images_of(count, seed):
    images = np.random.default_rng(seed).uniform(0, 1, (count, *SHAPE)).astype(np.float32)
    truth = images.reshape(count, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(count, 4).argmax(1)
    return ArrayImages(images, truth, f"images {seed}")


SPLITS = Splits(images_of(150, 0), images_of(240, 1), images_of(300, 2))


def measure(folder, splits=SPLITS, serving=None, seed=0, **options):
    target = Target.from_module(Quadrants(), input_shape=SHAPE, num_classes=CLASSES, splits=SPLITS)
    folder.mkdir(exist_ok=True)
    oracle = Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", CLASSES))
    context = Context(seed=seed, device=torch.device("cpu"), artefacts=folder, shared=folder / "shared")
    return Defences(**{**FAST, **options}).run(oracle, splits, context), oracle


def posteriors(count, classes, seed=0, spread=3.0):
    logits = np.random.default_rng(seed).normal(0, spread, (count, classes))
    return torch.from_numpy(logits).softmax(1).float().numpy()


def behind(text, y):
    images = torch.rand(len(y), *SHAPE, generator=torch.Generator().manual_seed(0))
    return parse_policy(text)(y, Asked(images, image_keys(images)))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), seed=st.integers(0, 999))
def test_calibration_error_against_a_loop(count, seed):
    p, labels = posteriors(count, 3, seed), np.random.default_rng(seed).integers(0, 3, count)
    columns = calibration_columns(p, labels)
    error = calibration_error(*(column[None] for column in columns))[0]
    assert error == pytest.approx(slow_calibration_error(p, labels), abs=1e-6)


def test_utility_is_counted_by_hand():
    true = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], np.float32)
    served = np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4], [0.2, 0.8]], np.float32)
    labels = np.array([0, 0, 0, 1])
    found = {metric.name: metric for metric in utility_metrics(Service(labels, true, served), "p", "p", 0)}
    assert found["labels_changed_p"].value == 0.5
    assert found["accuracy_change_p"].value == 0.0
    assert found["l1_distance_p"].value == pytest.approx((0.2 + 0.4 + 0.6 + 0.0) / 4)
    expected = slow_calibration_error(served, labels) - slow_calibration_error(true, labels)
    assert found["calibration_change_p"].value == pytest.approx(expected, abs=1e-6)
    for metric in found.values():
        assert metric.interval.low <= metric.value <= metric.interval.high


def test_an_untouched_service_costs_nothing():
    p = posteriors(200, 5)
    for metric in utility_metrics(Service(p.argmax(1), p, p), "none", "none", 0):
        assert metric.value == 0.0


@pytest.mark.parametrize("text", ["reverse-sigmoid", "temperature=5", "noise=0.2", "label"])
def test_who_knows_a_policy_is_nearer_to_the_truth_than_who_believes(text):
    y = posteriors(200, 10, spread=2.0)
    answers = behind(text, y)
    learned = lesson(parse_policy(text), answers, seed=1)
    assert learned.rows.tolist() == list(range(200))
    assert learned.taught.dtype == np.float32
    assert np.allclose(learned.taught.sum(1), 1, atol=1e-5)
    before, after = (((p - y) ** 2).sum(1).mean() for p in (answers, learned.taught))
    assert after < 0.95 * before


def test_temperature_is_taken_back_exactly():
    y = posteriors(50, 6, spread=2.0)
    assert np.allclose(lesson(parse_policy("temperature=3"), behind("temperature=3", y), 0).taught, y, atol=1e-4)


@pytest.mark.parametrize("text", ["mad=0.5", "mad-argmax=1", "gradient-redirection=0.5"])
def test_poisoned_probabilities_are_learned_as_labels(text):
    answers = posteriors(20, 4)
    learned = lesson(parse_policy(text), answers, 0)
    assert np.array_equal(learned.taught, answers.argmax(1))


def test_doubtful_answers_are_left_out_unless_hardly_any_is_left():
    policy, answers = parse_policy("adaptive-misinformation=0.6"), posteriors(60, 4)
    learned = lesson(policy, answers, 0)
    assert np.array_equal(learned.rows, np.flatnonzero(answers.max(1) > 0.6))
    assert np.array_equal(learned.taught, answers[learned.rows])
    assert len(lesson(policy, np.full((60, 4), 0.25, np.float32), 0).rows) == 60


@pytest.mark.parametrize("name", POLICIES.names())
def test_there_is_a_lesson_for_every_policy(name):
    learned = lesson(parse_policy(name), posteriors(30, 4), 0)
    assert len(learned.rows) == len(learned.taught) > 0


class Every:
    """Suspects whoever asks about a white image."""

    def __init__(self):
        self.seen = 0

    def observe(self, images, answers):
        assert len(images) == len(answers.labels)
        white = np.flatnonzero(images.flatten(1).amin(1).numpy() == 1.0)
        self.seen += len(images)
        return Alarm("every", self.seen - len(images) + int(white[0]) + 1, 0.0, 1.0) if len(white) else None


def test_alarms_are_counted_client_by_client():
    images = torch.zeros(610, *SHAPE)
    images[[0, 450]] = 1.0
    traffic = Traffic(images, Answers(np.zeros(610, np.int64), None))
    assert false_alarms(Every, traffic, 200).tolist() == [True, False, True]
    assert false_alarms(Every, traffic, 1000).tolist() == [True]
    late = Traffic(images[1:], Answers(np.zeros(609, np.int64), None))
    assert first_alarm(Every(), late).queries == 450
    assert first_alarm(Every(), Traffic(images[1:300], Answers(np.zeros(299, np.int64), None))) is None


def row(policy, changed, naive, adaptive, count=400):
    y = np.tile(np.array([[0.9, 0.1]], np.float32), (count, 1))
    served = y.copy()
    served[: int(changed * count)] = [0.1, 0.9]
    agreed = (np.arange(count) < share * count for share in (naive, adaptive))
    return Row(policy, Service(np.zeros(count, np.int64), y, served), *agreed)


def test_the_verdict_is_the_better_thiefs_against_the_best_policy_that_users_can_bear():
    rows = [row("cruel", 0.5, 0.1, 0.1), row("noise=0.1", 0.0, 0.5, 0.9), row("levels", 0.005, 0.8, 0.7)]
    metrics = defence_metrics(np.ones(400, np.bool_), rows, agreement_scale(np.arange(4)), 0)
    found = verdict(metrics, rows)
    assert (found.level, found.metric) == ("elevated", "agreement_naive_levels")
    assert "Of 2 policies" in found.sentence
    lost = next(metric for metric in metrics if metric.name == "agreement_lost_adaptive_noise_0_1")
    assert lost.value == pytest.approx(0.1)
    assert lost.interval.low <= 0.1 <= lost.interval.high
    none = verdict(metrics, rows[:1])
    assert (none.level, none.metric) == ("high", "agreement_as_served")
    assert key_of("noise:scale=0.1,seed=2") == "noise_scale_0_1_seed_2"


def test_one_run_measures_policies_thieves_and_detectors(tmp_path):
    policies = ("mad-argmax=1", "gradient-redirection=1.5", "adaptive-misinformation=0.9")
    finding, oracle = measure(tmp_path, policies=policies, strategies=("margin",))
    value = {metric.name: metric.value for metric in finding.metrics}
    assert (oracle.ledger.images, oracle.ledger.forwards) == (300, 300 + 240 + 150)
    assert value["agreement_as_served"] == pytest.approx(finding.samples["agreement_as_served"].mean())
    assert value["labels_changed_mad_argmax_1"] == 0.0
    assert value["labels_changed_gradient_redirection_1_5"] > 0.2
    assert 0 < value["l1_distance_mad_argmax_1"] <= 1.0
    assert value["agreement_lost_naive_mad_argmax_1"] > 0.1
    assert value["agreement_adaptive_mad_argmax_1"] > value["agreement_naive_mad_argmax_1"]
    assert {"false_alarms_prada", "delay_prada_random", "delay_shift_random", "delay_shift_margin"} <= set(value)
    costs, picture, detection = finding.figures
    assert [line[0] for line in costs.rows] == ["(as served)", *policies]
    assert all(len(line) == len(costs.columns) for line in costs.rows)
    assert [len(series.x) for series in picture.series] == [4, 4]
    assert picture.series[0].x == sorted(picture.series[0].x)
    assert [line[0] for line in detection.rows] == ["prada", "shift"]
    assert len(list((tmp_path / "shared" / "defences").glob("*.safetensors"))) == 2
    assert not list(tmp_path.glob("surrogate*"))


def test_what_cannot_apply_is_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.access.policies.deviation.MOST_CLASSES", 3)
    finding, _ = measure(tmp_path, policies=("mad-argmax", "levels"), epochs=1)
    assert [line[0] for line in finding.figures[0].rows] == ["(as served)", "levels"]
    assert "mad-argmax is for at most 3 classes" in finding.figures[0].caption


def test_a_budget_binds_every_thief(tmp_path):
    finding, oracle = measure(tmp_path, serving=Serving(budget=40), policies=("levels",), epochs=1)
    assert oracle.ledger.images == 40
    assert finding.metric("agreement_adaptive_levels").value is not None
    target = Target.from_module(Quadrants(), input_shape=SHAPE, num_classes=CLASSES)
    spent = Oracle(target, Serving(budget=1), PosteriorStore(tmp_path / "b.bin", CLASSES))
    spent.ask(torch.zeros(1, *SHAPE))
    context = Context(seed=0, device=torch.device("cpu"), artefacts=tmp_path, shared=tmp_path / "shared")
    with pytest.raises(BudgetError, match="no question at all"):
        Defences(**FAST).run(spent, SPLITS, context)


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="members, non-members and an auxiliary set"):
        measure(tmp_path, splits=SPLITS._replace(auxiliary=None))
    with pytest.raises(UsageError, match="did you mean 'levels'"):
        measure(tmp_path, policies=("level",))
    with pytest.raises(UsageError, match="There is no strategy 'magin'"):
        measure(tmp_path, strategies=("magin",))
    with pytest.raises(ValidationError, match="named once"):
        Defences(policies=("noise=0.1", "noise=0:1"))
