"""A model file and its data in one line: what is inferred is said, and a target file of it gives the same trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.catalogue.weights import Preprocessing
from assay.cli import main
from assay.data.formats.registry import load_dataset
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.studies import Workspace
from assay.targets.file_reference import file_reference, is_data
from assay.targets.readings import compare, readings
from assay.targets.reference import load_target
from assay.targets.target import Target

METHOD = ("--method", "membership.metrics")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``net.safetensors``, a starter network that was trained on pixels of [0, 1], and ``digits.npz``."""
    monkeypatch.chdir(tmp_path)
    digits = load_dataset("digits")
    arrays: dict[str, Any] = {}
    for name, part in (("train", digits.train), ("test", digits.test)):
        assert part is not None
        arrays[f"x_{name}"] = (part.take(np.arange(len(part))).numpy() * 255).round().astype(np.uint8)[:, 0]
        arrays[f"y_{name}"] = part.labels
    np.savez("digits.npz", **arrays)
    network = load_target("starter/digits-cnn").module
    assert network is not None
    save_file(network.module.state_dict(), "net.safetensors")
    return tmp_path


def keys(workspace: Path) -> set[str]:
    return {outcome.key for outcome in Workspace(workspace).outcomes()}


def test_the_target_file_gives_the_trials_of_the_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ("--architecture", "digits-cnn")
    assert main(["audit", "net.safetensors", "digits.npz", *told, *METHOD, "--workspace", "one"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "chosen by accuracy on 256 labelled images (unit 9" in said
    assert main(["init", "net.safetensors", "digits.npz", *told, "--out", "model.toml"]) == 0
    assert "# preprocessing: unit, chosen by accuracy on 256" in (folder / "model.toml").read_text()
    assert main(["audit", "model.toml", *METHOD, "--workspace", "two"]) == 0
    assert keys(folder / "one") == keys(folder / "two") != set()
    (outcome,) = Workspace(folder / "one").outcomes()
    assert "chosen by accuracy" in outcome.target.facts["inferred"]


class Planted(torch.nn.Module):
    """Knows ten digits, in the first of its channels, when its input was made by one preprocessing."""

    def __init__(self, network: torch.nn.Module, wanted: Preprocessing) -> None:
        super().__init__()
        self.network, self.wanted = network, wanted

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.wanted.mean, self.wanted.std))
        pixels = (inputs * std + mean) / self.wanted.scale
        red = pixels[:, -1:] if self.wanted.channels == "bgr" else pixels[:, :1]
        answer: torch.Tensor = self.network(red)
        return answer


CASES = [(channels, reading.key) for channels in (1, 3) for reading in readings(channels)]


@pytest.mark.parametrize(("channels", "key"), CASES)
def test_every_planted_preprocessing_is_found(channels: int, key: str) -> None:
    digits, network = load_dataset("digits").test, load_target("starter/digits-cnn").module
    assert digits is not None
    assert network is not None
    images = digits.take(np.arange(len(digits))).numpy()
    if channels == 3:
        noise = np.random.default_rng(0).random((len(images), 2, *images.shape[2:]), dtype=np.float32)
        images = np.concatenate([images, noise], axis=1)
    wanted = next(reading.preprocessing for reading in readings(channels) if reading.key == key)
    told = Preprocessing(scale=0.5, mean=(0.3,), std=(2.0,))  # whatever it was told, the candidates are the same
    target = Target.from_module(
        Planted(network.module, wanted), input_shape=images.shape[1:], num_classes=10, preprocessing=told
    )
    part = ArrayImages(images, digits.labels, "digits")
    best = compare(target, part)[0].reading.preprocessing

    def accuracy(reading: Preprocessing) -> float:
        again = Target.from_module(
            Planted(network.module, wanted), input_shape=images.shape[1:], num_classes=10, preprocessing=reading
        )
        answers = again.logits(part.take(np.arange(len(part)))).argmax(dim=1).numpy()
        return float((answers == part.labels).mean())

    assert accuracy(wanted) > 0.9
    assert accuracy(best) > accuracy(wanted) - 0.01, "neighbours such as ImageNet's and CIFAR-10's mean are alike"
    assert best.channels == wanted.channels


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) in (2, 4)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("assay:")]
    assert len(lines) == 1, lines
    return lines[0]


