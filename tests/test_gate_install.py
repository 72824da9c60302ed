"""``modelassay[gate]`` in a fresh environment: no torch, and the gate runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from assay.cli import main
from assay.cli.explained import MODELS
from assay.reports.report import assemble, write_json
from reports.gate.cases import RULE, fgsm, share

ROOT = Path(__file__).parent.parent
IMPORTED = {"scikit-learn": "sklearn", "pillow": "PIL", "vl-convert-python": "vl_convert"}


def test_what_the_extra_brings_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[^\w-]", line)[0] for line in project["optional-dependencies"]["models"]]
    assert {IMPORTED.get(name, name.replace("-", "_")) for name in names} == MODELS - {"multipart"}
    assert not any("torch" in line for line in project["dependencies"])
    assert project["optional-dependencies"]["gate"] == []


def test_a_command_that_needs_more_says_what() -> None:
    code = "import sys; sys.modules['torch'] = None; from assay.cli import main; sys.exit(main(['audit', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "assay: This command needs the library torch: pip install 'modelassay[models]'.\n"


def test_a_missing_module_that_no_extra_brings_is_not_blamed_on_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "assay.reports.gate.check", None)
    assert main(["gate", "report.json", "--policy", "policy.toml"]) == 2
    said = capsys.readouterr().err
    assert "This should not have happened (ModuleNotFoundError" in said
    assert "pip install" not in said


@pytest.mark.registry
def test_the_gate_installs_and_runs_without_torch(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    programs = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([programs / program, *arguments], capture_output=True, text=True, cwd=tmp_path)

    constraints = str(ROOT / "constraints.txt")
    installed = run("python", "-m", "pip", "install", "--quiet", "-c", constraints, f"{ROOT}[gate]")
    assert installed.returncode == 0, installed.stderr
    listed = run("python", "-m", "pip", "list", "--format", "freeze").stdout
    assert "modelassay==" in listed
    assert "torch" not in listed
    for name, hits in (("good", 10), ("bad", 90)):
        write_json(assemble([fgsm(share(hits, 100))]), tmp_path / name / "report.json")
    (tmp_path / "policy.toml").write_text(f"{RULE}max = 0.5\n\n{RULE}max_increase = 0.1\n")
    rules = ("--policy", "policy.toml", "--baseline", "good/report.json", "--sarif", "gate.sarif")
    assert run("assay", "gate", "good/report.json", *rules).returncode == 0
    assert run("assay", "gate", "bad/report.json", *rules).returncode == 1
    assert run("assay", "methods", "evasion.fgsm").returncode == 0
    refused = run("assay", "audit", "starter/digits-cnn")
    assert refused.returncode == 2
    assert "needs the library torch: pip install 'modelassay[models]'" in refused.stderr
