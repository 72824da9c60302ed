"""A study through real workers: one small study does for most of what is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from itertools import cycle
from pathlib import Path
from typing import ClassVar, Self

import pytest

from assay.access import PosteriorStore
from assay.base.errors import EngineError, UsageError, WorkspaceError
from assay.base.locks import try_lock
from assay.cli import main
from assay.methods.method import METHODS
from assay.studies import Workspace
from assay.studies.coordinator import StudyRan, run_study, study_folder
from assay.studies.estimate import plan_study
from assay.studies.mirror import Mirror
from assay.studies.prune import prune
from assay.studies.states import read_studies
from assay.studies.study_file import read_study
from assay.studies.units import plan_units
from assay.studies.work import Event, Job, code_version, run_job
from benchmarks.studies.sleeping_method import Sleep, install

TEXT = """
name = "small"
targets = ["starter/digits-mlp"]
workspace = "w"
engine.workers = 1

[[methods]]
name = "membership.metrics"
options = { max_members = 100, max_non_members = 100 }

[[methods]]
name = "evasion.sleep"
options = { seconds = 0.01, ends = ["well", "kill"] }

[[servings]]
price_per_1000 = 2.0
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    assert METHODS.get("evasion.sleep") is Sleep
    monkeypatch.setenv("PYTHONPATH", f"{install(tmp_path / 'plugin')}:{':'.join(sys.path)}")
    (tmp_path / "small.toml").write_text(TEXT)
    return tmp_path / "small.toml"


def run(file: Path, **options: object) -> StudyRan:
    return run_study(read_study(str(file)), file=str(file), text=file.read_text(), **options)  # type: ignore[arg-type]


def in_process(file: Path, count: int = 1) -> tuple[list[Event], Job]:
    """The first units of the study, done as a worker does them, in this process."""
    study = read_study(str(file))
    units = plan_units(study)[:count]
    job = Job(units=units, workspace=study.workspace, code=code_version())
    events: list[Event] = []
    run_job(job, events.append)
    return events, job


def begin(file: Path, events: list[Event]) -> None:
    """Note in the study's folder what `in_process` finished."""
    study = read_study(str(file))
    folder = study_folder(Path(study.workspace), study.name)
    with folder.lock():
        folder.plan(study.name, str(file), file.read_text(), plan_units(study), 1)
        folder.set((e.unit, {"state": e.state, "key": e.key}) for e in events if e.kind == "finished")


def test_a_study_goes_on_to_its_end(file: Path) -> None:
    estimate = plan_study(read_study(str(file)))
    assert [(row.method, row.units, row.finished, row.unknown) for row in estimate.rows] == [
        ("membership.metrics", 1, 0, 1),
        ("evasion.sleep", 2, 0, 2),
    ]
    events, job = in_process(file)
    begin(file, events)
    place, key = Workspace(job.workspace).path, events[-1].key or ""
    before = Workspace(place).load(key)
    assert before is not None
    assert before.spent.price == before.spent.images * 2.0 / 1000
    truth = place / "trials" / f"{key}.json"
    truth.write_text(truth.read_text()[:-200])

    ran = run(file)
    assert [(unit.method, unit.state) for unit in ran.state.units] == [
        ("membership.metrics", "done"),
        ("evasion.sleep", "done"),
        ("evasion.sleep", "failed"),
    ]
    assert read_studies(place) == [ran.state]
    failed = ran.state.units[-1]
    assert "SIGKILL" in failed.reason
    attempts = [outcome for outcome in Workspace(place).outcomes() if outcome.status == "failed"]
    assert [(attempt.key, attempt.reason) for attempt in attempts] == [(failed.key, failed.reason)]
    assert (place / "quarantine" / truth.name).exists()
    after = Workspace(place).load(key)
    assert after is not None
    assert after.comparable() == before.comparable()
    assert after.spent.forwards == 0, "its answers were there"

    again = run(file)
    assert (again.measured.total(), again.state) == (0, ran.state)
    estimate = plan_study(read_study(str(file)))
    assert [(row.finished, row.basis) for row in estimate.rows] == [
        (1, ()),
        (1, ("other options of the method (n = 1)",)),
    ]


