"""The benchmark's list of networks, and that its command survives being killed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.base.digests import digest_file, digest_json
from assay.base.errors import LoadError
from assay.methods.backdoor.planting import plant_from
from assay.targets.architectures import build
from assay.training import Recipe, predict
from benchmarks.backdoor import zoo as backdoor_zoo
from benchmarks.backdoor import zoo_networks, zoo_tables
from benchmarks.backdoor.zoo_augmentation import AUGMENTATIONS, COPIES, UNSEEN, augmented
from benchmarks.backdoor.zoo_entries import (
    ARCHITECTURES,
    DATASETS,
    FOR_NULLS,
    NORMALISED,
    Entry,
    entries,
    further_clean,
)

ROOT = Path(__file__).parents[2]
QUICK = Recipe(epochs=3, batch_size=32, optimiser="adamw", learning_rate=5e-3)
BADNETS = plant_from({"name": "badnets", "side": 3, "rate": 0.2}).describe()


def small(number, attack=None, phases=(QUICK,)):
    kind = "clean" if attack is None else attack["name"]
    return Entry(
        name=f"{number:03d}-digits-digits-mlp-{kind}",
        dataset="digits",
        architecture="digits-mlp",
        seed=number,
        half="held-out",
        images=600,
        phases=phases,
        attack=attack,
    )


PUBLISHED = "38e42556bdbe16fd97ab0c833d44341a5f1d439662fac48e947a9e9c3e529259"
"""Of all entries, as they stand in docs/benchmarks/backdoor_zoo.md; another digest is another benchmark."""

SMALL = [small(0), small(1, BADNETS), small(2, None, (QUICK, QUICK)), small(3, BADNETS)]


LATER = ("rotate", "crop", "auto_augment", "cutout", "ema", "label_smoothing")
"""Options that recipes gained after the benchmark was published."""


def as_published(entry):
    """An entry in the form of its publication."""
    shown = entry.model_dump(mode="json", exclude={"augmentation"})
    for phase in shown["phases"]:
        assert all(phase.pop(name) == Recipe.model_fields[name].default for name in LATER)
    return shown


def test_the_entries_are_those_that_were_published():
    assert digest_json([as_published(entry) for entry in entries()]) == PUBLISHED
    assert all(entry.augmentation is None for entry in entries())


def test_entries_are_enough_distinct_and_balanced():
    listed = entries()
    assert len({e.name for e in listed}) == len({e.seed for e in listed}) == len(listed) == 168
    kinds = Counter(e.kind for e in listed)
    assert kinds.pop("clean") == 84
    assert sum(kinds.values()) == 84
    assert len(kinds) >= 6
    for kind, count in Counter((e.kind, e.half) for e in listed).items():
        assert abs(count - kinds.get(kind[0], 84) / 2) <= 1
    for clean in (True, False):
        part = [e for e in listed if (e.attack is None) is clean]
        assert Counter(e.dataset for e in part) == dict.fromkeys(DATASETS, 28)
        assert Counter(e.architecture for e in part) == dict.fromkeys(ARCHITECTURES, 21)
        halves = Counter((e.dataset, e.architecture, e.half) for e in part)
        assert set(halves.values()) == {3, 4}


@pytest.mark.parametrize("length", [24, 48, 100, 140])
def test_every_beginning_is_balanced(length):
    part = entries()[:length]
    for group, most in (("dataset", 4), ("architecture", 4), ("half", 8)):
        counts = Counter(getattr(e, group) for e in part).values()
        assert max(counts) - min(counts) <= most
    assert abs(Counter(e.kind for e in part)["clean"] - length / 2) <= 1
    assert len({e.kind for e in part}) >= (7 if length == 24 else 8)


def test_attacks_that_look_at_a_trained_network_have_two_phases_and_so_have_some_clean_ones():
    for entry in entries():
        if entry.attack is not None:
            assert len(entry.phases) == (2 if plant_from(entry.attack).trained else 1)
    assert sum(len(e.phases) == 2 for e in entries() if e.attack is None) == 12


def test_further_networks_are_clean_normalised_and_others_than_the_benchmarks():
    further, listed = further_clean(), entries()
    ways = Counter(e.augmentation for e in further)
    assert ways == {None: 9 * FOR_NULLS, **dict.fromkeys(AUGMENTATIONS, 9)}
    cells = Counter((e.dataset, e.architecture) for e in further)
    assert cells == dict.fromkeys(itertools.product(DATASETS, NORMALISED), FOR_NULLS + len(AUGMENTATIONS))
    assert all(e.attack is None and e.half == ("unseen" if e.augmentation == UNSEEN else "null") for e in further)
    assert len({e.seed for e in (*further, *listed)}) == len({e.name for e in (*further, *listed)}) == 240
    alike = {(e.dataset, e.architecture, e.images, e.phases) for e in listed if e.attack is None}
    for entry in further:
        assert ((entry.dataset, entry.architecture, entry.images, entry.phases) in alike) is (
            entry.augmentation is None
        )
    for name in ARCHITECTURES:
        layers = build(name, 10, (3, 32, 32)).modules()
        assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) is (name in NORMALISED)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmented_copies_are_images_with_targets(name):
    images = torch.randint(256, (40, 3, 10, 12), dtype=torch.uint8)
    labels = torch.arange(40) % 4
    found, targets = augmented(name, images, labels, 4, seed=0)
    assert found.shape == (40 * COPIES, 3, 10, 12)
    assert found.dtype == torch.uint8
    torch.testing.assert_close(targets.sum(1), torch.ones(40 * COPIES))
    assert torch.equal(targets.argmax(1), labels.repeat(COPIES))
    changed = (found != images.repeat(COPIES, 1, 1, 1)).flatten(1).any(1).float().mean()
    assert changed == pytest.approx(0.5 if name == "erased" else 1.0, abs=0.15)
    assert not torch.equal(found[:40], found[40:80])
    assert torch.equal(found, augmented(name, images, labels, 4, seed=0)[0])


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A zoo whose making is killed after the first network, and then gone on with."""
    folder = tmp_path_factory.mktemp("zoo")
    code = "from test_backdoor_zoo import SMALL; from benchmarks.backdoor import zoo; "
    code += "import sys; from pathlib import Path; zoo.run(Path(sys.argv[1]), SMALL, 1)"
    paths = os.pathsep.join([str(Path(__file__).parent), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code, str(folder)]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    while not (folder / SMALL[0].name).exists():
        assert child.poll() is None
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    made = {path.name: digest_file(path / "network.json") for path in folder.glob("[0-9]*")}
    assert len(made) < len(SMALL)
    (folder / ".unfinished-1-half").mkdir(exist_ok=True)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder, made


def test_a_killed_run_goes_on_and_makes_nothing_twice(zoo):
    folder, made = zoo
    assert sorted(path.name for path in folder.iterdir()) == sorted(entry.name for entry in SMALL)
    for name, digest in made.items():
        assert digest_file(folder / name / "network.json") == digest
    assert backdoor_zoo.missing(SMALL, folder) == []
    other = SMALL[1].model_copy(update={"images": 500})
    assert backdoor_zoo.missing([SMALL[0], other], folder) == [other]


def test_networks_are_opened_as_they_were_measured(zoo):
    networks = list(zoo_networks.load_zoo(zoo[0]))
    assert [network.entry for network in networks] == SMALL
    for network in networks:
        made, target = network.made, zoo_networks.open_network(network)
        test = target.splits.non_members
        images, labels = test.take(range(len(test))), torch.from_numpy(test.labels)
        assert int((target.logits(images).argmax(1) == labels).sum()) == made.accuracy.hits
        assert made.accuracy.bounds.low < made.accuracy.value < made.accuracy.bounds.high
        assert made.weights == digest_file(network.folder / "weights.safetensors")
        assert made.training_set == target.splits.members.digest
        if network.entry.attack is None:
            assert network.planted() is None
            assert not network.backdoored
            with pytest.raises(LoadError, match="has no backdoor"):
                zoo_networks.stamped_test_images(network)
        else:
            stamped = zoo_networks.stamped_test_images(network)
            found = predict(target.module, stamped.images, torch.device("cpu")).argmax(1)
            assert int((found == stamped.wanted).sum()) == made.success.hits
            assert len(found) == made.success.n
            assert network.backdoored == (made.success.value >= 0.8)


def test_the_same_entry_gives_the_same_weights(zoo, tmp_path):
    again = backdoor_zoo.make(SMALL[1], tmp_path)
    assert again.made.weights == zoo_networks.read_network(zoo[0] / SMALL[1].name).made.weights


def test_tables_hold_means_and_name_what_failed(zoo):
    networks = list(zoo_networks.load_zoo(zoo[0]))
    first, second = (100 * networks[i].made.success.value for i in (1, 3))
    accuracy = 50 * (networks[1].made.accuracy.value + networks[3].made.accuracy.value)
    rows = zoo_tables.by_cell(networks).splitlines()
    assert rows[0] == "| attack | data set | digits-mlp |"
    assert rows[2] == f"| badnets | digits | {accuracy:.1f} / {(first + second) / 2:.1f} |"
    assert rows[3].startswith("| clean | digits | ")

    row = zoo_tables.by_attack(networks).splitlines()[2]
    low, high = sorted([first, second])
    assert row.startswith(f"| badnets | 2 | {(low + high) / 2:.1f} ({low:.1f} to {high:.1f}) | ")
    assert zoo_tables.success_elsewhere(networks[1], networks[1]) == networks[1].made.success
    assert zoo_tables.success_elsewhere(networks[1], networks[0]).value < 0.5

    failed = networks[1].made.model_copy(update={"success": zoo_networks.Share(hits=79, n=100)})
    assert failed.failed_plant
    listed = zoo_tables.failures([networks[0], zoo_networks.Network(failed, networks[1].folder)]).splitlines()
    assert listed[2:] == [f"| {SMALL[1].name} | held-out | 79.0 (69.7 to 86.5) |"]
    assert zoo_tables.failures(networks[:1]) == "No plant failed."


def test_triggers_of_other_images_against_one_image_after_another(tmp_path):
    attack = plant_from({"name": "input-aware", "rate": 0.2}).describe()
    network = backdoor_zoo.make(small(4, attack), tmp_path)
    planted, target = network.planted(), zoo_networks.open_network(network)
    test = target.splits.non_members
    images = test.take(np.flatnonzero(test.labels != 0))
    hits = 0
    for row in range(len(images)):
        mask, pattern = planted.trigger.drawn_for(images[row - 1 : row] if row else images[-1:])
        hits += int(target.logits((1 - mask) * images[row : row + 1] + mask * pattern).argmax() == 0)
    found = zoo_tables.with_others_triggers(network)
    assert found.n == len(images)
    assert abs(found.hits - hits) <= 1


def test_a_damaged_description_is_refused_and_made_anew(zoo, tmp_path):
    folder = tmp_path / SMALL[0].name
    folder.mkdir()
    (folder / "network.json").write_text("{")
    with pytest.raises(LoadError, match="cannot be read"):
        list(zoo_networks.load_zoo(tmp_path))
    assert backdoor_zoo.missing(SMALL[:1], tmp_path) == SMALL[:1]
