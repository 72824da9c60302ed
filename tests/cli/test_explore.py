from __future__ import annotations

from pathlib import Path

import pytest

from assay.cli import main
from reports.explorer import world


def test_explore_writes_a_folder_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = world.build(tmp_path / "w", models=2)
    assert main(["explore", str(built.path)]) == 0
    said = capsys.readouterr().out
    assert f"{built.done} trials of 2 models." in said
    assert (built.path / "explorer" / "index.html").is_file()
    assert str(built.path / "explorer" / "index.html") in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "is not a workspace"),
        (["w", "--out", "."], 2, "name an empty or a new folder"),
        (["w", "--port", "x"], 4, "port"),
    ],
)
def test_what_cannot_be_explored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    world.empty(tmp_path / "w")
    monkeypatch.chdir(tmp_path)
    assert main(["explore", *arguments]) == code
    assert words in capsys.readouterr().err
