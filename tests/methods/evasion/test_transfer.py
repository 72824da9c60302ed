import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.errors import AccessError, BudgetError, LoadError
from assay.methods.evasion.transfer import Transfer
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.surrogate import Surrogate, resizing, save_surrogate
from assay.targets.architectures import build
from methods.evasion.small import CLASSES, SHAPE, context_of, target_of
from oracles.evasion import fgsm


@pytest.fixture
def stolen(tmp_path):
    """A folder with a surrogate, and the surrogate; the target will be the same network with small changes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build("digits-mlp", CLASSES, SHAPE)
        with torch.no_grad():
            network[-1].weight.mul_(6)
    module = resizing(network, SHAPE[1:])
    folder = tmp_path / "stolen"
    folder.mkdir()
    described = Surrogate(
        architecture="digits-mlp",
        num_classes=CLASSES,
        input_shape=SHAPE,
        size=SHAPE[1:],
        queries=321,
        price=0.0,
        agreement=0.9,
    )
    save_surrogate(module, described, folder)
    return folder, module


def attack(folder, provided, module, serving=None, **options):
    target = target_of(module)
    oracle = Oracle(target, serving or Serving(output="label"), PosteriorStore(folder / "store.bin", CLASSES))
    finding = Transfer(**options).run(oracle, target.splits, context_of(folder, provided=provided))
    return finding, oracle, target


def test_every_question_is_counted_and_the_surrogate_alone_is_differentiated(tmp_path, stolen):
    folder, module = stolen
    finding, oracle, target = attack(tmp_path, folder, module, epsilons=(0.05, 0.2))
    assert oracle.ledger.gradients == 0
    assert oracle.ledger.images + oracle.ledger.duplicates == 60 * 3
    images, labels = target.splits.non_members.take(np.arange(60)), target.splits.non_members.labels
    for epsilon in (0.05, 0.2):
        wrong = 0
        for image, label in zip(images, labels.tolist(), strict=True):
            answered = int(module(image[None]).argmax())
            if answered == label:
                wrong += int(module(fgsm(module, image, answered, epsilon)[None]).argmax()) != label
        assert finding.metric(f"success_at_{epsilon}").value == pytest.approx(wrong / 50)
    assert finding.metric("success_at_0.2").value > 0
    assert "stolen with 321 questions" in finding.verdict.sentence


def test_true_labels_do_not_steer_the_attack(tmp_path, stolen):
    folder, module = stolen
    target = target_of(module)
    answers = []
    for number, labels in enumerate((target.splits.non_members.labels, np.zeros(60, np.int64))):
        relabelled = type(target.splits.non_members)(target.splits.non_members.images, labels, "pictures")
        oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / f"{number}.bin", CLASSES))
        splits = target.splits._replace(non_members=relabelled)
        finding = Transfer().run(oracle, splits, context_of(tmp_path, provided=folder))
        answers.append(finding.samples["predicted_at_0.1"])
    assert np.array_equal(*answers)


@pytest.mark.parametrize(("budget", "images"), [(4, 1), (43, 10), (240, 60), (1000, 60)])
def test_a_budget_limits_the_images(tmp_path, stolen, budget, images):
    folder, module = stolen
    target = target_of(module, wrong=0)
    oracle = Oracle(target, Serving(budget=budget), PosteriorStore(tmp_path / "a.bin", CLASSES))
    finding = Transfer().run(oracle, target.splits, context_of(tmp_path, provided=folder))
    assert len(finding.samples["row"]) == images
    assert oracle.ledger.images <= budget


def test_it_builds_on_the_same_theft_as_the_preset():
    assert Transfer().requires() == BasicStealing()
    for preset, changes in Transfer.presets.items():
        assert Transfer(**changes).requires() == BasicStealing(**BasicStealing.presets[preset])


def test_bad_input_is_one_sentence(tmp_path, stolen):
    folder, module = stolen
    with pytest.raises(AccessError, match=r"run stealing\.basic before"):
        attack(tmp_path, None, module)
    with pytest.raises(BudgetError, match="One image takes 4 questions, and the budget leaves 3"):
        attack(tmp_path, folder, module, Serving(budget=3))
    (folder / "surrogate.json").unlink()
    with pytest.raises(LoadError, match="cannot be loaded"):
        attack(tmp_path, folder, module)
