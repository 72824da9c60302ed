"""Lists of models: what cannot be opened is left out and said, and never ends the list; and what ends an audit."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from assay.cli import Terminated, main
from assay.reports.writing import slug
from assay.targets.architectures import build

METHOD = "membership.metrics"


def describe(folder: Path, name: str, weights: str) -> str:
    fields = {"weights": weights, "architecture": "digits-mlp", "num_classes": 3, "input_shape": [1, 8, 8]}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"data": "good.npz", **fields}.items()]
    (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
    return f"{name}.toml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file(build("digits-mlp", 3, (1, 8, 8)).state_dict(), tmp_path / "good.safetensors")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (100, 8, 8), dtype=np.uint8)
    labels = np.arange(100) % 3
    np.savez(tmp_path / "good.npz", x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    describe(tmp_path, "good", "good.safetensors")
    return tmp_path


def test_a_bad_file_never_ends_a_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "evil.pt").write_bytes(pickle.dumps(print))
    (folder / "half.safetensors").write_bytes((folder / "good.safetensors").read_bytes()[:500])
    save_file(build("digits-mlp", 3, (1, 8, 8)).state_dict(), folder / "other.safetensors")
    names = [
        describe(folder, "evil", "evil.pt"),
        describe(folder, "first", "other.safetensors"),
        describe(folder, "half", "half.safetensors"),
        describe(folder, "gone", "gone.safetensors"),
        "good.toml",
    ]
    assert main(["audit", *names, "--method", METHOD, "--no-changes"]) == 2
    said = "".join(capsys.readouterr())
    flat = " ".join(said.split())
    for name, words in (
        ("evil", "is a Python pickle"),
        ("half", "damaged or truncated"),
        ("gone", "no file of weights"),
    ):
        assert f"{name}.toml is left out: " in flat
        assert words in flat
    assert "3 of 5 models were left out" in flat
    assert "Traceback" not in said
    assert len(list((folder / "assay-workspace" / "trials").glob("*.json"))) == 2


def test_an_unforeseen_error_of_one_model_is_said_too(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay import api

    real = api.prepare

    def prepare(target: Any, **wanted: Any) -> Any:
        if target == "bad.toml":
            raise ZeroDivisionError("odd")
        return real(target, **wanted)

    monkeypatch.setattr(api, "prepare", prepare)
    assert main(["audit", "bad.toml", "good.toml", "--method", METHOD, "--no-changes"]) == 2
    assert "bad.toml is left out: This should not have happened (ZeroDivisionError: odd)" in " ".join(
        "".join(capsys.readouterr()).split()
    )
    assert len(list((folder / "assay-workspace" / "trials").glob("*.json"))) == 1


def test_what_is_wrong_with_all_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "good.toml", "good.toml", "--method", "membership.metric"]) == 4
    said = capsys.readouterr().err
    assert said.count("membership.metrics") == 1
    assert "left out" not in said
    assert main(["audit", "gone.toml", "away.toml", "--method", METHOD]) == 2
    assert "assay: The target file gone.toml cannot be read" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGTERM, 143, "Terminated"), (signal.SIGINT, 130, "In")])
def test_signals_say_what_is_kept_and_how_to_go_on(folder: Path, number: int, code: int, word: str) -> None:
    command = [sys.executable, "-m", "assay", "audit", "good.toml", "--method", METHOD, "--no-changes"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    kept = {file: file.stat().st_mtime_ns for file in (folder / "assay-workspace" / "trials").iterdir()}
    longer = [*command[:-1], "--method", "membership.lira", "--set", "membership.lira.models=64"]
    process = subprocess.Popen(longer, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    while "membership.lira" not in said.rpartition("[")[2] and process.poll() is None:
        said += process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(number)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert f"{word}" in said
    assert "of 2 methods of good are finished and kept" in " ".join(said.split())
    assert "run the same command again to go on" in " ".join(said.split())
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert "Traceback" not in said


def test_the_signal_is_somebody_elses_again_afterwards(folder: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["methods"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert issubclass(Terminated, KeyboardInterrupt)


def test_names_of_hundreds_of_letters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "good.toml").read_text()
    (folder / "long.toml").write_text(f"name = {json.dumps('ä' * 300)}\n{text}")
    assert main(["audit", "long.toml", "--method", METHOD, "--no-changes"]) == 0
    assert main(["report", "assay-workspace"]) == 0
    (page,) = (folder / "assay-workspace" / "reports").glob("*/report.html")
    assert "ä" * 300 in page.read_text()
    assert slug("a" * 300 + "b") != slug("a" * 300 + "c")
    assert slug("short") == "short"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_workspace_that_cannot_be_written_is_still_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "good.toml", "--method", METHOD, "--no-changes"]) == 0
    places = [folder / "assay-workspace", *(folder / "assay-workspace").rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    try:
        for place in places:
            place.chmod(0o555 if place.is_dir() else 0o444)
        capsys.readouterr()
        assert main(["report", "assay-workspace", "--out", str(folder / "out")]) == 0
        assert main(["audit", "good.toml", "--method", METHOD, "--seed", "1"]) == 2
        assert "cannot be used: Permission denied" in capsys.readouterr().err
    finally:
        for place, mode in modes.items():
            place.chmod(mode)
