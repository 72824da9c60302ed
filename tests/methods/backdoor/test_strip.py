import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.errors import AccessError, BudgetError, DataError
from assay.methods.backdoor.results import TRIGGER_SUCCESS, Tried, strip_metrics, verdict
from assay.methods.backdoor.strip import FEWEST_IMAGES, MOST_SCREENED, Strip, divide
from assay.methods.backdoor.triggers import Patch, generic_patches
from assay.methods.finding import Interval, Metric
from assay.methods.method import Context
from assay.targets.data import ArrayImages
from assay.targets.splits import Splits
from assay.targets.target import Target

SHAPE = (1, 8, 8)
CLASSES = 4


class Quadrants(torch.nn.Module):
    """Names the brightest quadrant; with a backdoor, a white 2x2 corner says class 2 whatever else there is."""

    def __init__(self, backdoored):
        super().__init__()
        self.backdoored = backdoored

    def forward(self, images):
        quadrants = torch.nn.functional.avg_pool2d(images[:, :1], 4).flatten(1) * 25
        corner = (images[:, 0, 6:, 6:].amin(dim=(1, 2)) >= 0.5) & self.backdoored
        return torch.where(corner[:, None], torch.tensor([0.0, 0.0, 40.0, 0.0]), quadrants)


def splits_of(count, seed=0):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 0.5, (count, *SHAPE)).astype(np.float32)
    labels = random.integers(0, CLASSES, count)
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.4
    images[:, :, 6:, 6:] *= 0.3
    return Splits(non_members=ArrayImages(images, labels, "quadrants"))


def audit(folder, backdoored, count=400, serving=None, **options):
    splits = splits_of(count)
    target = Target.from_module(Quadrants(backdoored), input_shape=SHAPE, num_classes=CLASSES, splits=splits)
    oracle = Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", CLASSES))
    artefacts = folder / "artefacts"
    artefacts.mkdir(exist_ok=True)
    return Strip(**options).run(oracle, splits, context_of(artefacts)), oracle


def context_of(folder):
    return Context(seed=1, device=torch.device("cpu"), artefacts=folder, shared=folder)


@settings(deadline=None)
@given(count=st.integers(0, 3000), most=st.integers(FEWEST_IMAGES, 2000), seed=st.integers(0, 5))
def test_the_four_parts_never_overlap(count, most, seed):
    generator = torch.Generator().manual_seed(seed)
    if count < FEWEST_IMAGES:
        with pytest.raises(DataError, match="at least 40 clean images"):
            divide(count, most, generator)
        return
    parts = divide(count, most, generator)
    rows = np.concatenate(parts)
    assert len(rows) == min(count, most) == len(set(rows.tolist()))
    assert 0 <= rows.min() <= rows.max() < count
    assert min(map(len, parts)) >= 4
    assert len(parts.screening) <= MOST_SCREENED


def test_finds_a_planted_patch_and_strip_sees_it(tmp_path):
    finding, _ = audit(tmp_path, backdoored=True)
    assert finding.verdict.level == "high"
    assert finding.metric("trigger_success").value > 0.95
    assert finding.metric("rival_success").value < 0.2
    assert "white 2x2, bottom right" in finding.verdict.sentence
    assert "class 2" in finding.verdict.sentence
    assert finding.metric("strip_auroc").value > 0.95
    assert finding.metric("strip_tpr_at_0.05").value > 0.9
    files = [file for figure in finding.figures if figure.kind == "gallery" for row in figure.files for file in row]
    assert files
    assert all((tmp_path / "artefacts" / file).exists() for file in files)


def test_says_that_a_clean_model_is_not_cleared(tmp_path):
    finding, _ = audit(tmp_path, backdoored=False)
    assert finding.verdict.level == "undecided"
    assert "does not clear the model" in finding.verdict.sentence
    assert finding.metric("trigger_success").interval.high < TRIGGER_SUCCESS
    low, high = finding.metric("strip_frr_at_0.05").interval.low, finding.metric("strip_frr_at_0.05").interval.high
    assert low <= 0.05 <= high


def test_asks_what_it_announces_and_is_refused_before_the_first_question(tmp_path):
    finding, oracle = audit(tmp_path, backdoored=False, count=200, overlays=5)
    parts = divide(200, 1000, torch.Generator())
    evaluated, patches = len(parts.evaluation), generic_patches(SHAPE)
    most = len(parts.screening) * (1 + len(patches)) + 3 * evaluated
    most += 5 * (len(parts.calibration) + 2 * evaluated)
    asked = oracle.ledger.images + oracle.ledger.duplicates
    of_target = evaluated - len(finding.samples["entropy_stamped"][~np.isnan(finding.samples["entropy_stamped"])])
    assert asked == most - 5 * of_target
    with pytest.raises(BudgetError, match=f"up to {most:,} images, and the budget leaves 40"):
        audit(tmp_path, backdoored=False, count=200, overlays=5, serving=Serving(budget=40))


