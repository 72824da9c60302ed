"""A difference between two sets of data is named, and is no leak; a leak that goes beyond it is one."""

import numpy as np
import pytest

from assay.data.formats.text import Texts
from assay.data.images import ArrayImages, Subset
from assay.data.splits import Splits
from assay.methods.check import check_finding
from assay.methods.membership.blind import Blind, blind, described
from assay.methods.membership.label_only import LabelOnly
from assay.methods.membership.metrics_attack import MetricAttacks
from assay.methods.membership.results import auc_metric
from assay.methods.membership.verdict import verdict
from assay.targets.target import Target
from methods.membership import people

SHAPE = (1, 6, 6)


def pictures(n, seed, brightness=0.0):
    pixels = np.random.default_rng(seed).uniform(0.1, 0.8, (n, *SHAPE)).astype(np.float32) + np.float32(brightness)
    return ArrayImages(pixels, np.random.default_rng(seed + 1).integers(0, 2, n), "pictures")


def whole(images):
    return Subset(images, np.arange(len(images)))


def sure_of_bright_ones(pixels):
    """Knows nothing of labels, and is the surer of class 1 the brighter an image is: it has no members."""
    sure = 1 / (1 + np.exp(-40 * (pixels.mean(axis=(1, 2, 3)) - 0.5)))
    return np.stack([1 - sure, sure], axis=1).astype(np.float32)


def run(method, data, tmp_path, function):
    target = Target.from_function(function, digest="bright", input_shape=SHAPE, num_classes=2, splits=data)
    return method.run(people.oracle(target, tmp_path), data, people.context(tmp_path))


def shifted(size=400, by=0.06):
    """Members are brighter, and all of class 1 as all others are: the model was trained on none of them."""
    parts = (pictures(size, 0, by), pictures(size, 5))
    return Splits(*(ArrayImages(part.images, np.ones(len(part), np.int64), part.name) for part in parts))


def test_a_shift_is_named_and_no_leak_is_called_by_it(tmp_path):
    found = run(MetricAttacks(), shifted(), tmp_path, sure_of_bright_ones)
    assert found.metric("auc_modified_entropy").interval.low > 0.6
    assert found.metric("auc_blind").interval.low > 0.6
    assert found.verdict.level == "undecided"
    assert "differ before the model is asked" in found.verdict.sentence
    check_finding(found, "membership.metrics", tmp_path / "artefacts")
    (tmp_path / "without").mkdir()
    without = run(MetricAttacks(blind_baseline=False), shifted(), tmp_path / "without", sure_of_bright_ones)
    assert without.verdict.level == "high"
    assert "auc_blind" not in [metric.name for metric in without.metrics]


def test_every_attack_names_it(tmp_path):
    labelled = run(LabelOnly(), shifted(), tmp_path, sure_of_bright_ones)
    assert "differ before the model is asked" in labelled.verdict.sentence
    assert labelled.verdict.level == "undecided"


def test_a_leak_beyond_the_shift_is_still_one(tmp_path):
    data = shifted(by=0.02)
    members = {image.tobytes() for image in data.members.images}

    def remembers(pixels):
        known = np.array([image.tobytes() in members for image in pixels])
        return np.stack([1 - (0.6 + 0.39 * known), 0.6 + 0.39 * known], axis=1).astype(np.float32)

    found = run(MetricAttacks(), data, tmp_path, remembers)
    assert found.verdict.level == "high"
    assert "differ before the model is asked" in found.verdict.sentence


def bounded(value, spread, count=4000):
    """Scores with an AUC, as far apart as normal ones are."""
    generator = np.random.default_rng(count)
    return generator.normal(value, spread, count), generator.normal(0, spread, count)


def test_only_what_goes_beyond_the_shift_is_judged():
    scores, shift = bounded(0.55, 1), Blind(bounded(0.4, 1))
    auc = auc_metric("loss", scores)
    assert verdict(auc, scores).level == "high"
    assert shift.named
    assert verdict(auc, scores, shift).level == "undecided"
    assert verdict(auc, scores, Blind(bounded(0.0, 1))).sentence == verdict(auc, scores).sentence


