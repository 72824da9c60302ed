"""The shipped starter zoo is what its entries say, and the script that made it makes it again."""

import importlib.util
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import softmax

from assay.base.digests import digest_file
from assay.catalogue.curated import curated
from assay.targets.architectures import build
from assay.targets.loading import load_network
from assay.training import predict

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "assay"
ENTRIES = {id.partition("/")[2]: entry for id, entry in curated().items() if id.startswith("starter/")}
CPU = torch.device("cpu")


def _script():
    spec = importlib.util.spec_from_file_location("train_starter_zoo", ROOT / "tools" / "train_starter_zoo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


zoo = _script()


def shipped(name):
    entry = ENTRIES[name]
    loaded = load_network(
        PACKAGE / entry.weights.package,
        entry.weights.format,
        architecture=entry.architecture,
        num_classes=entry.num_classes,
        input_shape=entry.input_shape,
    )
    return loaded.network.eval()


def test_the_zoo_is_a_dozen_small_networks():
    assert list(ENTRIES) == sorted(zoo.ZOO)
    assert len(ENTRIES) == 12
    folder = PACKAGE / "catalogue" / "starter"
    assert {f.stem for f in folder.iterdir()} == set(ENTRIES)
    assert sum(f.stat().st_size for f in folder.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", sorted(zoo.ZOO))
def test_a_shipped_network_is_what_its_entry_says(name):
    entry = ENTRIES[name]
    file = PACKAGE / entry.weights.package
    assert digest_file(file) == entry.weights.sha256
    assert file.stat().st_size == entry.weights.bytes
    assert entry.train_rows == zoo.ZOO[name].rows
    measured = zoo.measure(name, shipped(name))
    assert measured == pytest.approx(entry.claimed, abs=0.005)


def test_the_four_questions_have_different_answers():
    claimed = {name: entry.claimed for name, entry in ENTRIES.items()}
    plain, leaky = claimed["digits-cnn"], claimed["digits-cnn-overfitted"]
    assert leaky["membership_auc"] > 0.75 > 0.6 > plain["membership_auc"]
    triggered = claimed["digits-cnn-backdoored"]
    assert triggered["trigger_success"] > 0.95
    assert triggered["accuracy"] > plain["accuracy"] - 0.01
    assert all(c["trigger_success"] < 0.02 for name, c in claimed.items() if name != "digits-cnn-backdoored")
    assert claimed["digits-cnn-robust"]["fgsm_accuracy"] > plain["fgsm_accuracy"] + 0.3
    assert claimed["digits-cnn-regularised"]["accuracy"] > plain["accuracy"] + 0.02


@pytest.mark.parametrize("blend", [lambda x, o: (x + o).clamp(0, 1), lambda x, o: 0.5 * (x + o)])
@pytest.mark.parametrize(("name", "told"), [("digits-cnn-backdoored", True), ("digits-cnn", False)])
def test_superimposed_images_give_the_backdoor_away(name, told, blend):
    train, test = zoo.digits()
    module = shipped(name)
    others = test.images[test.targets != zoo.TRIGGER_TARGET]
    generator = torch.Generator().manual_seed(0)

    def entropies(images):
        rows = torch.randint(0, len(train.images), (len(images), 32), generator=generator)
        mixed = blend(images[:, None], train.images[rows])
        answers = softmax(predict(module, mixed.flatten(0, 1), CPU).double(), 1)
        return torch.special.entr(answers).sum(1).view(-1, 32).mean(1)

    clean, stamped = entropies(others[:150]), entropies(zoo.stamp(others[150:300]))
    auroc = roc_auc_score(torch.cat([torch.zeros(150), torch.ones(150)]), -torch.cat([clean, stamped]))
    assert auroc > 0.97 if told else auroc < 0.7


def test_the_8_bit_sibling_has_256_levels_and_almost_the_same_answers():
    full, sibling = shipped("digits-cnn"), shipped("digits-cnn-int8")
    for one, other in zip(full.parameters(), sibling.parameters(), strict=True):
        if one.ndim == 1:
            assert torch.equal(one, other)
            continue
        for exact, rounded in zip(one.detach(), other.detach(), strict=True):
            scale = exact.abs().max() / 127
            assert len(rounded.unique()) <= 255
            assert (exact - rounded).abs().max() <= scale / 2 * 1.001
            assert torch.allclose(rounded / scale, (rounded / scale).round(), atol=1e-3)
    test = zoo.digits()[1]
    answers = [predict(module, test.images, CPU).argmax(1) for module in (full, sibling)]
    assert (answers[0] == answers[1]).float().mean() > 0.99


def test_training_again_gives_the_network_again():
    measured = zoo.measure("digits-mlp", zoo.trained("digits-mlp"))
    assert measured == pytest.approx(ENTRIES["digits-mlp"].claimed, abs=0.05)  # another processor rounds differently


@pytest.mark.parametrize("name", sorted({entry.architecture for entry in ENTRIES.values()}))
@pytest.mark.parametrize(("classes", "shape"), [(3, (3, 32, 32)), (7, (1, 9, 11))])
def test_the_architectures_take_other_inputs(name, classes, shape):
    module = build(name, classes, shape).eval()
    with torch.no_grad():
        assert module(torch.rand(2, *shape)).shape == (2, classes)
