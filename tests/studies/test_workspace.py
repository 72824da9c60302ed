from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assay.base.errors import WorkspaceError
from assay.base.files import write_text
from assay.studies import Outcome, Workspace, run_trials
from studies.doubles import Count, Failing, trial


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


def test_a_damaged_attempt_is_passed_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    (failed,) = run_trials([trial(Failing())], workspace).outcomes
    file = workspace.path / "attempts" / f"{failed.key}.json"
    assert workspace.outcomes() == [failed]
    whole = file.read_text()
    for damaged in (whole[: len(whole) // 2], "{}", whole.replace(failed.key, "0" * 64), '{"schema_version": 1}'):
        file.write_text(damaged)
        assert workspace.outcomes() == []
        assert run_trials([trial(Failing())], workspace).outcomes[0].reason == failed.reason


def test_an_attempt_among_the_finished_is_not_one_of_them(finished: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = finished
    file = workspace.path / "trials" / f"{outcome.key}.json"
    file.write_text(outcome.model_dump_json())
    assert workspace.load(outcome.key) is None


def test_a_workspace_of_version_0_1_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / "workspace.json").write_text('{"format":1}')
    (tmp_path / "trials" / "k.json").write_text("{}")
    (tmp_path / "index.sqlite").write_bytes(b"old")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(WorkspaceError, match="has format 1, and this version of Assay reads format 2; use the version"):
        Workspace(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.sqlite", "trials", "workspace.json"]


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