def test_a_low_leak_may_hide_behind_a_shift():
    scores = bounded(0.0, 1, 6000)
    auc = auc_metric("loss", scores)
    assert verdict(auc, scores).level == "low"
    assert verdict(auc, scores, Blind(bounded(0.3, 1))).level == "undecided"


def test_sets_of_one_source_are_hardly_ever_named(tmp_path):
    named = 0
    for seed in range(40):
        context = people.context(tmp_path, seed)
        named += blind(whole(pictures(120, 10 * seed)), whole(pictures(120, 10 * seed + 5)), context).named
    assert named <= 2


@pytest.mark.parametrize("change", ["noise", "label", "edges"])
def test_shifts_of_several_kinds_are_named(change, tmp_path):
    first, second = pictures(600, 0), pictures(600, 5)
    if change == "noise":
        shaken = second.images + np.random.default_rng(9).normal(0, 0.1, second.images.shape)
        second = ArrayImages(np.clip(shaken, 0, 1).astype(np.float32), second.labels, "noisy")
    if change == "label":
        second = ArrayImages(second.images, np.where(np.arange(600) < 400, 1, second.labels), "other classes")
    if change == "edges":
        smooth = (second.images + np.roll(second.images, 1, axis=-1)) / 2
        second = ArrayImages(smooth.astype(np.float32), second.labels, "smooth")
    assert blind(whole(first), whole(second), people.context(tmp_path)).named


def test_nobody_is_judged_by_a_classifier_that_saw_him(tmp_path):
    """Labels of chance: a classifier judged on what it learned would find them."""
    context = people.context(tmp_path)
    found = blind(whole(pictures(200, 0)), whole(pictures(200, 5)), context)
    assert found.auc.low < 0.5 < found.auc.high + 0.05


def test_it_is_trained_once_for_the_same_samples(tmp_path, monkeypatch):
    first, second = whole(pictures(80, 0)), whole(pictures(80, 5))
    found = blind(first, second, people.context(tmp_path))
    monkeypatch.setattr("assay.methods.membership.blind._judged", None)
    again = blind(first, second, people.context(tmp_path))
    assert all((a == b).all() for a, b in zip(found.scores, again.scores, strict=True))
    with pytest.raises(TypeError):
        blind(first, second, people.context(tmp_path, seed=1))


def test_few_samples_and_recorded_answers_have_none(tmp_path):
    assert blind(whole(pictures(49, 0)), whole(pictures(80, 5)), people.context(tmp_path)) is None
    data = people.splits(80, 80)
    recorded = Target.from_outputs(*((people.answer(part.images), part.labels) for part in data[:2]))
    found = MetricAttacks().run(people.oracle(recorded, tmp_path), recorded.splits, people.context(tmp_path))
    assert "auc_blind" not in [metric.name for metric in found.metrics]


def test_texts_are_seen_by_length_and_bytes():
    texts = Texts(["ab", "aaaa"], np.array([0, 1]), "texts", 8)
    seen = described(texts, "text")
    assert seen[:, 0].tolist() == [2, 4]
    assert seen[:, ord("a")].tolist() == [1, 4]
    assert seen[:, -1].tolist() == [0, 1]


def test_pictures_are_seen_as_means_of_cells():
    images = pictures(3, 0)
    seen = described(images, "image")
    assert seen[:, :36] == pytest.approx(images.images.reshape(3, -1))
    assert seen[:, 36] == pytest.approx(images.images.mean(axis=(1, 2, 3)), rel=1e-5)
    large = ArrayImages(np.zeros((2, 3, 40, 40), np.float32), np.zeros(2, np.int64), "large")
    assert described(large, "image").shape == (2, 3 * 25 + 8 * 3 + 1)
