"""Public models, backdoored and clean, with their own data."""

import pytest

from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import Subset
from assay.methods.backdoor.inputs.parts import Stamped
from assay.methods.backdoor.inputs.strip import Strip
from assay.methods.backdoor.triggers import Patch
from assay.methods.method import Context
from assay.targets.reference import load_target


def check(tmp_path, reference, level, words):
    target = load_target(reference)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "store.bin", target.num_classes))
    context = Context(seed=0, device=target.device, artefacts=tmp_path, shared=tmp_path)
    finding = Strip().run(oracle, target.splits, context)
    assert finding.verdict.level == level
    assert words in finding.verdict.sentence
    assert oracle.ledger.forwards < 30_000
    if level == "high":
        assert finding.metric("trigger_success").value > 0.9
        assert finding.metric("strip_auroc").interval.low > 0.7


@pytest.mark.data
@pytest.mark.parametrize(
    ("reference", "level", "words"),
    [
        ("badnets/mnist-cnn", "high", "white 5x5, bottom right"),
        ("badnets/cifar10-cnn", "high", "white 5x5, bottom right"),
        ("abcrown/mnist-conv-small-nat", "undecided", "does not clear the model"),
        ("locuslab/mnist-small", "undecided", "does not clear the model"),
    ],
)
def test_verdicts_on_public_models(tmp_path, reference, level, words):
    check(tmp_path, reference, level, words)


@pytest.mark.parametrize(("reference", "level"), [("digits-cnn-backdoored", "high"), ("digits-cnn", "undecided")])
def test_verdicts_on_the_starter_zoo(tmp_path, reference, level):
    check(tmp_path, f"starter/{reference}", level, "white 2x2, bottom right")


@pytest.mark.data
def test_suspects_that_carry_a_public_models_trigger(tmp_path):
    target = load_target("badnets/mnist-cnn")
    clean = target.splits.non_members
    marked = Stamped(Subset(clean, range(100)), Patch("white", 5, "bottom right").stamp, "badnets")
    splits = target.splits._replace(non_members=Subset(clean, range(100, 1100)), suspects=marked)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "store.bin", target.num_classes))
    context = Context(seed=0, device=target.device, artefacts=tmp_path, shared=tmp_path)
    finding = Strip().run(oracle, splits, context)
    assert finding.verdict.level in ("elevated", "high")
    assert finding.metric("strip_auroc").interval.low > 0.7
