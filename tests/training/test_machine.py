"""Threads, layout and precision by measurement: what is chosen, kept and respected."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from assay.base.cores import available_cores
from assay.training import Recipe, fit, machine, seeded_build
from assay.training.machine import Way, lay_out, threads, way_to_train

CPU = torch.device("cpu")
IMAGES = torch.rand(40, 1, 8, 8)
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "machine"


def network(width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(36 * width, 3))


def measuring(monkeypatch, table, limit):
    """Pretend that steps take what a table says, by threads, layout and precision."""

    def seconds(module, images, way):
        kind = "half" if way.bfloat16 else "last" if way.channels_last else "plain"
        return table[kind] / table.get("speed", {}).get(way.threads, 1.0)

    monkeypatch.setattr(machine, "_seconds", seconds)
    monkeypatch.setattr(machine, "available_cores", lambda: limit)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)


@pytest.mark.parametrize(
    ("table", "exact", "chosen"),
    [
        ({"plain": 0.1, "last": 0.099, "half": 0.09}, False, (False, False, 1)),
        ({"plain": 0.1, "last": 0.07, "half": 0.06}, False, (False, True, 1)),
        ({"plain": 0.1, "last": 0.07, "half": 0.03}, False, (True, True, 1)),
        ({"plain": 0.1, "last": 0.07, "half": 0.03}, True, (False, False, 1)),
        ({"plain": 0.1, "last": 0.1, "half": 0.1, "speed": {2: 1.9, 4: 3.5, 8: 3.6}}, False, (False, False, 4)),
        ({"plain": 0.1, "last": 0.1, "half": 0.1, "speed": {2: 1.1, 4: 3.5}}, False, (False, False, 1)),
        ({"plain": 0.1, "last": 0.1, "half": 0.05, "speed": {2: 1.9, 4: 0.1}}, False, (True, True, 2)),
        ({"plain": 0.001, "last": 0.0001, "half": 0.0001, "speed": {2: 9.0}}, False, (False, False, 1)),
    ],
)
def test_the_fastest_way_is_chosen_where_it_pays(monkeypatch, table, exact, chosen):
    measuring(monkeypatch, table, 8)
    way = way_to_train(network(), IMAGES, exact=exact)
    assert (way.bfloat16, way.channels_last, way.threads) == chosen
    assert way.seconds["float32"] == table["plain"]
    assert way.machine == machine.processor()


@pytest.mark.parametrize(("cores", "chosen"), [(1, 1), (2, 2), (3, 2), (16, 16)])
def test_no_more_threads_than_the_process_may_use(monkeypatch, cores, chosen):
    speed = {count: 0.95 * count for count in (2, 4, 8, 16, 32, 64)}
    measuring(monkeypatch, {"plain": 1.0, "last": 1.0, "half": 1.0, "speed": speed}, cores)
    assert way_to_train(network(), IMAGES, exact=True).threads == chosen


def test_no_more_threads_than_pytorch_is_set_to(monkeypatch):
    measuring(monkeypatch, {"plain": 1.0, "last": 1.0, "half": 1.0, "speed": {2: 2.0, 4: 4.0}}, 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert way_to_train(network(), IMAGES, exact=True).threads == 2


def test_what_was_chosen_holds_for_good_and_for_other_processes(monkeypatch, cache):
    measuring(monkeypatch, {"plain": 1.0, "last": 1.0, "half": 0.1}, 1)
    first = way_to_train(network(), IMAGES, exact=False)
    (file,) = cache.iterdir()
    assert json.loads(file.read_text())["bfloat16"] is True
    measuring(monkeypatch, {"plain": 1.0, "last": 1.0, "half": 5.0}, 1)
    assert way_to_train(network(), IMAGES, exact=False) == first
    monkeypatch.setattr(machine, "_KNOWN", {})
    assert way_to_train(network(), IMAGES, exact=False) == first, "read from the file"
    assert not way_to_train(network(), IMAGES, exact=True).bfloat16
    assert not way_to_train(network(5), IMAGES, exact=False).bfloat16, "another network is measured for itself"
    monkeypatch.setattr(machine, "_KNOWN", {})
    file.write_text("{")
    assert not way_to_train(network(), IMAGES, exact=False).bfloat16, "a damaged file is measured anew"


def test_of_two_processes_the_first_decides_and_an_unwritable_cache_is_no_obstacle(tmp_path, monkeypatch):
    file = tmp_path / "kept" / "a.json"
    assert machine._keep(Way(threads=2), file).threads == 2
    assert machine._keep(Way(threads=3), file).threads == 2
    assert [path.name for path in file.parent.iterdir()] == ["a.json"]
    (tmp_path / "blocked").write_text("")
    assert machine._keep(Way(threads=3), tmp_path / "blocked" / "a.json").threads == 3


def test_measuring_changes_neither_the_network_nor_random_numbers():
    module = network().eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state, count = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        way_to_train(module, IMAGES, exact=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == count
    assert not module.training


def test_training_in_bfloat16_ends_near_float32_with_float32_weights(monkeypatch):
    labels = (IMAGES.flatten(1).mean(1) > 0.5).long()
    recipe = Recipe(epochs=20, batch_size=20, learning_rate=0.02)
    ends = {}
    for half in (False, True):
        way = Way(threads=1, bfloat16=half, channels_last=half)
        monkeypatch.setattr("assay.training.engine.way_to_train", lambda *_, way=way, **__: way)
        module = network()
        torch.manual_seed(0)
        for layer in module:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        log = fit(module, IMAGES, labels, recipe, seed=0, device=CPU)
        assert all(p.dtype == torch.float32 and p.is_contiguous() for p in module.parameters())
        assert log[-1].images_per_second > 0
        ends[half] = log[-1].loss
    assert ends[True] != ends[False]
    assert ends[True] == pytest.approx(ends[False], abs=0.1)


def test_threads_are_set_for_a_while_and_layouts_go_back():
    count = torch.get_num_threads()
    with threads(count + 1):
        assert torch.get_num_threads() == count + 1
    assert torch.get_num_threads() == count
    layer = nn.Conv2d(3, 4, 3)
    lay_out([layer.weight], Way(threads=1, channels_last=True))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    lay_out([layer.weight], Way(threads=1))
    assert layer.weight.is_contiguous()


def test_the_quota_of_a_control_group_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert available_cores(tmp_path) == 8
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_cores(tmp_path) == 8
    for text, cores in (("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)):
        (tmp_path / "cpu.max").write_text(text)
        assert available_cores(tmp_path) == cores
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_cores(tmp_path) == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert available_cores(tmp_path) == 8


@pytest.mark.parametrize(("given", "found"), [(None, "passive"), ("active", "active")])
def test_threads_wait_passively_before_torch_is_imported_unless_told_otherwise(given, found):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    code = "import assay, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [found, "False", "False"]


def side_by_side(folder, architecture):
    """Seconds of two trainings at once: one of one thread, and one that decides for itself."""
    folder.mkdir()
    free = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_", "OPENBLAS_"))}
    free |= {"ASSAY_CACHE": str(folder)}
    running = []
    for name, limits in (("one", {"OMP_NUM_THREADS": "1"}), ("free", {})):
        command = [sys.executable, str(HERE / "train_timed.py"), str(folder / name), str(folder / "go"), architecture]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=free | limits))
    while not all((folder / name).exists() for name in ("one", "free")):
        assert all(process.poll() is None for process in running)
        time.sleep(0.05)
    (folder / "go").touch()
    return [float(process.communicate()[0]) for process in running]


@pytest.mark.parametrize("architecture", ["digits-cnn", "tiny-cnn"])
def test_a_training_beside_a_busy_process_is_not_slowed_by_its_own_threads(tmp_path, architecture):
    """At most 1.5 times as long as one thread takes at the same time; clocks of busy machines err: one of 4 counts."""
    ratios = []
    for attempt in range(4):
        one, free = side_by_side(tmp_path / str(attempt), architecture)
        ratios.append(free / one)
        if ratios[-1] <= 1.5:
            return
    raise AssertionError(f"it took {', '.join(f'{ratio:.1f}' for ratio in ratios)} times as long")


def test_a_network_is_built_without_a_measurement(cache):
    seeded_build("digits-mlp", 3, (1, 8, 8), 0)
    assert not cache.exists()