def test_what_cannot_be_inferred_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--architecture" in complaint(capsys, "audit", "net.safetensors", "digits.npz")
    told = ("--architecture", "digits-cnn")
    assert "name a data set" in complaint(capsys, "audit", "net.safetensors", *told)
    wrong = complaint(capsys, "audit", "net.safetensors", "digits.npz", *told, "--preprocessing", "imagenet")
    assert "There are unit, 255, symmetric, mnist, inverted" in wrong
    assert "--architecture is for files of weights" in complaint(capsys, "audit", "starter/digits-cnn", *told)
    Path("model.toml").write_text("")
    assert "is there already" in complaint(capsys, "init", "net.safetensors", "digits.npz", *told)
    assert "needs no target file" in complaint(capsys, "init", "starter/digits-cnn", "digits", "--out", "new.toml")
    save_file({"a.weight": torch.zeros(3, 2)}, "other.safetensors")
    assert "Tried with 10 classes" in complaint(capsys, "audit", "other.safetensors", "digits.npz", *told)


def test_a_preprocessing_that_was_said_is_taken(folder: Path) -> None:
    target = load_target("net.safetensors?architecture=digits-cnn&preprocessing=symmetric", data="digits.npz")
    assert target.preprocessing == Preprocessing(mean=(0.5,), std=(0.5,))
    assert "symmetric, as was said" in target.facts["inferred"]


def test_labels_that_start_at_one_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load("digits.npz") as found:
        arrays = dict(found)
    shifted = {name: array + 1 if name.startswith("y") else array for name, array in arrays.items()}
    np.savez("shifted.npz", **shifted)
    said = complaint(capsys, "audit", "starter/digits-cnn", "shifted.npz")
    assert "shifted by one: subtract 1" in said
    said = complaint(capsys, "audit", "net.safetensors", "shifted.npz", "--architecture", "digits-cnn")
    assert "shifted by one: subtract 1" in said


def test_images_that_were_divided_twice_are_named(folder: Path) -> None:
    from assay.studies.sanity_check import look

    target = load_target("starter/digits-cnn")
    part = target.splits.non_members
    assert part is not None
    images = part.take(np.arange(len(part))).numpy() / 255
    found = look(target.with_splits(Splits(non_members=ArrayImages(images, part.labels, "dark"))))
    assert found is not None
    assert "divided by 255 twice. Multiplied by 255, 9" in found.doubt


def test_data_are_told_from_models(folder: Path) -> None:
    (folder / "saved").mkdir()
    (folder / "saved" / "config.json").write_text(json.dumps({}))
    assert is_data("digits")
    assert is_data("digits.npz")
    assert not is_data("starter/digits-cnn")
    assert not is_data("net.safetensors")
    assert not is_data("saved")
    assert file_reference("digits.npz") is None


def test_images_of_another_size_are_resized_in_both_ways_alike(folder: Path) -> None:
    with np.load("digits.npz") as found:
        large = {
            name: array.repeat(2, 1).repeat(2, 2) if name.startswith("x") else array for name, array in found.items()
        }
    np.savez("large.npz", **large)
    told = ("--architecture", "digits-cnn", "--input-shape", "1x8x8")
    assert main(["audit", "net.safetensors", "large.npz", *told, *METHOD, "--workspace", "one"]) == 0
    Path("elsewhere").mkdir()
    assert main(["init", "net.safetensors", "large.npz", *told, "--out", "elsewhere/model.toml"]) == 0
    assert main(["audit", "elsewhere/model.toml", *METHOD, "--workspace", "two"]) == 0
    assert keys(folder / "one") == keys(folder / "two") != set()
    sanity = Workspace(folder / "one").outcomes()[0].target.sanity
    assert sanity is not None
    assert sanity.accuracy["non_members"].value > 0.9


def test_a_folder_of_save_pretrained_gets_a_target_file(folder: Path) -> None:
    pytest.importorskip("transformers")
    from benchmarks.users.hugging_face import save_image_model
    from benchmarks.users.making import colours

    save_image_model("vit", folder / "vit")
    colours(folder)
    assert main(["audit", "vit", "images.npz", *METHOD, "--workspace", "one"]) == 0
    assert main(["init", "vit", "images.npz", "--out", "model.toml"]) == 0
    assert main(["audit", "model.toml", *METHOD, "--workspace", "two"]) == 0
    assert keys(folder / "one") == keys(folder / "two") != set()


def test_the_tensors_say_how_many_classes_there_are_where_the_data_have_fewer(folder: Path) -> None:
    np.savez("few.npz", x_test=np.zeros((40, 8, 8), np.uint8), y_test=np.arange(40) % 4)
    target = load_target("net.safetensors?architecture=digits-cnn", data="few.npz")
    assert target.num_classes == 10
    assert "chosen by accuracy on 40 labelled images" in target.facts["inferred"]
