"""Bad input gets one clear sentence and an exit code, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.cli import main
from assay.targets.architectures import build

METHOD = "membership.metrics"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good target file, ``good.toml``, its weights and its data."""
    monkeypatch.chdir(tmp_path)
    save_file(build("digits-mlp", 3, (1, 8, 8)).state_dict(), tmp_path / "good.safetensors")
    write_data(tmp_path / "good.npz")
    write_target(tmp_path / "good.toml")
    return tmp_path


def write_data(path: Path, *, shape: tuple[int, ...] = (8, 8), classes: int = 3, **changes: Any) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (60, *shape), dtype=np.uint8),
        "y_train": np.arange(60) % classes,
        "x_test": random.integers(0, 256, (40, *shape), dtype=np.uint8),
        "y_test": np.arange(40) % classes,
    }
    np.savez(path, **{**arrays, **changes})


def write_target(path: Path, **changes: Any) -> None:
    fields = {
        "name": "good",
        "weights": "good.safetensors",
        "architecture": "digits-mlp",
        "num_classes": 3,
        "input_shape": [1, 8, 8],
        "data": "good.npz",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**fields, **changes}.items() if value is not None]
    path.write_text("\n".join(lines) + "\n")


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """Run a command that must fail with a code, and return its one line on standard error."""
    returned = main(list(arguments))
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("assay:")]
    assert (returned, len(lines)) == (code, 1), error
    return lines[0]


def audit(*arguments: str) -> tuple[str, ...]:
    return ("audit", *arguments, "--method", METHOD)


def test_the_good_target_is_assessed(folder: Path) -> None:
    assert main(list(audit("good.toml"))) == 0


def test_unknown_references_methods_and_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'starter/digits-cnn'" in complaint(capsys, *audit("starter/digit-cnn"), code=4)
    assert "No catalogue id matches" in complaint(capsys, *audit("nobody/*"), code=4)
    assert "Name a model" in complaint(capsys, "audit", code=4)
    assert "'membership.metrics'" in complaint(capsys, "audit", "good.toml", "--method", "membership.metric", code=4)
    assert "max_members" in complaint(capsys, *audit("good.toml"), "--set", f"{METHOD}.max_member=3", code=4)
    assert "max_members" in complaint(capsys, *audit("good.toml"), "--set", f"{METHOD}.max_members=many", code=4)
    assert "method.option=value" in complaint(capsys, *audit("good.toml"), "--set", "max_members", code=4)
    assert "does not take part" in complaint(
        capsys, *audit("good.toml"), "--set", "membership.mlp.max_members=3", code=4
    )
    assert "does not take part" in complaint(
        capsys, "run", METHOD, "good.toml", "--set", "membership.mlp.max_members=3", code=4
    )
    assert "'rounding'" in complaint(capsys, *audit("good.toml"), "--policy", "round=2", code=4)
    assert "rounding=x" in complaint(capsys, *audit("good.toml"), "--policy", "rounding=x", code=4)
    complaint(capsys, *audit("good.toml"), "--preset", "fast", code=4)
    complaint(capsys, *audit("good.toml"), "--sed", "3", code=4)
    assert "cpu, cuda or auto" in complaint(capsys, *audit("good.toml"), "--device", "tpu9", code=4)


def test_target_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing.toml" in complaint(capsys, *audit("missing.toml"))
    (folder / "broken.toml").write_text("name = ")
    assert "not TOML" in complaint(capsys, *audit("broken.toml"))
    write_target(folder / "typo.toml", arhitecture="digits-mlp")
    assert "architecture" in complaint(capsys, *audit("typo.toml"), code=4)
    write_target(folder / "digest.toml", sha256="0" * 64)
    assert "was not opened" in complaint(capsys, *audit("digest.toml"))
    write_target(folder / "gone.toml", weights="gone.safetensors")
    assert "gone.safetensors" in complaint(capsys, *audit("gone.toml"))
    write_target(folder / "wrong.toml", architecture="digits-cnn")
    words = complaint(capsys, *audit("wrong.toml"))
    assert "missing" in words or "unexpected" in words
    write_target(folder / "unknown.toml", architecture="digits-mpl")
    assert "'digits-mlp'" in complaint(capsys, *audit("unknown.toml"), code=4)
    write_target(folder / "serving.toml")
    with (folder / "serving.toml").open("a") as file:
        file.write('[serving]\noutput = "everything"\n')
    assert "output" in complaint(capsys, *audit("serving.toml"), code=4)


