from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assay.analysis.position import place
from assay.base.errors import WorkspaceError
from assay.reports.explorer import export
from assay.reports.explorer.export import Exporter
from assay.reports.explorer.folder import Folder
from assay.reports.explorer.progress import Study, Unit, listing, summary
from assay.reports.explorer.protocols import places
from assay.reports.explorer.reading import Reader
from reports.explorer import world
from reports.samples import HOSTILE, outcome, ratio, target, unfinished


def read(folder: Path, name: str) -> Any:
    """A data file as a browser reads it."""
    text = (folder / "data" / f"{name}.js").read_text()
    start = f"assay.put({json.dumps(name)}, JSON.parse('"
    assert text.startswith(start)
    assert text.isascii()
    literal = text[len(start) : -len("'));\n")]
    return json.loads(literal.replace("\\'", "'").replace("\\\\", "\\"))


def exporter(workspace: Path) -> Exporter:
    return Exporter(workspace, workspace.parent / "out", world.catalogue())


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "data").iterdir()}


def test_every_model_and_trial_is_there(tmp_path: Path) -> None:
    built = world.build(tmp_path / "w", models=30, catalogued=10)
    found = exporter(built.path).export()
    assert (found.models, found.trials, found.damaged) == (30, built.done, 0)
    models = read(tmp_path / "out", "models")
    assert len(models["key"]) == 20 + len(world.catalogue().records)
    assert sum(models["done"]) == built.done
    assert sum(models["failed"]) == built.failed
    key = built.names[-1]
    row = models["key"].index(key)
    page = read(tmp_path / "out", f"models-{models['part'][row]}")[key]
    assert page["record"]["id"] == key
    assert len(page["outcomes"]) == 5
    assert all(outcome["status"] != "done" or outcome["metrics"][0][3].startswith("[") for outcome in page["outcomes"])
    (everything,) = read(tmp_path / "out", "studies")
    assert sum(number for _, number in everything["states"]) == built.trials
    assert {state for state, _, _ in everything["causes"]} == {"failed", "skipped"}


def test_a_second_export_writes_nothing_and_a_new_trial_little(tmp_path: Path) -> None:
    built = world.build(tmp_path / "w", models=200)
    exports = exporter(built.path)
    assert exports.export().written > 50
    before = files(tmp_path / "out")
    assert exports.export().written == 0
    assert exporter(built.path).export().written == 0  # another process
    assert files(tmp_path / "out") == before
    world.save(built.path, outcome("stealing", "Random queries", facts=target(built.names[7]), seed=9))
    assert 0 < exports.export().written < 12
    assert files(tmp_path / "out")["stamp.js"] != before["stamp.js"]


def test_only_new_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = world.build(tmp_path / "w", models=10)
    reader = Reader(built.path)
    assert len(reader.read().outcomes) == built.trials
    opened = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (opened.append(self.name), real(self))[1])
    file = world.save(built.path, outcome("evasion", "Square", facts=target(built.names[0])))
    assert len(reader.read().outcomes) == built.trials + 1
    assert opened == [file.name]


