"""Checkpoints: what is read, what is refused, and that nothing in them ever runs."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.targets.loading import fit_state, load_network, read_state, sniff

LEGACY = {"_use_new_zipfile_serialization": False}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


NESTINGS: dict[str, Any] = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "best": 0.5, "state_dict": state},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "net": lambda state: {"net": state, "acc": torch.tensor(3)},
    "deep": lambda state: {"model": {"state_dict": state, "step": 1}},
    "cascade": lambda state: {"state_dict": [state, {}], "err": 0.5},
    "DataParallel": lambda state: {"state_dict": OrderedDict((f"module.{key}", value) for key, value in state.items())},
    "compiled": lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
    "without counters": lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_state_dictionaries_are_found_wherever_they_are(tmp_path: Path, nesting: str, legacy: bool) -> None:
    source, path = network(1), tmp_path / "weights.bin"
    torch.save(NESTINGS[nesting](source.state_dict()), path, **(LEGACY if legacy else {}))
    assert sniff(path) == "torch"
    loaded = load_network(path, "torch", architecture=network(2), num_classes=2, input_shape=(3, 4, 4))
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(loaded.network.eval()(images), source.eval()(images), rtol=0, atol=0)


def test_safetensors(tmp_path: Path) -> None:
    source, path = network(1), tmp_path / "weights"
    save_file({f"module.{key}": value for key, value in source.state_dict().items()}, path)
    assert sniff(path) == "safetensors"
    loaded = load_network(path, "safetensors", architecture=network(2), num_classes=2, input_shape=(3, 4, 4))
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(loaded.network.eval()(images), source.eval()(images), rtol=0, atol=0)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LoadError, match="damaged or truncated safetensors"):
        read_state(tmp_path / "cut", "safetensors")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_its_code_never_runs(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"state_dict": network().state_dict(), "extra": Trap(trace)}, path, **(LEGACY if legacy else {}))
    with pytest.raises(UnsafeFileError, match=r"holds code \(posix.system\).*state_dict") as caught:
        load_network(path, "torch", architecture=network(), num_classes=2, input_shape=(3, 4, 4))
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_bare_pickle_is_not_even_opened(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(UnsafeFileError, match="Python pickle"):
        sniff(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
        ({"args": argparse.Namespace(a=1)}, r"argparse\.Namespace"),
    ],
)
def test_whole_modules_and_foreign_objects_are_refused(tmp_path: Path, content: Any, named: str) -> None:
    torch.save(content, tmp_path / "whole.pt")
    with pytest.raises(UnsafeFileError, match=f"holds code \\({named}\\)"):
        read_state(tmp_path / "whole.pt", "torch")


def convert(path: Path) -> None:
    """Do in the file's folder what the refusal says."""
    with pytest.raises(UnsafeFileError) as caught:
        sniff(path)
    (command,) = re.findall(r'`python -c "(.*)"`', str(caught.value))
    subprocess.run([sys.executable, "-c", command], cwd=path.parent, check=True, capture_output=True)


def test_torchscript_is_refused_with_a_conversion_that_works(tmp_path: Path) -> None:
    whole = network().eval()
    torch.jit.trace(whole, torch.zeros(1, 3, 4, 4)).save(tmp_path / "script.pt")
    convert(tmp_path / "script.pt")
    loaded = load_network(
        tmp_path / "weights.pt", "torch", architecture=network(), num_classes=2, input_shape=(3, 4, 4)
    )
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(loaded.network.eval()(images), whole(images))


def test_an_exported_program_is_refused_with_a_conversion_that_works(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    whole = network().eval()
    torch.export.save(torch.export.export(whole, (torch.zeros(1, 3, 4, 4),)), tmp_path / "model.pt2")
    convert(tmp_path / "model.pt2")
    images = torch.rand(2, 3, 4, 4)
    found = load_network(tmp_path / "model.onnx", "onnx").network(images)
    torch.testing.assert_close(found, whole(images).detach(), rtol=1e-4, atol=1e-5)


def test_a_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(UnsafeFileError, match=r"tf2onnx\.convert --saved-model FOLDER"):
        sniff(tmp_path / "saved_model.pb")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_checkpoints(tmp_path: Path, legacy: bool, kept: float) -> None:
    torch.save({"w": torch.zeros(1000)}, tmp_path / "whole.pt", **(LEGACY if legacy else {}))
    content = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(LoadError, match="damaged or truncated"):
        load_network(tmp_path / "cut.pt", "torch", architecture=network(), num_classes=2, input_shape=(3, 4, 4))


def test_checkpoints_without_a_state_dictionary(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "a.pt")
    with pytest.raises(LoadError, match="no state dictionary; its keys are epoch, lr"):
        read_state(tmp_path / "a.pt", "torch")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(LoadError, match="holds int, not a state dictionary"):
        read_state(tmp_path / "b.pt", "torch")


def test_a_misfit_names_the_keys_and_counts_them() -> None:
    state = network().state_dict()
    state["3.weight"] = torch.zeros(2, 17)
    del state["1.weight"], state["0.bias"]
    state |= {f"extra{i}": torch.zeros(1) for i in range(5)}
    with pytest.raises(LoadError) as caught:
        fit_state(network(), state, "w.pth", "small-cnn")
    assert str(caught.value) == (
        "w.pth does not fit the architecture small-cnn: keys 2 missing (0.bias, 1.weight), 5 unexpected (extra0, "
        "extra1, extra2, ...), 1 of another shape (3.weight 2x17 instead of 2x16)."
    )


def test_state_dictionaries_need_an_architecture(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match="say its architecture"):
        load_network(tmp_path / "w.pt", "torch")
    with pytest.raises(UsageError, match="did you mean 'small-cnn'"):
        load_network(tmp_path / "w.pt", "torch", architecture="smal-cnn", num_classes=2, input_shape=(3, 4, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"hello, I am a text", "not a model file that Assay knows"),
        (b"PK\x03\x04 but no archive", "damaged or truncated zip"),
        (b"\x00" * 100, "not a model file that Assay knows"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=message):
        sniff(path)


def test_a_mislabelled_file_is_told_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UnsafeFileError, match="said to be a torch file, but it is a keras file"):
        load_network(path, "torch", architecture=network(), num_classes=2, input_shape=(3, 4, 4))
    with pytest.raises(LoadError, match="cannot be read: No such file"):
        sniff(tmp_path / "missing.pth")
