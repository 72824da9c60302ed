"""Thefts that start from a public network of the target's own task."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from assay.access import Published
from assay.access.store import image_keys
from assay.catalogue.curated import curated
from assay.catalogue.weights import Preprocessing
from assay.data.images import ArrayImages
from assay.methods.stealing import public_start
from assay.methods.stealing.protocols import BestStealing
from assay.methods.stealing.public_start import PUBLIC, candidates
from assay.methods.stealing.surrogate import load_surrogate
from assay.targets.module import Preprocessed
from assay.targets.target import Target
from assay.training import Recipe, fit, seeded_build
from methods.stealing.small import CLASSES, SHAPE, Service, context_of, images_of, oracle_of, splits_of

torch.set_num_threads(1)

CPU = torch.device("cpu")
OPTIONS = {"flip": False, "mirrored": False, "shift": 0, "batch_size": 16, "public_epochs": 2, "budget": 30}


def network(epochs, channels="rgb"):
    """A network of the service's task; without training it knows nothing of it."""
    seen = Preprocessing(mean=(0.5,), std=(0.5,), channels=channels)
    module = Preprocessed(seeded_build("digits-mlp", CLASSES, SHAPE, 3), seen)
    if epochs:
        known = images_of(400, 9)
        recipe = Recipe(epochs=epochs, batch_size=16, optimiser="adam", learning_rate=0.003)
        fit(module, known, torch.from_numpy(known.labels), recipe, seed=0, device=CPU)
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def taught():
    return network(20)


def in_hand(**networks):
    boxes = {}
    for number, (name, module) in enumerate(networks.items()):
        target = Target.from_module(
            module.module, input_shape=SHAPE, num_classes=CLASSES, name=name, preprocessing=module.preprocessing
        )
        boxes[f"{PUBLIC} {number}"] = Published(target)
    return boxes


def steal(folder, monkeypatch, service=None, splits=None, boxes=None, **options):
    known = {box.name: SimpleNamespace(id=box.name, architecture="digits-mlp") for box in (boxes or {}).values()}
    monkeypatch.setattr(public_start, "curated", lambda: known)
    oracle, context = oracle_of(service or Service(), folder), context_of(folder)
    context = type(context)(**{**vars(context), "companions": boxes or {}})
    return BestStealing(**{**OPTIONS, **options}).run(oracle, splits or splits_of(test=200), context), oracle


def test_the_theft_starts_from_the_network_that_agrees_most_and_says_what_questions_bought(
    tmp_path, monkeypatch, taught
):
    boxes = in_hand(untaught=network(0), taught=taught)
    before = {name: value.clone() for name, value in taught.state_dict().items()}
    finding, oracle = steal(tmp_path, monkeypatch, boxes=boxes)
    public, agreed, bought = (finding.metric(name) for name in ("public_agreement", "agreement", "bought"))
    test = images_of(200, 1)
    with torch.no_grad():
        right = taught(test.take(np.arange(200))).argmax(1).numpy() == test.labels
    assert public.value == right.mean() > 0.7, "the service names the true class"
    assert bought.value == pytest.approx(agreed.value - public.value)
    assert bought.interval is not None
    assert "started from taught, a public network of the same task" in finding.verdict.sentence
    assert oracle.ledger.images == 30, "the start costs no question"
    assert all(torch.equal(value, before[name]) for name, value in taught.state_dict().items()), "it is only copied"
    assert finding.samples.outcomes["public_agreement"].mean() == public.value


def test_without_training_the_copy_is_the_start_and_the_copy_is_trained(tmp_path, monkeypatch, taught):
    still, _ = steal(tmp_path / "still", monkeypatch, boxes=in_hand(taught=taught), public_rate=1e-12)
    assert still.metric("bought").value == 0.0
    moved, _ = steal(tmp_path / "moved", monkeypatch, boxes=in_hand(taught=taught), public_rate=0.05)
    assert moved.metric("bought").value != 0.0


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_a_copy_of_a_start_is_loaded_with_its_preprocessing(tmp_path, monkeypatch, taught, channels):
    seen = taught.preprocessing.model_copy(update={"channels": channels})
    start = Preprocessed(taught.module, seen)
    finding, _ = steal(tmp_path, monkeypatch, boxes=in_hand(start=start))
    loaded, described = load_surrogate(tmp_path)
    test = images_of(200, 1).take(np.arange(200))
    with torch.no_grad():
        labels = loaded(test).argmax(1).numpy()
    assert (labels == finding.samples.columns["surrogate"]).all()
    assert (described.order, loaded.preprocessing.channels) == (channels, channels)
    assert described.architecture == "digits-mlp"


def test_a_network_that_tells_nothing_apart_is_no_start(tmp_path, monkeypatch):
    finding, _ = steal(tmp_path, monkeypatch, boxes=in_hand(untaught=network(0)), architecture="digits-mlp")
    assert "public_agreement" not in {metric.name for metric in finding.metrics}


