"""A method of another package, installed from its folder: found, run, stored, compared and gated like any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import assay.plugin
from assay.studies import Workspace

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "deepfool"
NAME = "evasion.deepfool_plugged"


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed."""
    place = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, place / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(place / "site"), str(source)], check=True, capture_output=True)
    path = os.pathsep.join([str(place / "site"), str(ROOT / "src")])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def assay_command(plugged: dict[str, str], *arguments: str) -> str:
    """What the command line prints in that environment."""
    done = subprocess.run(
        [sys.executable, "-m", "assay", *arguments], env=plugged, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(plugged: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which two targets were assessed by the plug-in."""
    folder = tmp_path_factory.mktemp("workspace") / "workspace"
    targets = ("starter/digits-cnn", "starter/digits-mlp")
    settings = ("--set", f"{NAME}.max_images=60", "--workspace", str(folder))
    assay_command(plugged, "audit", *targets, "--method", NAME, *settings)
    return folder


def test_the_example_is_one_short_module() -> None:
    lines = (EXAMPLE / "assay_deepfool.py").read_text().splitlines()
    assert len(lines) <= 80
    imports = [line for line in lines if line.startswith("from assay")]
    assert all(line.startswith("from assay.plugin import") for line in imports)


def test_the_plug_in_face_has_what_it_promises() -> None:
    assert all(hasattr(assay.plugin, name) for name in assay.plugin.__all__)


def test_it_is_listed_and_explained(plugged: dict[str, str]) -> None:
    assert NAME in assay_command(plugged, "methods")
    shown = assay_command(plugged, "methods", NAME)
    assert "DeepFool" in shown
    assert "overshoot" in shown


def test_it_runs_and_finds_near_images(workspace: Path) -> None:
    found = [each for each in Workspace(workspace).outcomes() if each.method.name == NAME]
    assert len(found) == 2
    for outcome in found:
        assert outcome.status == "done"
        assert outcome.metric("found").value >= 0.98
        assert 0.2 < outcome.metric("median_distance").value < 2.0
        assert outcome.verdict is not None
        assert outcome.verdict.level in ("elevated", "high")
        assert outcome.spent.gradients > 0


def test_it_is_gated(plugged: dict[str, str], workspace: Path, tmp_path: Path) -> None:
    rule = f'[[rule]]\nmethod = "{NAME}"\nmetric = "success_at_1.5"\nmax = '
    policy = tmp_path / "policy.toml"
    policy.write_text(f"{rule}1.0\n{rule}0.1\n")
    command = [sys.executable, "-m", "assay", "gate", str(workspace), "--policy", str(policy)]
    done = subprocess.run(command, env=plugged, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The gate failed: 2 of 4 checks." in done.stdout
    assert done.stdout.count(f"{NAME} success_at_1.5, at most 0.1") == 2


def test_two_targets_are_compared(plugged: dict[str, str], workspace: Path) -> None:
    printed = assay_command(
        plugged,
        "analysis",
        "compare",
        str(workspace),
        "--method",
        NAME,
        "--score",
        "success_at_1.5",
    )
    assert "digits-cnn" in printed
    assert "digits-mlp" in printed
