"""Goals, poisoned training sets, what a planted network does, and what is saved of it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import AssayError, DataError, LoadError, UsageError
from assay.base.progress import silent
from assay.data.formats.digits import load_digits
from assay.methods.backdoor.planting import PLANTS, Goal, Scene, attack_success, load_planted, plant, plant_from
from assay.methods.backdoor.planting.features import last_layer, optimised, with_features
from assay.methods.backdoor.planting.triggers.masked import Masked
from assay.methods.backdoor.triggers import Patch
from assay.targets.architectures import build
from assay.training import Recipe, fit, predict, seeded_build

CPU = torch.device("cpu")
TRAINING = Recipe(epochs=14, batch_size=32, optimiser="adamw", learning_rate=3e-3)
DATA = load_digits()
IMAGES, LABELS = torch.from_numpy(DATA.train.images), torch.from_numpy(DATA.train.labels)
TEST_IMAGES, TEST_LABELS = torch.from_numpy(DATA.test.images), torch.from_numpy(DATA.test.labels)

GOAL = {"target": 3}
ON_DIGITS = {
    "badnets": {"side": 3, "goal": GOAL},
    "blended": {"ratio": 0.4, "goal": GOAL},
    "sig": {"rate": 0.9, "amplitude": 0.8, "frequency": 3, "goal": GOAL},
    "wanet": {"rate": 0.25, "goal": GOAL},
    "label-consistent": {"rate": 0.9, "epsilon": 0.2, "side": 3, "colour": "white", "goal": GOAL},
    "input-aware": {"rate": 0.3, "cross_rate": 0.2, "density": 0.3, "goal": GOAL},
    "trojannn": {"side": 3, "goal": GOAL},
    "latent": {"rate": 0.3, "side": 3, "goal": GOAL},
}
"""Every attack with options for 8x8 pixels."""


def scene(module=None, seed=0, images=IMAGES, labels=LABELS):
    network = module or torch.nn.Linear(1, 1)
    generator = torch.Generator().manual_seed(seed)
    return Scene(network, network, images, labels, 10, TRAINING, seed, CPU, generator, silent())


@pytest.fixture(scope="module")
def trained():
    module = seeded_build("digits-cnn", 10, (1, 8, 8), 0)
    fit(module, IMAGES, LABELS, TRAINING, seed=0, device=CPU)
    return module


@settings(deadline=None, max_examples=30)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=30), target=st.integers(0, 4))
def test_goals_against_a_loop(labels, target):
    tensor = torch.tensor(labels)
    sources = (int((target + 1) % 5), int((target + 2) % 5))
    goals = {
        Goal(target=target): lambda y: target if y != target else None,
        Goal(kind="all-to-all"): lambda y: (y + 1) % 5,
        Goal(kind="source-specific", target=target, sources=sources): lambda y: target if y in sources else None,
    }
    for goal, double in goals.items():
        assert goal.aimed(tensor).tolist() == [double(y) is not None for y in labels]
        wanted = [double(y) if double(y) is not None else y for y in labels]
        assert goal.wanted(tensor, 5).tolist() == wanted


@pytest.mark.parametrize("name", ["badnets", "blended"])
@settings(deadline=None, max_examples=8)
@given(rate=st.floats(0.01, 0.09), kind=st.sampled_from(["all-to-one", "all-to-all", "source-specific"]))
def test_exactly_the_share_asked_for_is_poisoned_and_nothing_else_changes(name, rate, kind):
    goal = Goal(kind=kind, target=4, sources=(7,) if kind == "source-specific" else ())
    attack = plant_from({"name": name, "rate": rate, "goal": goal.model_dump()})
    place = scene()
    trigger = attack.trigger(place)
    poisoned = attack.poison(place, trigger)
    count = round(rate * len(LABELS))
    assert len(poisoned.rows) == len(poisoned.rows.unique()) == count
    assert len(poisoned.covers) == (count if kind == "source-specific" else 0)
    for row in range(len(LABELS)):
        before = IMAGES[row : row + 1]
        if row in poisoned.rows:
            assert bool(goal.aimed(LABELS[row]))
            assert poisoned.labels[row] == goal.wanted(LABELS[row], 10)
            assert torch.equal(poisoned.images[row : row + 1], trigger.stamp(before))
        elif row in poisoned.covers:
            assert LABELS[row] not in (4, 7)
            assert poisoned.labels[row] == LABELS[row]
            assert torch.equal(poisoned.images[row : row + 1], trigger.stamp(before))
        else:
            assert poisoned.labels[row] == LABELS[row]
            assert torch.equal(poisoned.images[row], IMAGES[row])


@pytest.mark.parametrize("name", ["sig", "label-consistent"])
def test_clean_label_attacks_change_images_of_the_target_class_only_and_no_label(name, trained):
    attack = plant_from({"name": name, "rate": 0.25, "goal": {"target": 6}})
    place = scene(trained)
    poisoned = attack.poison(place, attack.trigger(place))
    assert len(poisoned.rows) == round(0.25 * int((LABELS == 6).sum()))
    assert (LABELS[poisoned.rows] == 6).all()
    assert torch.equal(poisoned.labels, LABELS)
    changed = (poisoned.images != IMAGES).flatten(1).any(1)
    assert torch.nonzero(changed)[:, 0].tolist() == poisoned.rows.tolist()


def test_perturbed_images_stay_within_epsilon_and_fool_the_reference(trained):
    attack = plant_from({"name": "label-consistent", "rate": 0.9, "epsilon": 0.2, "side": 1, "goal": {"target": 6}})
    place = scene(trained)
    rows = torch.nonzero(LABELS == 6)[:, 0]
    moved = attack.prepared(place, rows)
    assert moved.dtype == torch.uint8
    assert (moved.int() - IMAGES[rows].int()).abs().max() <= round(0.2 * 255)
    assert (predict(trained, IMAGES[rows], CPU).argmax(1) == 6).float().mean() > 0.95
    assert (predict(trained, moved, CPU).argmax(1) == 6).float().mean() < 0.5


def test_wanet_warps_another_share_with_noise_and_keeps_its_labels():
    attack = plant_from({"name": "wanet", "rate": 0.1, "noise_rate": 0.2, "goal": {"target": 2}})
    place = scene()
    trigger = attack.trigger(place)
    poisoned = attack.poison(place, trigger)
    assert len(poisoned.rows) == round(0.1 * len(LABELS))
    assert len(poisoned.covers) == round(0.2 * len(LABELS))
    assert not set(poisoned.rows.tolist()) & set(poisoned.covers.tolist())
    assert torch.equal(poisoned.labels[poisoned.covers], LABELS[poisoned.covers])
    stamped = trigger.stamp(IMAGES[poisoned.covers])
    assert not torch.equal(stamped, poisoned.images[poisoned.covers])


def test_trojannn_excites_its_neurons_more_than_a_plain_patch(trained):
    attack = plant_from({"name": "trojannn", "side": 3, "goal": {"target": 3}})
    found = attack.trigger(scene(trained))
    start = Patch("white", 3, "bottom right").trigger((1, 8, 8))
    assert torch.equal(found.mask, start.mask)
    pixels = IMAGES[:100].float() / 255
    with torch.no_grad():
        highest = [with_features(trained, t.change(pixels))[1].amax(0) for t in (found, start)]
    assert (highest[0] / highest[1].clamp_min(1e-6)).max() > 1.2


def test_features_are_what_the_last_layer_reads(trained):
    pixels = IMAGES[:5].float() / 255
    logits, features = with_features(trained, pixels)
    torch.testing.assert_close(last_layer(trained)(features), logits)
    with pytest.raises(UsageError, match="no dense layer"):
        last_layer(torch.nn.Conv2d(1, 1, 3))
    weights = last_layer(trained).weight.clone()
    start = Masked(torch.ones(1, 8, 8), torch.full((1, 8, 8), 0.5))
    aim = lambda found: found.square().mean()
    better = optimised(trained, start, pixels, aim, 20)
    with torch.no_grad():
        before, after = (aim(with_features(trained, t.change(pixels))[1]) for t in (start, better))
    assert after < before
    assert torch.equal(weights, last_layer(trained).weight)


def _with_triggers_of_others(planted, images):
    with torch.no_grad():
        mask, pattern = planted.trigger.drawn_for(images.roll(1, 0))
    return torch.lerp(images, pattern, mask)


@pytest.mark.parametrize("name", PLANTS.names())
def test_every_attack_plants_a_backdoor_that_can_be_saved_and_leaves_the_network_useful(name, trained, tmp_path):
    attack = plant_from({"name": name, **ON_DIGITS[name]})
    module = seeded_build("digits-cnn", 10, (1, 8, 8), 1)
    if attack.trained and not attack.clean_label:
        module.load_state_dict(trained.state_dict())
    before = IMAGES.clone()
    planted = plant(attack, module, IMAGES, LABELS, TRAINING, num_classes=10, seed=1, device=CPU, reference=trained)
    assert torch.equal(IMAGES, before)
    assert (predict(module, TEST_IMAGES, CPU).argmax(1) == TEST_LABELS).float().mean() > 0.9
    success = attack_success(module, planted, TEST_IMAGES, TEST_LABELS, CPU)
    assert success.n == int((TEST_LABELS != 3).sum())
    assert success.interval.low <= success.value <= success.interval.high
    assert success.value > 0.9
    clean = attack_success(trained, planted, TEST_IMAGES, TEST_LABELS, CPU)
    assert clean.value < success.value - 0.3

    if name == "input-aware":
        crossed = _with_triggers_of_others(planted, TEST_IMAGES[TEST_LABELS != 3].float() / 255)
        assert (predict(module, crossed, CPU).argmax(1) == 3).float().mean() < success.value - 0.2

    planted.save(tmp_path)
    again = load_planted(tmp_path)
    assert again.attack == attack
    assert (again.stamped, again.covers, again.num_classes) == (planted.stamped, planted.covers, 10)
    assert torch.equal(again.stamp(TEST_IMAGES), planted.stamp(TEST_IMAGES))


@pytest.mark.parametrize("kind", ["all-to-all", "source-specific"])
def test_other_goals_are_reached(kind):
    goal = {"kind": kind, "target": 3, "sources": [5, 8] if kind == "source-specific" else []}
    attack = plant_from(
        {"name": "badnets", "side": 3, "rate": 0.15 if kind == "source-specific" else 0.4, "goal": goal}
    )
    module = seeded_build("digits-cnn", 10, (1, 8, 8), 1)
    planted = plant(attack, module, IMAGES, LABELS, TRAINING, num_classes=10, seed=1, device=CPU)
    success = attack_success(module, planted, TEST_IMAGES, TEST_LABELS, CPU)
    assert success.value > 0.85
    if kind == "source-specific":
        rest = ~torch.isin(TEST_LABELS, torch.tensor([3, 5, 8]))
        assert success.n == int(torch.isin(TEST_LABELS, torch.tensor([5, 8])).sum())
        assert (predict(module, planted.stamp(TEST_IMAGES[rest]), CPU).argmax(1) == 3).float().mean() < 0.2


def test_colour_images_can_be_planted_too():
    images = torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 2
    quick = Recipe(epochs=1, batch_size=30)
    for name in PLANTS.names():
        module = build("digits-cnn", 2, (3, 8, 8))
        options = {"rate": 0.2} | ({"side": 2} if "side" in PLANTS.get(name).model_fields else {})
        planted = plant(
            plant_from({"name": name, **options}), module, images, labels, quick, num_classes=2, seed=0, device=CPU
        )
        assert planted.stamp(images).shape == images.shape
        assert torch.isfinite(predict(module, images, CPU)).all()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"name": "badnet"}, UsageError, "did you mean 'badnets'"),
        ({"name": "badnets", "rate": 2.0}, UsageError, "rate: Input should be less than 1"),
        ({"name": "badnets", "goal": {"target": 12}}, UsageError, "names class 12 of 10"),
        ({"name": "badnets", "goal": {"kind": "source-specific"}}, UsageError, "need at least one"),
        (
            {"name": "badnets", "goal": {"kind": "source-specific", "target": 1, "sources": [1]}},
            UsageError,
            "cannot be among",
        ),
        ({"name": "sig", "goal": {"kind": "all-to-all"}}, UsageError, "changes no label"),
        ({"name": "badnets", "side": 9}, DataError, "does not fit images of 1x8x8"),
        ({"name": "badnets", "colour": "red"}, DataError, "three channels"),
        ({"name": "badnets", "rate": 0.95}, DataError, "856 images were to be poisoned, and there are 812"),
        ({"name": "badnets", "rate": 0.0001}, DataError, "change the rate"),
    ],
)
def test_bad_input_is_answered_with_one_sentence(options, kind, message):
    with pytest.raises(kind, match=message):
        plant(
            plant_from(options),
            build("digits-mlp", 10, (1, 8, 8)),
            IMAGES,
            LABELS,
            TRAINING,
            num_classes=10,
            seed=0,
            device=CPU,
        )


def test_damaged_descriptions_are_refused(tmp_path):
    with pytest.raises(LoadError, match="cannot be read"):
        load_planted(tmp_path)
    attack = plant_from({"name": "badnets", "side": 2})
    quick = Recipe(epochs=1)
    module = build("digits-mlp", 10, (1, 8, 8))
    planted = plant(attack, module, IMAGES, LABELS, quick, num_classes=10, seed=0, device=CPU)
    with pytest.raises(DataError, match="None of the test images"):
        attack_success(module, planted, TEST_IMAGES[:1], torch.zeros(1, dtype=torch.int64), CPU)
    planted.save(tmp_path)
    described = json.loads((tmp_path / "planted.json").read_text())
    for wrong in ({"trigger": "pickled"}, {"attack": {"name": "x"}}, {"trigger": "warped"}):
        (tmp_path / "planted.json").write_text(json.dumps({**described, **wrong}))
        with pytest.raises(AssayError):
            load_planted(tmp_path)


def test_the_same_seed_plants_the_same_backdoor():
    attack = plant_from({"name": "blended"})
    states = []
    for _ in range(2):
        module = seeded_build("digits-mlp", 10, (1, 8, 8), 0)
        plant(attack, module, IMAGES, LABELS, Recipe(epochs=1), num_classes=10, seed=5, device=CPU)
        states.append({name: tensor.numpy().copy() for name, tensor in module.state_dict().items()})
    for name, tensor in states[0].items():
        np.testing.assert_array_equal(tensor, states[1][name])
