"""A model is looked at before it is judged: at chance, or far from what was expected, nothing is low."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import assay
from assay.base.vision import import_timm
from assay.catalogue.weights import Preprocessing
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.finding import Verdict
from assay.studies import Workspace, make_method, run_trials
from assay.studies.sanity import Sanity, cautious
from assay.studies.sanity_check import kappa, look
from assay.studies.units import Place, plan_target
from assay.studies.work import Job, code_version, run_job
from assay.targets.architectures import build
from assay.targets.module import Preprocessed
from assay.targets.reference import load_target
from assay.targets.target import Target
from studies.doubles import target as tiny
from studies.doubles import trial

COLOURS = torch.tensor([[0.8, 0.2, 0.3], [0.2, 0.8, 0.4], [0.6, 0.2, 0.2], [0.7, 0.7, 0.2]])
"""The mean colour of each of four classes."""


class Colours(torch.nn.Module):
    """Knows four colours by their mean, in an input made by some preprocessing of its own."""

    def __init__(self, wanted: Preprocessing, blue_first: bool = False) -> None:
        super().__init__()
        self.wanted, self.blue_first = wanted, blue_first

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.wanted.mean, self.wanted.std))
        pixels = (inputs * std + mean) / self.wanted.scale
        if self.blue_first:
            pixels = pixels.flip(1)
        return 20 * torch.exp(-20 * torch.cdist(pixels.mean(dim=(2, 3)), COLOURS) ** 2)


def painted(n: int, seed: int, shift: int = 0, order: tuple[int, ...] = (0, 1, 2, 3)) -> ArrayImages:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    means = COLOURS.numpy()[labels][:, :, None, None]
    pixels = np.clip(means + random.normal(0, 0.25, (n, 3, 4, 4)), 0, 1).astype(np.float32)
    return ArrayImages(pixels, (np.array(order)[labels] + shift) % 4, f"painted {seed}")


def colours(wanted: Preprocessing | None = None, told: Preprocessing | None = None, **changes: Any) -> Target:
    """A target that wants one preprocessing and was told another."""
    blue = changes.pop("blue_first", False)
    facts = changes.pop("facts", {})
    splits = Splits(painted(80, 0, **changes), painted(80, 1, **changes))
    return Target.from_module(
        Colours(wanted or Preprocessing(), blue),
        input_shape=(3, 4, 4),
        num_classes=4,
        splits=splits,
        preprocessing=told or Preprocessing(),
        weights_digest="c" * 64,
        facts=facts,
    )


def seen(target: Target) -> Sanity:
    found = look(target)
    assert found is not None
    return found


def test_a_good_model_is_not_in_doubt() -> None:
    found = seen(colours())
    assert (found.doubt, found.cause) == ("", None)
    assert set(found.accuracy) == {"members", "non_members"}
    share = found.accuracy["non_members"]
    assert share.value > 0.95
    assert share.low < share.value <= share.high + 1e-9
    assert (share.n, found.chance, found.majority) == (80, 0.25, 0.25)


IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("wanted", "told", "says"),
    [
        (Preprocessing(scale=255.0), Preprocessing(), "pixels from 0 to 255"),
        (Preprocessing(), Preprocessing(scale=255.0), "pixels from 0 to 1 "),
        (Preprocessing(mean=(0.5,), std=(0.5,)), Preprocessing(scale=255.0), "pixels from -1 to 1"),
        (Preprocessing(scale=255.0), IMAGENET, "scale = 255.0"),
    ],
)
def test_pixels_in_another_range_are_named(wanted: Preprocessing, told: Preprocessing, says: str) -> None:
    found = seen(colours(wanted, told))
    assert found.cause == "pixels"
    assert says in found.doubt
    again = Preprocessing.model_validate(found.preprocessing)
    assert seen(colours(wanted, again)).doubt == "", "what is proposed must mend it"


def test_colours_in_another_order_are_named() -> None:
    found = seen(colours(blue_first=True))
    assert found.cause == "pixels"
    assert "With blue first" in found.doubt


def test_labels_shifted_by_one_are_named() -> None:
    above, below = seen(colours(shift=1)), seen(colours(shift=-1))
    assert (above.cause, below.cause) == ("labels", "labels")
    assert "shifted by one: they lie one above the answers, and 9" in above.doubt
    assert "one below" in below.doubt
    mixed = seen(colours(order=(2, 0, 3, 1)))
    assert mixed.cause == "labels"
    assert "in another order" in mixed.doubt


def test_far_below_what_is_expected_is_a_doubt() -> None:
    weak = [replace(colours(facts={"expected_accuracy": e}), splits=_noisy()) for e in (0.95, 0.72)]
    below, near = map(seen, weak)
    assert below.cause == "expected"
    assert "where 95.0% was expected" in below.doubt
    assert near.doubt == ""


def _noisy() -> Splits:
    """Three in ten labels are wrong."""
    parts = []
    for seed in (0, 1):
        part = painted(200, seed)
        labels = part.labels.copy()
        labels[::10], labels[1::10], labels[2::10] = 0, 1, 2
        parts.append(ArrayImages(part.images, labels, part.name))
    return Splits(*parts)


def test_an_untrained_network_is_never_found_safe(tmp_path: Path) -> None:
    trained = load_target("starter/digits-cnn")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = Target.from_module(
            build("digits-cnn", 10, (1, 8, 8)), input_shape=(1, 8, 8), num_classes=10, splits=trained.splits
        )
    methods = {"methods": ["membership.metrics", "evasion.fgsm"], "options": {"evasion.fgsm": {"max_images": 20}}}
    audit = assay.audit(untrained, workspace=tmp_path / "w", **methods)  # type: ignore[arg-type]
    by_name = {outcome.method.name: outcome for outcome in audit.outcomes}
    member = by_name["membership.metrics"]
    assert member.verdict is not None
    assert member.verdict.level == "undecided"
    assert member.target.sanity is not None
    assert member.target.sanity.cause == "chance"
    assert audit.report.summary.startswith("First: the model is right on ")
    assert "is its preprocessing right?" in audit.report.summary.partition("nothing is called low.")[0]
    assert all(answer.level != "low" for answer in audit.report.answers)
    good = assay.audit(trained, workspace=tmp_path / "w", **methods)  # type: ignore[arg-type]
    assert all(outcome.target.sanity and not outcome.target.sanity.doubt for outcome in good.outcomes)
    assert not good.report.summary.startswith("First")


def test_a_study_looks_as_an_audit_does(tmp_path: Path) -> None:
    text = (
        'name = "random"\nfactory = "randoms:make"\nnum_classes = 10\ninput_shape = [1, 8, 8]\ndata = "digits"\n'
        "expected_accuracy = 0.9\n"
    )
    (tmp_path / "randoms.py").write_text(
        "def make(num_classes, input_shape):\n"
        "    from assay.targets.architectures import build\n"
        "    return build('digits-cnn', num_classes, input_shape)\n"
    )
    (tmp_path / "random.toml").write_text(text)
    place = Place(reference=str(tmp_path / "random.toml"))
    units = plan_target(place, [make_method("membership.metrics", "quick")], [{}], [0])
    events: list[Any] = []
    run_job(Job(units=units, workspace=str(tmp_path / "w"), code=code_version()), events.append)
    (outcome,) = Workspace(tmp_path / "w").outcomes()
    assert outcome.verdict is not None
    assert outcome.verdict.level == "undecided"
    assert outcome.target.sanity is not None
    assert "where 90.0% was expected" in outcome.target.sanity.doubt
    audit = assay.audit(str(tmp_path / "random.toml"), methods=["membership.metrics"], workspace=tmp_path / "w")
    assert audit.reused == 1


def test_the_look_is_kept_and_costs_no_method_a_forward_pass(tmp_path: Path) -> None:
    asked: list[int] = []
    whole = colours()
    counted = replace(whole, logits=lambda images: (asked.append(len(images)), whole.logits(images))[1])
    workspace = Workspace(tmp_path / "w")
    first = look(counted, workspace)
    assert sum(asked) >= 160
    asked.clear()
    assert look(counted, workspace) == first
    assert asked == []
    (file,) = (workspace.path / "shared" / "sanity").iterdir()
    file.write_text("{")
    assert look(counted, workspace) == first
    assert asked


def test_what_costs_or_cannot_be_judged_is_not_looked_at() -> None:
    assert look(replace(colours(), answers="posteriors")) is None
    assert look(replace(colours(), splits=Splits())) is None
    assert look(tiny()) is None, "12 and 24 images say nothing"

    def broken(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    assert look(replace(colours(), logits=broken)) is None


def test_only_low_is_taken_back() -> None:
    doubted = seen(colours(Preprocessing(scale=255.0)))
    for level in ("low", "elevated", "high", "undecided"):
        verdict = Verdict(level=level, metric="m", sentence="So.")  # type: ignore[arg-type]
        assert cautious(verdict, None) == cautious(verdict, seen(colours())) == verdict
        changed = cautious(verdict, doubted)
        assert changed.level == ("undecided" if level == "low" else level)
        assert (changed == verdict) == (level != "low")


def test_the_engine_takes_back_what_a_method_calls_low(tmp_path: Path) -> None:
    doubted = seen(colours(Preprocessing(scale=255.0)))
    sure, unsure = trial(), trial(sanity=doubted)
    assert sure.key != unsure.key
    low, left_open = run_trials([sure, unsure], Workspace(tmp_path / "w")).outcomes
    assert low.verdict is not None
    assert left_open.verdict is not None
    assert (low.verdict.level, left_open.verdict.level) == ("low", "undecided")
    assert doubted.doubt in left_open.verdict.sentence


def test_kappa_is_agreement_beyond_chance() -> None:
    from sklearn.metrics import cohen_kappa_score

    random = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        labels = random.integers(0, 4, 300)
        answers = np.where(random.random(300) < share, labels, random.integers(0, 3, 300))
        assert kappa(labels, answers) == pytest.approx(cohen_kappa_score(labels, answers))
    assert kappa(np.zeros(5, np.int64), np.ones(5, np.int64)) == 1.0


@pytest.mark.data
def test_the_claims_of_public_models_hold_and_random_weights_do_not() -> None:
    public = load_target("akamaster/cifar10-resnet20")
    found = seen(public)
    assert found.doubt == ""
    assert found.expected == pytest.approx(0.9178, abs=0.01)
    timm = import_timm()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = timm.create_model("resnet18", num_classes=10)
    random = Target.from_module(untrained, input_shape=(3, 32, 32), num_classes=10, splits=public.splits)
    assert seen(random).cause == "chance"


PLANTED: dict[str, Preprocessing] = {
    "pixels from 0 to 1": Preprocessing(),
    "pixels from 0 to 255": Preprocessing(scale=255.0),
    "pixels from -1 to 1": Preprocessing(mean=(0.5,), std=(0.5,)),
    "normalised twice": Preprocessing(mean=(2.1,), std=(0.07,)),
    "a tenth of the range": Preprocessing(scale=0.1),
    "a mean from 0 to 255": Preprocessing(mean=(120.0,), std=(60.0,)),
    "dark and bright exchanged": Preprocessing(scale=-1.0, mean=(-1.0,)),
}


@pytest.mark.data
@pytest.mark.parametrize("name", ["akamaster/cifar10-resnet20", "locuslab/fashion-mnist-small"])
def test_every_wrong_preprocessing_that_costs_accuracy_is_found(name: str) -> None:
    public = load_target(name)
    assert isinstance(public.module, Preprocessed)
    right = seen(public).accuracy["non_members"].value
    for what, told in PLANTED.items():
        wrong = Target.from_module(
            public.module.module,
            input_shape=public.input_shape,
            num_classes=public.num_classes,
            splits=public.splits,
            preprocessing=told,
            facts={"expected_accuracy": right},
        )
        found = seen(wrong)
        if found.accuracy["non_members"].value > right - 0.1:
            assert not found.doubt or found.cause == "pixels", what
            continue
        assert found.cause == "pixels", (what, found.doubt)
        mended = Target.from_module(
            public.module.module,
            input_shape=public.input_shape,
            num_classes=public.num_classes,
            splits=public.splits,
            preprocessing=Preprocessing.model_validate(found.preprocessing),
        )
        assert seen(mended).accuracy["non_members"].value > right - 0.05, (what, found.doubt)