DAMAGES = {
    "truncated": lambda text: text[: len(text) // 2],
    "edited": lambda text: text.replace('"seed": 0', '"seed": 1'),
    "empty": lambda text: "",
    "not an object": lambda text: "[1, 2]",
    "not UTF-8": lambda text: "\udcff" + text,
    "deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_truth_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    built = world.build(tmp_path / "w", models=3)
    file = sorted((built.path / "trials").iterdir())[0]
    broken = DAMAGES[damage](file.read_text()).encode(errors="surrogateescape")
    assert broken != file.read_bytes()
    file.write_bytes(broken)
    found = exporter(built.path).export()
    assert (found.trials, found.damaged) == (built.done - 1, 1)
    assert file.read_bytes() == broken
    assert read(tmp_path / "out", "site")["damaged"] == [f"trials/{file.name}"]


def test_a_truth_file_under_another_name_is_damaged(tmp_path: Path) -> None:
    built = world.build(tmp_path / "w", models=1)
    file = sorted((built.path / "trials").iterdir())[0]
    file.rename(file.with_name(f"{'0' * 64}.json"))
    assert exporter(built.path).export().damaged == 1


def test_an_attempt_gives_way_to_the_finished_trial(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    world.save(built.path, unfinished("evasion", "FGSM", "failed", "Out of memory."))
    exports = exporter(built.path)
    exports.export()
    assert read(tmp_path / "out", "studies")[0]["states"] == [["failed", 1]]
    world.save(built.path, outcome("evasion", "FGSM"))
    exports.export()
    assert read(tmp_path / "out", "studies")[0]["states"] == [["done", 1]]


def test_a_workspace_that_grows_while_it_is_exported(tmp_path: Path) -> None:
    built = world.build(tmp_path / "w", models=40)
    stop = threading.Event()
    written: list[Path] = []

    def grow() -> None:
        while not stop.is_set():
            name = f"new/{len(written):04}"
            half = built.path / "trials" / f".{len(written)}.json.1"
            half.write_text('{"sha')  # a writer's temporary file is no trial
            attempt = world.save(built.path, unfinished("evasion", "FGSM", "failed", "Busy.", target(name)))
            attempt.unlink()
            temporary = world.save(built.path, outcome("evasion", "FGSM", facts=target(name), seed=len(written)))
            written.append(temporary)
            time.sleep(0.005)

    exports = exporter(built.path)
    thread = threading.Thread(target=grow)
    thread.start()
    try:
        counts = [exports.export(live=True).trials for _ in range(4)]
    finally:
        stop.set()
        thread.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert exports.export().trials == built.done + len(written)


def test_an_empty_workspace_shows_the_catalogue(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    found = exporter(built.path).export()
    assert (found.models, found.trials) == (0, 0)
    assert len(read(tmp_path / "out", "models")["key"]) == len(world.catalogue().records)


def test_texts_of_a_workspace_stay_data(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    name = f"{HOSTILE}\\'\u2028__proto__'));alert(1)//"
    facts = target(name).model_copy(update={"facts": {"__proto__": {"polluted": HOSTILE}, "toString": name}})
    world.save(built.path, outcome("evasion", "FGSM", facts=facts, sentence=HOSTILE))
    exporter(built.path).export()
    models = read(tmp_path / "out", "models")
    assert models["key"][0] == name
    page = read(tmp_path / "out", f"models-{models['part'][0]}")[name]
    assert ["toString", name] in page["target"]
    assert page["outcomes"][0]["sentence"] == HOSTILE


def test_a_number_that_is_not_finite_is_damage(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    content = outcome("membership", "Odd").model_dump(mode="json")
    content["metrics"][0]["value"] = 1e400
    (built.path / "attempts" / f"{content['key']}.json").write_text(json.dumps(content))
    exporter(built.path).export()
    assert read(tmp_path / "out", "site")["damaged"] == [f"attempts/{content['key']}.json"]


def test_targets_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    for digest in ("1" * 64, "2" * 64):
        facts = target("same").model_copy(update={"digest": digest})
        world.save(built.path, outcome("evasion", f"FGSM{digest[0]} x", facts=facts))
    exporter(built.path).export()
    assert read(tmp_path / "out", "models")["key"][:2] == ["same 11111111", "same 22222222"]


def test_places_are_those_of_the_slow_reference() -> None:
    values = np.random.default_rng(3).integers(0, 12, 40) / 10
    for value, found in zip(values.tolist(), places(values.tolist()), strict=True):
        others = values.tolist()
        others.remove(value)
        share, bounds = place(value, others)
        assert found == (round(share, 3), round(bounds.low, 3), round(bounds.high, 3))
    assert places([0.1, 0.2, 0.3]) == [None, None, None]


def test_seeds_of_a_model_count_once(tmp_path: Path) -> None:
    built = world.empty(tmp_path / "w")
    for place_, name in enumerate("abcdef"):
        for seed in (0, 1):
            metrics = [ratio("auc", "AUC", 0.5 + place_ / 100 + seed / 10, 0.4, 0.7, "DeLong")]
            found = outcome("membership", "LiRA", metrics=metrics, facts=target(name), seed=seed)
            world.save(built.path, found.model_copy(update={"key": f"{place_}{seed}".ljust(64, "0")}))
    exporter(built.path).export()
    (protocol,) = read(tmp_path / "out", "protocols")
    (column,) = read(tmp_path / "out", f"protocol-{protocol}")["metrics"]
    assert column["values"] == pytest.approx([0.55, 0.56, 0.57, 0.58, 0.59, 0.6])
    assert [found[0] for found in column["places"]] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_studies_with_their_states_and_causes() -> None:
    units = [
        Unit("a", "evasion.fgsm", 0, "done", "", 61.0, "w1", "a"),
        Unit("b", "evasion.fgsm", 0, "failed", "Out of memory.", 2.0, "w2", None),
        Unit("c", "evasion.fgsm", 0, "failed", "Out of memory.", None, None, None),
        Unit("d", "evasion.fgsm", 0, "running", "", None, "w1", None),
    ]
    study = Study("grid", "Declared in grid.toml.", units)
    found = summary(study, "units-0")
    assert found["states"] == [["running", 1], ["done", 1], ["failed", 2]]
    assert found["causes"] == [["failed", "Out of memory.", 2]]
    assert found["time"] == "1 min 3 s"
    assert listing(study)["worker"] == ["w1", "w2", None, "w1"]


def test_claims_are_exported_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = world.empty(tmp_path / "w")
    claim = SimpleNamespace(**{name: f"its {name}" for name in export.CLAIM}, other=object())
    monkeypatch.setattr(export, "load_claims", lambda: [claim])
    exporter(built.path).export()
    assert read(tmp_path / "out", "claims") == [{name: f"its {name}" for name in export.CLAIM}]


def test_another_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "precious.txt"):
        with pytest.raises(WorkspaceError, match="not an explorer"):
            Folder(path)
    with pytest.raises(WorkspaceError, match="not a workspace"):
        Exporter(tmp_path)


def test_data_files_that_are_no_longer_wanted_go(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    folder.write({"a": 1, "b": 2}, live=False)
    folder.write({"b": 2}, live=True)
    assert sorted(files(tmp_path / "out")) == ["b.js", "stamp.js"]
    assert read(tmp_path / "out", "stamp")["live"] is True