def test_pruning_removes_what_belongs_to_no_outcome(file: Path) -> None:
    events, job = in_process(file)
    begin(file, events)
    workspace = Workspace(job.workspace)
    abandoned = workspace.artefacts("0" * 64)
    abandoned.mkdir()
    (abandoned / "half.png").write_bytes(b"x" * 1000)
    before = workspace.load(events[-1].key or "")
    assert prune(workspace) == (1, 1000)
    assert not abandoned.exists()
    assert workspace.load(events[-1].key or "") == before
    with study_folder(workspace.path, "small").lock(), pytest.raises(WorkspaceError, match="being run"):
        prune(workspace)


def test_an_audit_and_a_study_have_one_identity(file: Path) -> None:
    from assay.api import audit

    events, job = in_process(file)
    assert [event.kind for event in events] == ["opening", "started", "finished"]
    found = audit(
        "starter/digits-mlp",
        preset=None,
        methods=["membership.metrics"],
        options={"membership.metrics": {"max_members": 100, "max_non_members": 100}},
        serving={"price_per_1000": 2.0},
        workspace=job.workspace,
    )
    assert (found.reused, found.outcomes[0].key) == (1, events[-1].key)


def test_a_spent_budget_stops_the_study(file: Path) -> None:
    events, _ = in_process(file)
    file.write_text(file.read_text() + "[budget]\nimages = 100\n")
    begin(file, events)
    ran = run(file)
    assert ran.spent == "The budget of 100 images is spent."
    assert ran.state.count("waiting") == 2


def test_a_model_that_cannot_be_opened_fails_with_its_cause(file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('weights = "w.onnx"\ndata = "digits"\n')
    (tmp_path / "w.onnx").write_bytes(b"not a network")
    file.write_text(file.read_text().replace("starter/digits-mlp", "broken.toml"))
    events, _ = in_process(file, count=3)
    assert [event.state for event in events if event.kind == "finished"] == ["failed"] * 3
    assert "w.onnx" in events[-1].reason


def test_a_worker_of_another_version_refuses(file: Path) -> None:
    study = read_study(str(file))
    job = Job(units=plan_units(study), workspace=study.workspace, code="0.0.1+abc")
    with pytest.raises(EngineError, match=r"A worker has Assay .*\+.* and the study is run by 0.0.1\+abc"):
        run_job(job, lambda event: None)


def test_two_coordinators_of_one_study(file: Path) -> None:
    folder = study_folder(Path(read_study(str(file)).workspace), "small")
    Workspace(folder.path.parent.parent)
    with folder.lock(), pytest.raises(WorkspaceError, match="being run by another process"):
        run(file)


def test_what_an_interrupted_study_was_running_waits(file: Path) -> None:
    study = read_study(str(file))
    place = Workspace(study.workspace).path
    folder, units = study_folder(place, study.name), plan_units(study)
    with folder.lock():
        folder.plan(study.name, str(file), file.read_text(), units, 1)
        folder.set([(units[0].id, {"state": "running", "worker": "here-1"})])
        (seen,) = read_studies(place)
        assert [unit.state for unit in seen.units] == ["running", "waiting", "waiting"]
    (seen,) = read_studies(place)
    assert [unit.state for unit in seen.units] == ["waiting"] * 3
    states = next((folder.path / "states").glob("*.json"))
    states.write_text(states.read_text().replace("here-1", "there"))
    assert [unit.worker for unit in read_studies(place)[0].units] == [None] * 3, "an edited file is not believed"
    (folder.path / "plan.json").write_text("{")
    assert read_studies(place) == []


def test_two_studies_of_one_name_in_one_workspace(file: Path, tmp_path: Path) -> None:
    study = read_study(str(file))
    folder = study_folder(Workspace(study.workspace).path, study.name)
    folder.path.mkdir(parents=True)
    folder.plan(study.name, str(file), file.read_text(), plan_units(study), 1)
    other = tmp_path / "other.toml"
    other.write_text(TEXT.replace("starter/digits-mlp", "starter/digits-cnn"))
    with pytest.raises(UsageError, match="holds another study named 'small'"):
        run(other)
    with pytest.raises(UsageError, match="was not begun"):
        run(file, workspace=tmp_path / "elsewhere", begun=True)


def test_a_full_disk_is_one_sentence_and_loses_nothing(file: Path) -> None:
    file.write_text(file.read_text().replace('"well", "kill"', '"well"'))
    events, job = in_process(file)
    code = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (1600, 1600))\n"
        "from assay.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    arguments = ["study", "run", str(file), "--workspace", job.workspace]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    assert "File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    kept = Workspace(job.workspace).load(events[-1].key or "")
    assert kept is not None
    assert kept.status == "done"


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes folders read-only, as far as this user and machine can: root needs a mount."""
    mounted: list[Path] = []

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
                path.chmod(0o555)
            return
        for options in (["--bind", str(folder)], ["-o", "remount,ro,bind"]):
            if subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode:
                pytest.skip("this machine lets nobody mount")
            mounted.append(folder)

    yield make
    for folder in dict.fromkeys(mounted):
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_disk_is_one_sentence_and_can_be_read(
    file: Path, tmp_path: Path, read_only: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    events, job = in_process(file)
    begin(file, events)
    place, out = Path(job.workspace), tmp_path / "pages"
    read_only(place)
    assert main(["study", "run", str(file), "--workspace", str(place)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be used: " in said
    assert "What was measured before is kept." in said
    assert "Traceback" not in said
    assert main(["study", "status", str(place)]) == 0
    assert "small" in capsys.readouterr().out
    assert main(["explore", str(place), "--out", str(out)]) == 0
    assert (out / "index.html").exists()


class Jumping(datetime):
    """A clock that an operator, or a time server, sets back and forth by years."""

    years: ClassVar[Iterator[int]] = cycle([2031, 1999, 2026])

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Another year at every look."""
        return cls(next(cls.years), 5, 17, tzinfo=tz)


