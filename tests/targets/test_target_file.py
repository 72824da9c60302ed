"""Target files: every key, relative paths, factories, and mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.base.digests import digest_file
from assay.base.errors import AssayError, UnsafeFileError
from assay.targets.architectures import build
from assay.targets.reference import load_target, open_model, state_digest
from oracles.tflite import write_tflite

FACTORY = """
import torch

def net(num_classes, input_shape):
    channels, height, width = input_shape
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * height * width, num_classes))

def broken():
    raise ValueError("too bad")

def soft(num_classes, input_shape):
    return torch.nn.Sequential(net(num_classes, input_shape), torch.nn.Softmax(1))

def nothing():
    return 3
"""
NETWORK = "num_classes = 10\ninput_shape = [1, 8, 8]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights, data sets and a module of a user's own."""
    save_file(build("digits-mlp", 10, (1, 8, 8)).state_dict(), tmp_path / "mlp.safetensors")
    random = np.random.default_rng(0)
    for name in ("inside", "outside", "other"):
        arrays = {"x_train": random.integers(0, 256, (40, 8, 8), dtype=np.uint8), "y_train": np.arange(40) % 10}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    (tmp_path / "own_factory.py").write_text(FACTORY)
    return tmp_path


def write(folder: Path, text: str) -> str:
    path = folder / "target.toml"
    path.write_text(text)
    return str(path)


def test_weights_with_an_architecture_and_a_data_set(folder: Path) -> None:
    text = (
        f'name = "mine"\nweights = "mlp.safetensors"\nsha256 = "{digest_file(folder / "mlp.safetensors")}"\n'
        f'architecture = "digits-mlp"\n{NETWORK}data = "digits"\n'
        "[preprocessing]\nmean = [0.5]\nstd = [0.25]\n[serving]\noutput = 'label'\nbudget = 100\n"
    )
    target = load_target(write(folder, text))
    assert target.name == "mine"
    assert target.serving == {"output": "label", "budget": 100}
    assert target.class_names == tuple("0123456789")
    assert target.splits.members is not None
    assert target.facts["format"] == "safetensors"
    plain = load_target(write(folder, text.replace("std = [0.25]", "std = [0.5]")))
    assert plain.weights_digest == target.weights_digest
    assert plain.digest != target.digest


def test_weights_are_known_by_their_digest_and_what_they_are_for() -> None:
    assert state_digest("ab", None) == "ab"
    assert len({state_digest("ab", "resnet20"), state_digest("ab", "resnet32"), state_digest("cd", "resnet20")}) == 3


def test_parts_of_their_own(folder: Path) -> None:
    text = (
        f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}'
        '[data]\nmembers = "inside.npz"\nnon_members = "outside.npz"\nauxiliary = "other.npz"\n'
    )
    splits = load_target(write(folder, text)).splits
    assert [len(part) if part else 0 for part in splits] == [40, 40, 40, 0]
    assert len({part.digest for part in splits if part}) == 3
    same = text.replace("outside", "inside")
    with pytest.raises(AssayError, match="members must not be among"):
        load_target(write(folder, same))


def test_an_out_of_distribution_auxiliary_set(folder: Path) -> None:
    arrays = {"x_train": np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)}
    np.savez(folder / "colour.npz", y_train=np.arange(30) % 3, **arrays)
    text = (
        f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}'
        '[data]\ndataset = "digits"\nauxiliary = "colour.npz"\n'
    )
    splits = load_target(write(folder, text)).splits
    assert splits.auxiliary is not None
    assert (len(splits.auxiliary), splits.auxiliary.shape) == (30, (1, 8, 8))
    assert splits.members is not None
    assert "digits" in splits.members.name


def test_the_format_is_told_from_the_bytes(folder: Path) -> None:
    write_tflite(folder / "model.bin", "int8", (8, 8, 1), 10)
    opened = open_model(write(folder, 'weights = "model.bin"\n'))
    assert opened.data is None
    assert opened.target.module is not None
    assert opened.target.facts["format"] == "tflite"
    assert opened.target.weights_digest == digest_file(folder / "model.bin")
    assert opened.target.logits(torch.rand(70, 1, 8, 8)).shape == (70, 10)


def test_preprocessing_is_applied_to_what_another_runtime_evaluates(folder: Path) -> None:
    """The file stores pixel 0 as -128 with a scale of 1, so that it takes 0..255."""
    made = write_tflite(folder / "model.bin", "int8", (2, 2, 1), 3, softmax=False, input_scale=1.0)
    target = open_model(write(folder, 'weights = "model.bin"\n[preprocessing]\nscale = 255.0\n')).target
    pixels = np.array([[[[3, 0], [0, 5]]]])
    found = target.logits(torch.from_numpy(pixels / 255).float()).numpy()
    expected = np.clip(pixels.reshape(1, 4) @ made.kernel.T, -12.8, 12.7)
    assert np.abs(found - expected).max() <= 0.05 + 1e-5


