"""What all input detectors owe, whatever they measure."""

import numpy as np
import pytest
import torch

from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.backdoor.inputs.neo import Neo
from assay.methods.backdoor.inputs.parts import Stamped
from assay.methods.backdoor.inputs.results import (
    Judged,
    detector_metrics,
    verdict_on_patches,
    verdict_on_suspects,
)
from assay.methods.backdoor.inputs.scale_up import ScaleUp
from assay.methods.backdoor.inputs.search import ALARM, Searched
from assay.methods.backdoor.inputs.strip import Strip
from assay.methods.backdoor.inputs.teco import Teco
from assay.methods.backdoor.triggers import Patch, Screened
from assay.methods.finding import Interval, Metric
from assay.methods.measures import proportion
from methods.backdoor.inputs.quadrants import (
    Constant,
    Quadrants,
    context_of,
    examine,
    oracle_of,
    pictures,
    stamped,
)

SMALL = {
    "strip": Strip(max_images=150),
    "neo": Neo(max_images=60, side=12, stride=4, confirmations=4),
    "scale_up": ScaleUp(max_images=150, factors=(3.0, 30.0)),
    "teco": Teco(max_images=50),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 4)])
def test_one_or_three_channels_two_classes_and_no_labels(tmp_path, name, channels, classes):
    finding, _ = examine(SMALL[name], tmp_path, Quadrants(classes=classes), 150, channels=channels, classes=classes)
    assert finding.metric(f"{name}_auroc").value is not None
    assert finding.metric("trigger_success").value > 0.9
    assert len(finding.samples.table()["measured"]) == len(finding.samples)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_model_that_ignores_its_input_is_not_suspected(tmp_path, name, classes):
    finding, _ = examine(SMALL[name], tmp_path, Constant(classes), 60, classes=classes)
    assert finding.verdict.level == "undecided"
    assert finding.metric(f"{name}_auroc").value == 0.5
    if classes == 2:
        assert "taken for one class" in finding.verdict.sentence


@pytest.mark.parametrize("name", SMALL)
def test_too_few_or_no_clean_images_are_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match="at least 40 clean images, and 39"):
        examine(SMALL[name], tmp_path, Quadrants(), 39)
    with pytest.raises(DataError, match="needs clean images"):
        SMALL[name].run(oracle_of(tmp_path, Quadrants()), Splits(), context_of(tmp_path))


@pytest.mark.parametrize("name", ["strip", "neo"])
def test_suspects_that_carry_the_trigger_are_told(tmp_path, name):
    marked = Stamped(pictures(40, 9, labelled=False), stamped, "corner")
    finding, _ = examine(SMALL[name], tmp_path, Quadrants(), suspects=marked)
    assert finding.verdict.level in ("elevated", "high")
    assert finding.verdict.metric == f"{name}_flagged_at_0.05"
    assert "of 40 suspicious images" in finding.verdict.sentence
    suspect = finding.samples.positive
    assert suspect.sum() == 40
    assert sorted(finding.samples["row"][suspect]) == list(range(40))
    assert np.median(finding.samples["p_value"][suspect]) < 0.05 < np.median(finding.samples["p_value"][~suspect])
    (gallery,) = (figure for figure in finding.figures if figure.title == "The most suspicious images")
    assert len(gallery.rows) == len(gallery.files)


def test_suspects_like_the_clean_images_are_not(tmp_path):
    finding, oracle = examine(Strip(), tmp_path, Quadrants(), suspects=pictures(60, 9, labelled=False))
    assert finding.verdict.level == "undecided"
    assert "does not clear" in finding.verdict.sentence
    with pytest.raises(KeyError):
        finding.metric("trigger_success")
    assert oracle.ledger.images <= 20 * (60 + 400)


def test_one_suspect_gets_a_p_value(tmp_path):
    one = Stamped(pictures(1, 9), stamped, "corner")
    finding, _ = examine(Strip(), tmp_path, Quadrants(), suspects=one)
    assert finding.verdict.level == "undecided"
    assert "The most suspicious has a p-value of" in finding.verdict.sentence
    assert finding.samples["p_value"][finding.samples.positive].max() < 0.05


def test_suspects_of_another_shape_are_refused_and_their_labels_do_not_matter():
    from assay.targets.target import Target

    target = Target.from_module(Quadrants(), input_shape=(1, 8, 8), num_classes=4)
    odd = ArrayImages(np.zeros((2, 1, 8, 8), np.float32), np.array([7, 9]), "odd")
    assert target.with_splits(Splits(suspects=odd)).splits.suspects is odd
    with pytest.raises(DataError, match="1x9x9"):
        target.with_splits(Splits(suspects=ArrayImages(np.zeros((2, 1, 9, 9), np.float32), np.zeros(2, int), "odd")))