def test_clocks_that_jump_change_no_result(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, job = in_process(file)
    key = events[-1].key or ""
    workspace = Workspace(job.workspace)
    before = workspace.load(key)
    assert before is not None
    (workspace.path / "trials" / f"{key}.json").unlink()
    for module in ("run", "states"):
        monkeypatch.setattr(f"assay.studies.{module}.datetime", Jumping)
    again, _ = in_process(file)
    begin(file, again)
    after = Workspace(job.workspace).load(key)
    assert after is not None
    assert after.started.year in (2031, 1999, 2026)
    assert after.comparable() == before.comparable()
    assert after.seconds >= 0, "durations are not differences of dates"
    (study,) = read_studies(workspace.path)
    begin(file, again)
    assert read_studies(workspace.path)[0].created == study.created, "a study keeps the date of its beginning"


def test_a_mirror_brings_what_another_machine_finished(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    address = (tmp_path / "bucket").as_uri()
    study = read_study(str(file))
    job = Job(units=plan_units(study)[:1], workspace="unused", code=code_version(), sync=address)
    events: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.studies.work._scratch", lambda sync: tmp_path / "machine-1")
        run_job(job, events.append)
        patch.setattr("assay.studies.work._scratch", lambda sync: tmp_path / "machine-2")
        run_job(job, events.append)
    assert [event.reused for event in events if event.kind == "finished"] == [False, True]
    here = Workspace(tmp_path / "here")
    key = events[-1].key or ""
    outcome = Mirror(address, here).bring(key)
    assert outcome == Workspace(tmp_path / "machine-1").load(key)
    assert outcome is not None
    assert all((here.artefacts(key) / name).exists() for name in outcome.artefacts)
    stores = list((tmp_path / "machine-2" / "stores").glob("*.logits"))
    assert len(stores) == 1
    assert len(PosteriorStore(stores[0], 10)) > 0
    with pytest.raises(UsageError, match="not an address that fsspec knows"):
        Mirror("nowhere://x", here)


def test_plans_and_states_are_written_whole(file: Path) -> None:
    study = read_study(str(file))
    folder = study_folder(Workspace(study.workspace).path, study.name)
    with folder.lock():
        folder.plan(study.name, str(file), file.read_text(), plan_units(study), 3)
        assert folder.threads == 3
        assert json.loads((folder.path / "plan.json").read_text())["name"] == "small"
        with (folder.path / "lock").open() as other:
            assert not try_lock(other)
    assert not list(folder.path.rglob(".*"))
