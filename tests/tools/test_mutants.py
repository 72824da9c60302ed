"""The list of mutants fits the sources, and the tool tells faults that are noticed from those that are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import mutants
from tools.mutants import Mutant, MutantError, judge_all, main, read_mutants

ALL = read_mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_every_mutant_applies_to_the_sources_as_they_are(mutant: Mutant) -> None:
    mutant.applied(mutants.ROOT)
    assert mutant.file.startswith("src/assay/")
    assert mutant.tests
    for test in mutant.tests:
        assert (mutants.ROOT / test.partition("::")[0]).exists(), test


def test_every_room_has_one() -> None:
    rooms = {path.name for path in (mutants.ROOT / "src" / "assay").iterdir() if (path / "__init__.py").is_file()}
    assert {mutant.file.split("/")[2] for mutant in ALL} >= rooms


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two functions, of which one is tested; and a file that git passes over."""
    root = tmp_path / "repository"
    (root / "src" / "small").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "src" / "small" / "__init__.py").write_text(
        "def twice(x):\n    return 2 * x  # twice\n\n\ndef half(x):\n    return x / 2\n"
    )
    (root / "tests" / "test_small.py").write_text(
        "from small import half, twice\n\n\ndef test_twice():\n    assert twice(3) == 6\n\n\n"
        "def test_half():\n    half(3)\n"
    )
    (root / "conftest.py").write_text("def pytest_configure(config):\n    config.addinivalue_line('markers', 'a')\n")
    (root / ".gitignore").write_text("big\n")
    (root / "big").write_text("not copied")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


def fault(name: str, old: str, new: str, tests: tuple[str, ...] = ("tests/test_small.py",)) -> Mutant:
    return Mutant(name, "src/small/__init__.py", old, new, tests)


def test_a_noticed_fault_is_caught_and_another_survives(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (repository / "src" / "small" / "__init__.py").read_text()
    found = judge_all([fault("a", "2 * x", "3 * x"), fault("b", "x / 2", "x / 3")], 1, repository)
    assert found == {"a": "caught", "b": "survived"}
    assert (repository / "src" / "small" / "__init__.py").read_text() == before
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["caught", "survived"]


def test_a_fault_that_stops_the_tests_from_running_is_not_caught(repository: Path) -> None:
    with pytest.raises(MutantError, match="tests do not run with it"):
        judge_all([fault("gone", "def twice(x)", "def thrice(x)")], 1, repository)


def test_tests_that_fail_anyway_are_said(repository: Path) -> None:
    (repository / "tests" / "test_small.py").write_text("def test_never():\n    assert False\n")
    with pytest.raises(MutantError, match="fail without any mutant"):
        judge_all([fault("a", "2 * x", "3 * x")], 1, repository)


def test_a_copy_has_what_git_keeps(repository: Path, tmp_path: Path) -> None:
    with mutants.copies(repository, 2) as (first, second):
        for copy in (first, second):
            assert (copy / "tests" / "test_small.py").is_file()
            assert not (copy / "big").exists()
    assert not first.exists()
    with pytest.raises(MutantError, match="cannot be listed"), mutants.copies(tmp_path / "repository" / "..", 1):
        pass


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("4 * x", "3 * x", "0 times"),
        ("return", "yield", "2 times"),
        ("2 * x", "2 *", "no Python"),
        ("2 * x  # twice", "2 * x", "nothing but layout"),
    ],
)
def test_a_mutant_that_does_not_fit_is_an_error(repository: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(MutantError, match=why):
        judge_all([fault("a", old, new)], 1, repository)


def test_the_list_itself_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "list.toml"
    entry = '[[mutant]]\nname = "a"\nfile = "f"\nold = "x"\nnew = "y"\ntests = ["t"]\n'
    file.write_text(entry)
    assert read_mutants(file) == [Mutant("a", "f", "x", "y", ("t",))]
    file.write_text(entry * 2)
    with pytest.raises(MutantError, match="several mutants called a"):
        read_mutants(file)
    file.write_text(entry + "why = 1\n")
    with pytest.raises(MutantError, match="a: the fields are"):
        read_mutants(file)


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ALL)
    assert main(["no such"]) == 2
    assert "no mutant called no such" in capsys.readouterr().err
    names = [mutant.name for mutant in ALL[:2]]
    monkeypatch.setattr(mutants, "judge_all", lambda those, jobs: dict.fromkeys([m.name for m in those], "caught"))
    assert main(names) == 0
    assert "2 of 2 caught" in capsys.readouterr().out
    monkeypatch.setattr(mutants, "judge_all", lambda those, jobs: {names[0]: "caught", names[1]: "survived"})
    assert main(names) == 1
    assert f"1 of 2 caught\nsurvived: {names[1]}" in capsys.readouterr().out