def test_a_factory_is_the_only_code_that_is_imported(folder: Path) -> None:
    open_model(write(folder, f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}'))
    assert "own_factory" not in sys.modules
    path = write(folder, f'factory = "own_factory:net"\n{NETWORK}')
    one, same, other = (open_model(path, seed=seed).target for seed in (0, 0, 1))
    assert one.weights_digest == same.weights_digest != other.weights_digest
    assert str(folder) not in sys.path
    assert one.logits(torch.rand(2, 1, 8, 8)).shape == (2, 10)


MISTAKES = {
    "wieghts = 'a.pt'": "no key 'wieghts'; did you mean 'weights'",
    "weights = 'mlp.safetensors'\n[preprocessing]\nmeen = [0.5]": "no key 'meen'; did you mean 'mean'",
    "weights = 'mlp.safetensors'\n[data]\nmember = 'x'": "no key 'member'; did you mean 'members'",
    "weights = 'mlp.safetensors'\ninput_shape = [3, 'x', 8]": "three whole numbers: channels, height and width",
    "weights = 'mlp.safetensors'\ninput_shape = [8, 8]": "three whole numbers: channels, height and width",
    "weights = 'mlp.safetensors'\nnum_classes = 1": "num_classes: Input should be greater than or equal to 2",
    "weights = 'a'\nurl = 'https://example.org/a'": "weights or url, not both",
    "name = 'x'": "say where the weights are",
    "url = 'https://example.org/a'": "needs the sha256",
    "weights = 'mlp.safetensors'\narchitecture = 'a'\nfactory = 'a:b'": "architecture or factory, not both",
    "weights = 'mlp.safetensors'\ndata = {}": "either a dataset to split, or members and non_members",
    "weights = ": "is not TOML",
    "weights = 'gone.pt'": "no file of weights",
    "weights = 'mlp.safetensors'": "say its architecture",
    "weights = 'mlp.safetensors'\nformat = 'onnx'": "said to be a onnx file, but it is a safetensors file",
    "factory = 'own_factory:net'": "a factory without weights needs num_classes and input_shape",
    f"{NETWORK}factory = 'own_factory:typo'": "cannot be imported: module 'own_factory' has no attribute 'typo'",
    f"{NETWORK}factory = 'no_such_module_here:net'": "cannot be imported: No module named",
    f"{NETWORK}factory = 'own_factory:broken'": "failed: ValueError: too bad",
    f"{NETWORK}factory = 'own_factory:nothing'": "returned int, not a torch.nn.Module",
    f"{NETWORK}factory = 'own_factory:soft'": "answers with probabilities, and logits are needed",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_one_sentence(folder: Path, text: str) -> None:
    with pytest.raises(AssayError, match=MISTAKES[text]) as caught:
        load_target(write(folder, text))
    assert "\n" not in str(caught.value)


def test_a_wrong_digest_is_found_before_the_file_is_opened(folder: Path) -> None:
    (folder / "mlp.safetensors").write_bytes(b"not even a model")
    text = (
        f'weights = "mlp.safetensors"\nsha256 = "{"0" * 64}"\narchitecture = "digits-mlp"\n{NETWORK}data = "digits"\n'
    )
    with pytest.raises(UnsafeFileError, match="was expected; it was not opened"):
        load_target(write(folder, text))


def test_preprocessing_and_names_must_fit(folder: Path) -> None:
    common = f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}data = "digits"\n'
    with pytest.raises(AssayError, match="mean for 3 channels; images have 1"):
        load_target(write(folder, f"{common}[preprocessing]\nmean = [0.1, 0.2, 0.3]\n"))
    with pytest.raises(AssayError, match="10 classes apart, and 2 class names"):
        load_target(write(folder, f'class_names = ["a", "b"]\n{common}'))
    with pytest.raises(AssayError, match="does not fit the architecture digits-cnn"):
        load_target(write(folder, common.replace("digits-mlp", "digits-cnn")))


def test_a_size_that_the_file_does_not_take_is_named(folder: Path) -> None:
    write_tflite(folder / "m.tflite", "int8", (8, 8, 1), 10)
    with pytest.raises(
        AssayError, match=r"m\.tflite takes images of .*, and preprocessing\.size says 9x9: leave it out"
    ):
        open_model(write(folder, 'weights = "m.tflite"\n[preprocessing]\nsize = [9, 9]\n'))


def test_what_the_owner_expects_is_kept_and_checked_for_its_range(folder: Path) -> None:
    text = f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}'
    assert open_model(write(folder, f"{text}expected_accuracy = 0.9\n")).target.facts["expected_accuracy"] == 0.9
    with pytest.raises(AssayError, match="expected_accuracy"):
        open_model(write(folder, f"{text}expected_accuracy = 90\n"))


def test_the_order_of_channels_needs_three_of_them(folder: Path) -> None:
    text = f'weights = "mlp.safetensors"\narchitecture = "digits-mlp"\n{NETWORK}[preprocessing]\nchannels = "bgr"\n'
    with pytest.raises(AssayError, match="the order of channels is bgr, and images have 1 of them"):
        open_model(write(folder, text))
