from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assay.base.errors import WorkspaceError
from assay.studies import Outcome, Workspace, run_trials
from assay.studies.workspace import write_text
from studies.doubles import Count, trial


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Workspace, Outcome]:
    workspace = Workspace(tmp_path / "w")
    return workspace, run_trials([trial()], workspace).outcomes[0]


def test_outcome_samples_and_artefacts_are_kept(finished: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = finished
    assert workspace.load(outcome.key) == outcome
    assert set(outcome.artefacts) == {"note.txt", "samples.parquet"}
    assert pq.read_table(workspace.artefacts(outcome.key) / "samples.parquet").num_rows == 12


@pytest.mark.parametrize("damage", ["truncate", "edit", "not json"])
def test_a_damaged_truth_file_is_quarantined_and_run_again(finished: tuple[Workspace, Outcome], damage: str) -> None:
    workspace, outcome = finished
    file = workspace.path / "trials" / f"{outcome.key}.json"
    text = file.read_text()
    damaged = {"truncate": text[: len(text) // 2], "edit": text.replace("12.0", "13.0"), "not json": "hello"}[damage]
    assert damaged != text
    file.write_text(damaged)
    reopened = Workspace(workspace.path)
    assert reopened.load(outcome.key) is None
    assert (workspace.path / "quarantine" / file.name).exists()
    assert run_trials([trial()], reopened).outcomes[0].metrics == outcome.metrics


def test_the_index_is_rebuilt(finished: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = finished
    rows = workspace.index.query("SELECT value FROM metrics WHERE name = 'count'")
    assert rows == [(12.0,)]
    for content in (None, b"not a database at all, but long enough to be read as one" * 30):
        for file in workspace.path.glob("index.sqlite*"):
            file.unlink()
        if content:
            (workspace.path / "index.sqlite").write_bytes(content)
        assert Workspace(workspace.path).index.query("SELECT key FROM trials") == [(outcome.key,)]


def test_the_index_forgets_what_was_deleted(finished: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = finished
    (workspace.path / "trials" / f"{outcome.key}.json").unlink()
    index = Workspace(workspace.path).index
    assert index.query("SELECT * FROM trials") == index.query("SELECT * FROM metrics") == []
    assert isinstance(index._database, sqlite3.Connection)


def test_another_format_is_refused(tmp_path: Path) -> None:
    Workspace(tmp_path / "w")
    (tmp_path / "w" / "workspace.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(WorkspaceError, match="format 99"):
        Workspace(tmp_path / "w")
    (tmp_path / "w" / "workspace.json").write_text("{")
    with pytest.raises(WorkspaceError, match="damaged"):
        Workspace(tmp_path / "w")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(WorkspaceError, match="not a workspace"):
        Workspace(tmp_path)
    with pytest.raises(WorkspaceError, match="not a workspace"):
        Workspace(tmp_path / "thesis.tex")


def test_a_full_disk_loses_nothing(finished: tuple[Workspace, Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, outcome = finished

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(WorkspaceError, match="No space left on device"):
            run_trials([trial(Count(scale=3.0))], workspace)
    assert workspace.load(outcome.key) == outcome
    assert list((workspace.path / "trials").glob(".*")) == []
    assert run_trials([trial(Count(scale=3.0))], workspace).outcomes[0].status == "done"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_text(file, "old")
    with pytest.raises(TypeError):
        write_text(file, 3)  # type: ignore[arg-type]
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
