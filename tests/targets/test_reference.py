"""References: ids, libraries, target files; and what is said where something is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.base.digests import digest_file
from assay.base.errors import AssayError, DataError, LoadError, UnsafeFileError, UsageError
from assay.catalogue.catalogue import load_catalogue
from assay.targets.architectures import build
from assay.targets.reference import check_reference, load_target, open_model, pick_device


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty mirror and an empty cache."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("ASSAY_MIRROR", str(folder))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return folder


def test_a_starter_model_brings_its_data_and_class_names() -> None:
    target = load_target("starter/digits-cnn")
    assert target.splits.members is not None
    assert target.splits.non_members is not None
    assert target.class_names == tuple("0123456789")
    assert target.module is not None
    assert target.facts["format"] == "safetensors"
    images = target.splits.non_members.take(target.splits.non_members.labels.argsort()[:50])
    torch.testing.assert_close(target.logits(images), target.module(images))


def test_the_seed_draws_the_splits() -> None:
    def members(seed: int) -> Any:
        part = load_target("starter/digits-cnn", seed=seed).splits.members
        return part and part.digest

    assert members(1) == members(1) != members(2)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("starter/digits-cn", "no model 'starter/digits-cn': did you mean .*'starter/digits-cnn'"),
        ("resnet18", "resnet18 is in two libraries: say timm:resnet18 or torchvision:resnet18"),
        ("nonet", "There is no model 'nonet'"),
        ("timm:resnet1888", "timm has no network 'resnet1888': did you mean 'resnet18'"),
        ("timm:resnet18.nope", "timm has no such weights"),
        ("timm:vit_base_patch14_dinov2", "features, not classes"),
        ("timm:resnet18?weights=best", r"\?weights=random and \?sha256=\.\.\. are"),
        ("timm:resnet18?seed=1", "not understood"),
        ("torchvision:resnet1", "torchvision has no classifier 'resnet1'"),
        ("missing.toml", "cannot be read: No such file"),
        ("locuslab/svhn-small", "brings no data"),
        (__file__, "is Python code: name the function"),
    ],
)
def test_what_does_not_exist_is_one_sentence(reference: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if reference.startswith("locuslab") and "ASSAY_MIRROR" not in os.environ:
        message = "could not be downloaded|nowhere|brings no data"
    monkeypatch.setattr("assay.targets.download.PAUSES", ())
    with pytest.raises(AssayError, match=message) as caught:
        load_target(reference)
    assert "\n" not in str(caught.value)


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="no device 'tpu' here"):
        pick_device("tpu")


def test_data_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set, file or folder 'digit': did you mean 'digits'"):
        load_target("starter/digits-cnn", data="digit")
    np.savez(tmp_path / "x.npz", x_test=np.zeros((4, 16, 16, 3), np.uint8), y_test=np.arange(4))
    with pytest.raises(DataError, match=r"1x8x8 .*3x16x16: .* say preprocessing\.size"):
        load_target("starter/digits-cnn", data=str(tmp_path / "x.npz"))


def test_a_librarys_model_resizes_its_images() -> None:
    target = load_target("timm:test_resnet?weights=random", data="digits")
    assert target.splits.members is not None
    assert target.splits.members.shape == (3, 160, 160)


def test_random_weights_are_asked_for_and_come_from_the_seed() -> None:
    one, same, other = (open_model("timm:test_resnet?weights=random", seed=seed).target for seed in (1, 1, 2))
    assert one.weights_digest == same.weights_digest != other.weights_digest
    assert "Untrained" in one.facts["note"]
    assert (one.num_classes, one.input_shape) == (1000, (3, 160, 160))
    assert one.preprocessing.mean != (0.0,)


def test_published_weights_of_timm(mirror: Path) -> None:
    torch.manual_seed(5)
    source = build("timm:test_resnet", 1000, (3, 160, 160))
    path = mirror / "test_resnet.r160_in1k.safetensors"
    save_file(source.state_dict(), path)
    opened = open_model(f"timm:test_resnet?sha256={digest_file(path)}").target
    image = torch.rand(1, 3, 160, 160)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (opened.preprocessing.mean, opened.preprocessing.std))
    torch.testing.assert_close(opened.logits(image), source.eval()((image - mean) / std).detach())
    with pytest.raises(UnsafeFileError, match="SHA-256"):
        open_model(f"timm:test_resnet?sha256={'0' * 64}")


def test_published_weights_of_torchvision(mirror: Path) -> None:
    torch.manual_seed(5)
    source = build("torchvision:squeezenet1_1", 1000, (3, 224, 224))
    path = mirror / "squeezenet1_1-b8a52dc0.pth"
    torch.save(source.state_dict(), path)
    opened = open_model(f"torchvision:squeezenet1_1?sha256={digest_file(path)}").target
    assert opened.facts["claimed"]["accuracy"] == pytest.approx(0.58178)
    assert len(opened.class_names) == 1000
    image = torch.rand(1, 3, 224, 224)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (opened.preprocessing.mean, opened.preprocessing.std))
    torch.testing.assert_close(opened.logits(image), source.eval()((image - mean) / std).detach())
    with pytest.raises(UnsafeFileError, match="b8a52dc0 was expected"):
        open_model("torchvision:squeezenet1_1")


def test_offline_is_one_sentence_and_never_random_weights(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", offline)
    with pytest.raises(LoadError, match=r"no route.*\?sha256=.*\?weights=random"):
        open_model("timm:test_resnet")


def test_weights_with_the_classes_of_the_library_only(mirror: Path) -> None:
    path = mirror / "squeezenet1_1-b8a52dc0.pth"
    torch.save(build("torchvision:squeezenet1_1", 10, (3, 224, 224)).state_dict(), path)
    with pytest.raises(LoadError, match=r"of another shape \(classifier\.1\.weight 10x512x1x1 instead of 1000x"):
        open_model(f"torchvision:squeezenet1_1?sha256={digest_file(path)}")


@pytest.mark.parametrize(
    ("listed", "named"),
    [
        ("torchvision/mobilenet_v3_small/IMAGENET1K_V1", "torchvision:mobilenet_v3_small.IMAGENET1K_V1"),
        ("timm/test_vit.r160_in1k", "timm:test_vit.r160_in1k"),
    ],
)
def test_ids_of_the_catalogue_name_a_librarys_models(listed: str, named: str) -> None:
    assert listed in load_catalogue()
    by_id, by_name = (open_model(f"{reference}?weights=random").target for reference in (listed, named))
    assert by_id.weights_digest == by_name.weights_digest


@pytest.mark.parametrize(
    ("bare", "named"),
    [("test_vit.r160_in1k", "timm:test_vit.r160_in1k"), ("squeezenet1_1", "torchvision:squeezenet1_1")],
)
def test_a_name_without_its_library_is_found(bare: str, named: str) -> None:
    assert check_reference(bare) is False
    assert open_model(f"{bare}?weights=random").target.name == f"{named}?weights=random"


def test_weights_that_torchvision_does_not_have() -> None:
    with pytest.raises(UsageError, match="IMAGENET1K_V1"):
        open_model("torchvision/resnet18/IMAGENET1K_V9")


def test_a_model_that_is_only_listed_is_told_from_one_that_is_not() -> None:
    with pytest.raises(UsageError, match="in the catalogue"):
        open_model("pytorchcv/alexnetb")
    with pytest.raises(UsageError, match="no model"):
        open_model("pytorchcv/alexnetz")