def test_thresholds_come_from_the_calibration_images_alone(tmp_path, monkeypatch):
    import assay.methods.backdoor.strip as module

    seen = []
    really = module.threshold

    def spy(values, rate):
        seen.append(values)
        return really(values, rate)

    monkeypatch.setattr(module, "threshold", spy)
    finding, _ = audit(tmp_path, backdoored=True)
    parts = divide(400, 1000, context_of(tmp_path).generator("strip: parts"))
    assert all(len(values) == len(parts.calibration) for values in seen)
    assert not set(seen[0].tolist()) & set(finding.samples["entropy"].tolist())
    assert np.array_equal(finding.samples["row"], parts.evaluation)


def test_too_few_calibration_images_give_no_number():
    some = np.linspace(0, 1, 20)
    metrics = strip_metrics(30, some, some, {0.01: None, 0.05: 0.1}, seed=0)
    named = {metric.name: metric for metric in metrics}
    assert named["strip_tpr_at_0.01"].value is None
    assert "30 calibration images are too few" in named["strip_tpr_at_0.01"].note
    assert named["strip_frr_at_0.05"].value == 0.1


@pytest.mark.parametrize(
    ("success", "rival", "auroc", "level", "words"),
    [
        ((0.49, 0.9), (0.0, 0.1), (0.8, 0.9), "undecided", "No sign of a backdoor"),
        ((0.51, 0.9), (0.0, 0.25), (0.51, 0.9), "high", "no patch does the like"),
        ((0.51, 0.9), (0.0, 0.26), (0.51, 0.9), "elevated", "general weakness to patches"),
        ((0.51, 0.9), (0.0, 0.25), (0.49, 0.9), "elevated", "does not tell"),
    ],
)
def test_the_verdict_goes_by_bounds(success, rival, auroc, level, words):
    def metric(bounds):
        interval = Interval(low=bounds[0], high=bounds[1], method="made up")
        return Metric(name="m", label="", value=sum(bounds) / 2, interval=interval)

    tried = Tried(Patch("white", 3, "top left"), "cat", Patch("black", 4, "top right"), "dog", 84)
    found = verdict(metric(success), metric(rival), metric(auroc), tried)
    assert found.level == level
    assert words in found.sentence


class Fragile(torch.nn.Module):
    """A white square in any corner leads to that corner's class, as in a model that patches confuse in general."""

    def forward(self, images):
        corners = [
            images[:, 0, y, x].amin(dim=(1, 2)) for y in (slice(2), slice(6, 8)) for x in (slice(2), slice(6, 8))
        ]
        quadrants = torch.nn.functional.avg_pool2d(images[:, :1], 4).flatten(1) * 25
        return quadrants + 100 * (torch.stack(corners, dim=1) >= 0.999)


def test_a_model_that_every_patch_confuses_is_not_called_backdoored(tmp_path):
    splits = splits_of(400)
    target = Target.from_module(Fragile(), input_shape=SHAPE, num_classes=CLASSES, splits=splits)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "f.bin", CLASSES))
    finding = Strip().run(oracle, splits, context_of(tmp_path))
    assert finding.verdict.level == "elevated"
    assert finding.metric("trigger_success").value == finding.metric("rival_success").value == 1.0
    assert "general weakness" in finding.verdict.sentence


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="at least 40 clean images, and 39"):
        audit(tmp_path, backdoored=False, count=39)
    with pytest.raises(AccessError, match="needs posteriors"):
        audit(tmp_path, backdoored=False, serving=Serving(output="label"))
    target = Target.from_module(Quadrants(False), input_shape=SHAPE, num_classes=CLASSES)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "b.bin", CLASSES))
    with pytest.raises(DataError, match="needs clean images"):
        Strip().run(oracle, Splits(), context_of(tmp_path))


@pytest.mark.parametrize("constant", range(CLASSES))
def test_a_target_of_one_answer_has_no_trigger(tmp_path, constant):
    class Constant(torch.nn.Module):
        def forward(self, images):
            return torch.nn.functional.one_hot(torch.full((len(images),), constant), CLASSES).float()

    splits = splits_of(100)
    target = Target.from_module(Constant(), input_shape=SHAPE, num_classes=CLASSES, splits=splits)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "c.bin", CLASSES))
    finding = Strip().run(oracle, splits, context_of(tmp_path))
    assert finding.verdict.level == "undecided"
    assert finding.metric("trigger_success").value == 0.0
