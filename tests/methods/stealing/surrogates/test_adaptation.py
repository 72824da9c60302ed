"""Linear probes and low-rank adapters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from assay.access import Answers
from assay.base.errors import DataError, UsageError
from assay.data.formats.digits import load_digits
from assay.data.images import ArrayImages, Subset
from assay.methods.stealing.learners import parse_learner
from assay.methods.stealing.surrogate import Surrogate, load_surrogate, save_surrogate
from assay.methods.stealing.surrogates.lora import LowRank, adapt, merged_state
from assay.methods.stealing.surrogates.prepare import prepare
from assay.methods.stealing.surrogates.probe import LinearProbe, features, head_name
from assay.targets.architectures import build
from assay.training import Recipe, fit, predict

torch.set_num_threads(1)

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
RANDOM = np.random.default_rng(0)
SOME = load_digits().train
IMAGES = ArrayImages(SOME.images[:40], SOME.labels[:40] % 5, "some digits")
PIXELS = IMAGES.take(np.arange(40))
ANSWERS = Answers(IMAGES.labels, np.eye(5, dtype=np.float32)[IMAGES.labels])
RECIPE = Recipe(epochs=4, batch_size=10, optimiser="adam", learning_rate=0.05, weight_decay=0.0)


def surrogate(adaptation, architecture="digits-resnet", **options):
    return prepare(architecture, adaptation=adaptation, num_classes=5, shape=SHAPE, seed=1, **options)


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before, module):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(before[name], tensor)}


def train(module, learner="soft", recipe=RECIPE):
    return parse_learner(learner).fit(module, IMAGES, ANSWERS, IMAGES, recipe, seed=0, device=CPU)


@pytest.mark.parametrize("architecture", ["digits-resnet", "digits-vit", "digits-cnn", "efficientnet-lite0"])
def test_fresh_adapters_change_nothing(architecture):
    plain, adapted = surrogate("full", architecture).eval(), surrogate("lora", architecture)
    assert torch.equal(plain(PIXELS), adapted(PIXELS))
    assert all(torch.equal(plain.state_dict()[name], tensor) for name, tensor in merged_state(adapted).items())


@pytest.mark.parametrize("architecture", ["digits-resnet", "digits-vit"])
def test_only_adapters_and_head_learn(architecture):
    module = surrogate("lora", architecture)
    before = state(module)
    train(module)
    head = f"module.{head_name(module.module)}."
    trained = {name for name in before if name.startswith(head) or name.endswith(("down", "up"))}
    assert changed(before, module) == trained
    assert any(name.endswith("up") for name in trained)


def test_adapters_learn_what_a_probe_on_random_features_cannot():
    asked = Subset(SOME, np.arange(0, 901, 6))
    recipe = RECIPE.model_copy(update={"epochs": 20, "batch_size": 16, "learning_rate": 0.01})
    accuracies = {}
    for adaptation in ("linear-probe", "lora"):
        module = prepare("digits-cnn", adaptation=adaptation, num_classes=10, shape=SHAPE, seed=1)
        parse_learner("hard").fit(module, asked, Answers(asked.labels, None), None, recipe, seed=0, device=CPU)
        accuracies[adaptation] = (predict(module, SOME, CPU).argmax(1).numpy() == SOME.labels).mean()
    assert accuracies["lora"] > 0.85
    assert accuracies["linear-probe"] < accuracies["lora"] - 0.05


@pytest.mark.parametrize("architecture", ["digits-resnet", "digits-vit"])
def test_merged_is_unmerged_and_is_what_is_saved(tmp_path, architecture):
    module = surrogate("lora", architecture, rank=2)
    train(module)
    plain = surrogate("full", architecture).eval()
    plain.load_state_dict(merged_state(module))
    torch.testing.assert_close(plain(PIXELS), module(PIXELS))
    described = Surrogate(
        architecture=architecture, num_classes=5, input_shape=SHAPE, size=(8, 8), queries=1, price=0, agreement=0
    )
    save_surrogate(module, described, tmp_path)
    loaded, again = load_surrogate(tmp_path)
    assert torch.equal(loaded(PIXELS), plain(PIXELS))
    assert again.size == (8, 8)
    torch.testing.assert_close(loaded(PIXELS), module(PIXELS), msg="saving leaves the adapters in place")


@pytest.mark.parametrize(("shape", "kind"), [((7, 3, 3, 3), "convolution"), ((6, 9), "linear")])
def test_an_adapter_is_a_low_rank_product(shape, kind):
    weight = torch.randn(shape)
    adapter = LowRank(weight, 2)
    assert torch.equal(adapter(weight), weight)
    nn.init.normal_(adapter.up)
    moved = (adapter(weight) - weight).reshape(shape[0], -1).detach()
    assert torch.linalg.matrix_rank(moved, atol=1e-4) == 2
    by_hand = [
        [sum(b * a for b, a in zip(row, column, strict=True)) for column in adapter.down.T.tolist()]
        for row in adapter.up.tolist()
    ]
    torch.testing.assert_close(moved, torch.tensor(by_hand), rtol=1e-4, atol=1e-5)
    assert LowRank(weight, 100).down.shape[0] == 6 + (kind == "convolution")


def test_attention_and_plain_layers_are_adapted_and_depthwise_kernels_are_not():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.depthwise, self.mixing = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1)
            self.head = nn.Linear(8, 3)

        def forward(self, images):
            tokens = self.mixing(self.depthwise(images)).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))

    network, images = Network(), torch.rand(2, 8, 5, 5)
    before = network(images)
    adapt(network, 2)
    torch.testing.assert_close(network(images), before)
    adapted = {name.partition(".parametrizations")[0] for name, _ in network.named_parameters() if name.endswith("up")}
    assert adapted == {"attention", "attention.out_proj", "mixing"}
    network(images).sum().backward()
    learning = {name.rpartition(".")[2] for name, p in network.named_parameters() if p.grad is not None}
    assert learning == {"up", "down", "weight", "bias"}
    assert network.depthwise.weight.grad is None


def test_a_probe_changes_its_head_alone_however_long_it_trains():
    module = surrogate("linear-probe")
    before = state(module)
    train(module)
    assert changed(before, module) == {"module.8.weight", "module.8.bias"}
    mixed = surrogate("linear-probe")
    train(mixed, "mixup")  # images are mixed, so features cannot be kept
    assert changed(before, mixed) == {"module.8.weight", "module.8.bias"}


@pytest.mark.parametrize("learner", ["soft", "hard", "kl=2"])
@pytest.mark.parametrize("architecture", ["digits-resnet", "digits-vit", "small-cnn"])
def test_kept_features_teach_what_images_teach(architecture, learner):
    kept, whole = surrogate("linear-probe", architecture), surrogate("linear-probe", architecture)
    fast = train(kept, learner)
    taught = parse_learner(learner)
    slow = fit(whole, IMAGES, taught.targets(ANSWERS), RECIPE, seed=0, device=CPU, loss=taught.loss(RECIPE, None))
    for one, other in zip(fast, slow, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    torch.testing.assert_close(kept(PIXELS), whole(PIXELS), rtol=1e-3, atol=1e-4)


def test_a_probe_on_features_sees_each_image_once(monkeypatch):
    passed = []
    forward = LinearProbe.forward
    monkeypatch.setattr(LinearProbe, "forward", lambda self, x: (passed.append(len(x)), forward(self, x))[1])
    train(surrogate("linear-probe"))
    assert sum(passed) == 40
    passed.clear()
    train(surrogate("linear-probe"), recipe=RECIPE.model_copy(update={"flip": True}))
    assert sum(passed) == 4 * 40


def test_an_interrupted_probe_goes_on(tmp_path):
    whole, resumed = surrogate("linear-probe"), surrogate("linear-probe")
    train(whole)
    options = {"seed": 0, "device": CPU, "checkpoint": tmp_path / "state.pt"}

    class Enough(Exception):
        pass

    class Stop:
        left = 6

        def step(self, label, total):
            return self

        def advance(self, amount=1.0):
            self.left -= amount == 1.0
            if self.left < 0:
                raise Enough

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

    with pytest.raises(Enough):
        parse_learner("soft").fit(surrogate("linear-probe"), IMAGES, ANSWERS, None, RECIPE, progress=Stop(), **options)
    parse_learner("soft").fit(resumed, IMAGES, ANSWERS, None, RECIPE, **options)
    assert changed(state(whole), resumed) == set()


@pytest.mark.parametrize("name", ["digits-mlp", "digits-vit", "resnet20", "timm:test_convnext", "torchvision:resnet18"])
def test_features_are_what_the_classifier_sees(name):
    shape = (3, 64, 64) if ":" in name else SHAPE
    network = build(name, 5, shape)
    images = ArrayImages(RANDOM.integers(0, 256, (3, *shape), dtype=np.uint8), [0] * 3, "noise")
    found = features(network, images, CPU)
    assert found.ndim == 2
    assert not network.training
    torch.testing.assert_close(network.get_submodule(head_name(network))(found), network(images.take(np.arange(3))))


def test_networks_without_a_linear_classifier_have_no_features():
    with pytest.raises(DataError, match="no linear layer"):
        features(nn.Sequential(nn.Conv2d(1, 5, 8), nn.Flatten()), IMAGES, CPU)
    with pytest.raises(DataError, match="does not end in a linear layer"):
        features(nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1)), IMAGES, CPU)


def test_an_unknown_adaptation_is_one_sentence():
    with pytest.raises(UsageError, match="no adaptation 'lora2': did you mean 'lora'"):
        surrogate("lora2")