def test_a_target_that_answers_a_constant_has_no_start_and_no_meaning(tmp_path, monkeypatch, taught):
    def constant(images):
        return np.tile(np.float32([1, 0, 0, 0]), (len(images), 1))

    finding, _ = steal(tmp_path, monkeypatch, service=constant, boxes=in_hand(taught=taught), architecture="digits-mlp")
    assert finding.metric("agreement").scale.chance == 1.0
    assert finding.verdict.level not in ("high", "elevated")
    assert "public network" not in finding.verdict.sentence


def test_a_pool_of_fifty_is_asked_about_whole(tmp_path, monkeypatch, taught):
    finding, oracle = steal(
        tmp_path, monkeypatch, splits=splits_of(pool=50, test=50), boxes=in_hand(taught=taught), budget=None
    )
    assert oracle.ledger.images == finding.metric("queries").value == 50


def test_pictures_that_nothing_was_trained_on_leave_the_start_in_place(tmp_path, monkeypatch, taught):
    random = np.random.default_rng(0)
    blobs = np.repeat(np.repeat(random.uniform(0.3, 0.7, (60, 1, 2, 2)), 4, 2), 4, 3).astype(np.float32)
    strange = ArrayImages(blobs + random.uniform(0, 0.3, blobs.shape).astype(np.float32), np.zeros(60, int), "strange")
    finding, _ = steal(
        tmp_path, monkeypatch, splits=splits_of(test=200)._replace(auxiliary=strange), boxes=in_hand(taught=taught)
    )
    assert finding.metric("agreement").value > 0.6


def test_the_start_is_chosen_by_the_first_questions_of_the_smallest_budget(tmp_path, monkeypatch, taught):
    asked = []
    real = public_start.ask_blends
    monkeypatch.setattr(public_start, "ask_blends", lambda thief, count: asked.append(count) or real(thief, count))
    finding, oracle = steal(tmp_path, monkeypatch, boxes=in_hand(taught=taught), checkpoints=(20,))
    assert asked[0] == 5, "a quarter"
    assert finding.metric("agreement_at_20").value > 0.6
    assert oracle.ledger.images == 30


def test_a_network_that_has_learned_the_pool_by_heart_is_not_preferred_for_it(tmp_path, monkeypatch, taught):
    """Right about every image of the pool, and about nothing else: on the pool alone it would be chosen."""
    splits = splits_of(test=200)
    pool = splits.auxiliary.take(np.arange(60))

    class Heart(torch.nn.Module):
        def forward(self, images):
            distance = torch.cdist(images.flatten(1), (pool - 0.5).flatten(1) * 2)
            best = distance.min(dim=1)
            known = torch.nn.functional.one_hot(torch.from_numpy(splits.auxiliary.labels)[best.indices], CLASSES)
            return torch.where(best.values[:, None] < 0.05, known, torch.eye(CLASSES)[0]).float() * 9

    heart = Preprocessed(Heart(), taught.preprocessing)
    with torch.no_grad():
        assert (heart(pool).argmax(1).numpy() == splits.auxiliary.labels).all()
    finding, _ = steal(tmp_path, monkeypatch, splits=splits, boxes=in_hand(heart=heart, taught=taught))
    assert "started from taught" in finding.verdict.sentence


@pytest.mark.parametrize(("blended", "most"), [(0.0, 7), (0.5, 15), (1.0, 30)])
def test_so_many_questions_are_about_blends_and_the_others_about_the_pool(tmp_path, monkeypatch, taught, blended, most):
    service, splits = Service(), splits_of(test=5)
    steal(tmp_path, monkeypatch, service=service, splits=splits, boxes=in_hand(taught=taught), blended=blended)
    pool = {key.tobytes() for key in image_keys(splits.auxiliary.take(np.arange(60)))}
    assert (len(service.seen) - 5, len(set(service.seen[:-5]) - pool)) == (30, most)


def test_candidates_are_other_good_networks_of_the_task_that_can_be_built_again():
    own = "akamaster/cifar10-resnet20"
    target = SimpleNamespace(
        name=own, modality="image", input_shape=(3, 32, 32), num_classes=10, splits=SimpleNamespace(non_members=None)
    )
    found = list(candidates(target, 20).values())
    assert found[0] == "akamaster/cifar10-resnet32"
    assert own not in found
    assert "badnets/cifar10-cnn" not in found, "an accuracy of 49 %"
    assert all(curated()[name].architecture for name in found)
    assert len(candidates(target, 2)) == 2
    assert candidates(SimpleNamespace(modality="text"), 20) == {}


def test_what_is_named_is_kept(monkeypatch):
    target = SimpleNamespace(
        name="akamaster/cifar10-resnet20", modality="image", input_shape=(3, 32, 32), num_classes=10,
        splits=SimpleNamespace(non_members=None),
    )  # fmt: skip
    assert BestStealing().public_companions(target)
    for named in ({"architecture": "tiny-cnn"}, {"initialisation": "pretrained"}, {"public_networks": 0}):
        assert BestStealing(**named).public_companions(target) == {}
