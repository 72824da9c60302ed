"""The recipes of docs/ci.md, run as they stand there: they tell a planted regression, and do not flap."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from assay.cli import main

PAGE = (Path(__file__).parent.parent.parent / "docs" / "ci.md").read_text("utf-8")


def block(title: str) -> str:
    """What a page shows of a file."""
    found = re.search(rf'```\w+ title="{re.escape(title)}"\n(.*?)```', PAGE, re.DOTALL)
    assert found is not None, title
    return found[1]


def commands(recipe: Any) -> list[list[str]]:
    """The recipe's own commands, in order."""
    github = recipe.get("jobs", {}).get("gate", {}).get("steps", [])
    lines = [step["run"] for step in github if "run" in step] or recipe["assay"]["script"]
    return [shlex.split(line) for line in lines if line.startswith("assay ")]


UNCHANGED = ("digits-cnn", "digits-cnn")
GITHUB = commands(yaml.safe_load(block(".github/workflows/assay.yml")))
GITLAB = commands(yaml.safe_load(block(".gitlab-ci.yml")))


def use(model: str, architecture: str, train_rows: int | None = None) -> None:
    """Put a network of the starter zoo where the recipe looks for the model."""
    weights = files("assay") / f"catalogue/starter/{model}.safetensors"
    rows = f", train_rows = {train_rows}" if train_rows else ""
    Path("model.toml").write_text(
        f'name = "our model"\nweights = "{weights}"\narchitecture = "{architecture}"\nnum_classes = 10\n'
        f'input_shape = [1, 8, 8]\ndata = {{ dataset = "digits"{rows} }}\n'
    )


class Project(NamedTuple):
    """A repository, and where its jobs run."""

    repository: Path
    jobs: Path
    patch: pytest.MonkeyPatch

    def run(self, recipe: list[list[str]], seed: int, *model: Any) -> tuple[int, str]:
        """A job on a fresh copy: the commands until one fails, all chance drawn anew; its exit code and summary."""
        job = self.jobs / str(seed)
        shutil.copytree(self.repository, job)
        self.patch.chdir(job)
        use(*model)
        for _, *arguments in recipe:
            if code := main([*arguments, *(["--seed", str(seed)] if arguments[0] == "audit" else [])]):
                break
        return code, (job / "assay-report" / "gate.md").read_text()


@pytest.fixture
def project(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(repository, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe's policy and the baseline, made as the page says."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "assay-policy.toml").write_text(block("assay-policy.toml"))
    made = re.search(r"\$ (assay audit .*--out assay-baseline)\n", PAGE)
    assert made is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        use(*UNCHANGED)
        assert main(shlex.split(made[1])[1:]) == 0
    return folder


def test_both_recipes_audit_then_gate() -> None:
    assert [command[1] for command in GITHUB] == [command[1] for command in GITLAB] == ["audit", "gate"]
    assert GITHUB[0] == GITLAB[0]


def test_an_unchanged_model_passes_under_other_seeds(project: Project) -> None:
    for seed, recipe in ((1, GITHUB), (2, GITHUB), (3, GITHUB), (4, GITLAB)):
        code, summary = project.run(recipe, seed, *UNCHANGED)
        assert (code, summary.splitlines()[0]) == (0, "## The gate passed: 6 checks.")


REGRESSIONS: dict[str, tuple[tuple[Any, ...], str]] = {
    "trained too long on too little": (
        ("digits-cnn-overfitted", "digits-cnn-wide", 100),
        "membership.metrics auc\\_modified\\_entropy",
    ),
    "a planted backdoor": (("digits-cnn-backdoored", "digits-cnn"), "question: backdoor"),
}


@pytest.mark.parametrize("what", REGRESSIONS)
def test_a_planted_regression_fails(what: str, project: Project) -> None:
    model, subject = REGRESSIONS[what]
    code, summary = project.run(GITHUB, 1, *model)
    assert (code, summary.startswith("## The gate failed:")) == (1, True)
    assert [row for row in summary.splitlines() if row.startswith("| ✗ failed") and subject in row]