def test_files_that_are_not_what_they_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (folder / "good.safetensors").read_bytes()
    for name, content in {
        "truncated.safetensors": whole[: len(whole) // 2],
        "empty.pth": b"",
        "text.pth": b"hello, I am not a model",
        "mislabelled.onnx": whole,
    }.items():
        (folder / name).write_bytes(content)
        write_target(folder / "file.toml", weights=name)
        code = 0 if name == "mislabelled.onnx" else 2
        if code:
            assert name in complaint(capsys, *audit("file.toml"))
        else:  # the format is told from the content, never from the name
            assert main(list(audit("file.toml"))) == 0
            capsys.readouterr()


class Exploit:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_a_pickle_with_code_is_refused_and_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, legacy in enumerate((False, True)):
        torch.save({"weight": Exploit()}, folder / f"evil{number}.pth", _use_new_zipfile_serialization=not legacy)
        write_target(folder / "evil.toml", weights=f"evil{number}.pth")
        assert "safetensors" in complaint(capsys, *audit("evil.toml"))
    assert not (folder / "executed").exists()


def test_images_that_do_not_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nan = np.full((60, 8, 8), np.nan, np.float32)
    for name, changes, words in (
        ("size", {"shape": (9, 9)}, "9x9"),
        ("channels", {"shape": (8, 8, 3)}, "3x8x8"),
        ("range", {"x_train": np.full((60, 8, 8), 200.0)}, "[0, 1]"),
        ("nan", {"x_train": nan}, "NaN"),
        ("labels", {"classes": 5}, "classes 0 to 2"),
        ("lengths", {"y_train": np.zeros(59, np.int64)}, "59"),
    ):
        write_data(folder / f"{name}.npz", **changes)
        assert words in complaint(capsys, *audit("good.toml", "--data", f"{name}.npz")), name
    assert "nowhere" in complaint(capsys, *audit("good.toml", "--data", "nowhere"), code=4)


def test_budgets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "stealing.basic", "good.toml", "--set")
    assert "budget" in complaint(capsys, *run, "stealing.basic.budget=0", code=4)
    assert "holds 30" in complaint(capsys, *run, "stealing.basic.budget=1000", code=3)


def test_workspaces(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(audit("good.toml", "--workspace", "w"))) == 0
    capsys.readouterr()
    (folder / "w" / "workspace.json").write_text('{"format": 9}')
    assert "format 9" in complaint(capsys, *audit("good.toml", "--workspace", "w"))
    assert "not a workspace" in complaint(capsys, *audit("good.toml", "--workspace", "."))
    assert "not a workspace" in complaint(capsys, "report", "nowhere")
    assert main(["audit", "good.toml", "--workspace", "good.npz"]) == 2


def test_a_full_disk_keeps_what_was_measured(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(list(audit("good.toml"))) == 0
    kept = sorted((folder / "assay-workspace" / "trials").iterdir())
    capsys.readouterr()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert "No space left" in complaint(capsys, *audit("good.toml", "--seed", "1"))
    assert sorted((folder / "assay-workspace" / "trials").iterdir()) == kept
    assert main(list(audit("good.toml"))) == 0
    assert "Nothing was measured" in capsys.readouterr().out


def test_an_error_that_nothing_foresaw_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond [bold]line")

    monkeypatch.setattr("assay.api.prepare", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = complaint(capsys, *audit("good.toml"))
    assert "This should not have happened (RuntimeError: first line)." in said
    (written,) = tmp_path.glob("assay-*.txt")
    assert str(written) in said
    assert "second [bold]line" in written.read_text()


def test_names_cannot_drive_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_target(folder / "good.toml", name="calm\x1b]0;owned\x07\u202egpj")
    assert main(list(audit("good.toml"))) == 0
    shown = "".join(capsys.readouterr())
    assert "owned" in shown
    assert "\x1b]0" not in shown
    assert "\u202e" not in shown
    assert "calm\\x1b" not in complaint(capsys, *audit("nobody\x1b[2J"), code=4)