class Fragile(torch.nn.Module):
    """A white square in any corner leads to that corner's class, as in a model that patches confuse in general."""

    def forward(self, images):
        corners = [
            images[:, 0, y, x].amin(dim=(1, 2)) for y in (slice(2), slice(6, 8)) for x in (slice(2), slice(6, 8))
        ]
        quadrants = torch.nn.functional.avg_pool2d(images[:, :1], 4).flatten(1) * 25
        return quadrants + 100 * (torch.stack(corners, dim=1) >= 0.999)


def test_a_model_that_every_patch_confuses_is_not_called_backdoored(tmp_path):
    finding, _ = examine(Strip(), tmp_path, Fragile())
    assert finding.verdict.level == "undecided"
    assert finding.metric("trigger_success").value == finding.metric("rival_success").value == 1.0
    assert "clean models (p = " in finding.verdict.sentence


def judged_of(calibration, clean, suspects, stamped=True):
    parts = (np.asarray(part, float) for part in (calibration, clean, suspects))
    return Judged("x", "X", "Something", -1, stamped, *parts)


def test_metrics_by_hand():
    judged = judged_of(range(100), [0, 98, 99, 99.5], [100, 200, 98.5, 0])
    named = {metric.name: metric for metric in detector_metrics(judged, seed=0)}
    assert named["x_auroc"].value == (4 + 4 + 2 + 0.5) / 16
    assert named["x_tpr_at_0.01"].value == 0.75
    assert named["x_frr_at_0.01"].value == 0.5
    assert named["x_clean"].value == -np.mean([0, 98, 99, 99.5])
    assert judged.p_values.tolist() == [1 / 101, 1 / 101, 2 / 101, 1.0]


def test_too_few_calibration_images_give_no_number():
    judged = judged_of(range(30), range(20), range(20), stamped=False)
    named = {metric.name: metric for metric in detector_metrics(judged, seed=0)}
    assert named["x_flagged_at_0.01"].value is None
    assert "30 calibration images are too few" in named["x_flagged_at_0.01"].note
    assert named["x_frr_at_0.05"].value == 0.0
    few = verdict_on_suspects(
        judged_of(range(10), [1], [2], stamped=False), named["x_flagged_at_0.01"], named["x_frr_at_0.01"]
    )
    assert few.level == "undecided"


@pytest.mark.parametrize(
    ("flagged", "of", "level"),
    [(40, 40, "high"), (28, 40, "high"), (12, 40, "elevated"), (5, 40, "undecided"), (1, 1, "undecided")],
)
def test_the_verdict_on_suspects_goes_by_bounds(flagged, of, level):
    suspects = proportion("x_flagged_at_0.05", "", np.arange(of) < flagged)
    clean = proportion("x_frr_at_0.05", "", np.arange(100) < 5)
    found = verdict_on_suspects(judged_of(range(99), [0], [200], stamped=False), suspects, clean)
    assert found.level == level
    assert "p-value of 0.01 among 99 clean images" in found.sentence


@pytest.mark.parametrize(
    ("success", "p_value", "auroc", "level", "words"),
    [
        ((0.5, 0.9), ALARM, (0.51, 0.9), "high", "as with the trigger of a backdoor"),
        ((0.49, 0.9), ALARM, (0.51, 0.9), "elevated", "as with the trigger of a backdoor"),
        ((0.5, 0.9), ALARM, (0.5, 0.9), "elevated", "does not tell"),
        ((0.9, 1.0), ALARM + 0.001, (0.9, 1.0), "undecided", "No sign of a backdoor"),
    ],
)
def test_the_verdict_on_patches_goes_by_the_null(tmp_path, success, p_value, auroc, level, words):
    def metric(bounds):
        interval = Interval(low=bounds[0], high=bounds[1], method="made up")
        return Metric(name="m", label="", value=sum(bounds) / 2, interval=interval)

    labels, patch = np.zeros(4, int), Patch("white", 3, "top left")
    found = Searched(Screened(labels, {patch: labels}, 4), patch, 1, patch, 2, labels, labels, labels)
    p = Metric(name="patch_p_value", label="", value=p_value)
    metrics = [metric(success), metric((0.0, 0.2)), metric((0.1, 0.5)), p]
    verdict = verdict_on_patches(found, metrics, metric(auroc), "X", context_of(tmp_path))
    assert verdict.level == level
    assert words in verdict.sentence
