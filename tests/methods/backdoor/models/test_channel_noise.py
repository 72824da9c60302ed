"""Channel noise and the last layer: references, planted toys, many labels, and networks that they do not suit."""

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.progress import silent
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.backdoor.models import channel_noise, last_layer
from assay.methods.backdoor.models.channel_noise import ChannelNoise
from assay.methods.backdoor.models.last_layer import LastLayer
from assay.methods.backdoor.models.layers import WEIGHTED, Watch, last_weight
from assay.methods.backdoor.models.noise import channels_of, crossing, least_lengths
from assay.methods.backdoor.models.null import CleanModel, kind_of
from assay.methods.backdoor.models.outliers import OWN_NULL, largest_p_value, robust_scores
from assay.methods.check import check_finding
from assay.targets.loading.keras_modules import Convolution, Dense
from assay.targets.target import Target
from methods.backdoor.models.toys import context_of
from oracles import channel_noise as oracle

SHAPE = (1, 8, 8)


def classes_of(count, images, seed=0):
    """Images of several classes, each a template in noise."""
    random = np.random.default_rng(seed)
    templates = np.random.default_rng(1).random((count, *SHAPE))
    labels = np.arange(images) % count
    noisy = (templates[labels] + 0.1 * random.standard_normal((images, *SHAPE))).clip(0, 1)
    return torch.from_numpy(noisy.astype(np.float32)), labels


def network(classes, planted=None, strength=20.0, seed=0):
    """Random convolutions and a last layer fitted to templates; that of a ``planted`` class answers to all features.

    Its bias takes back what the features of clean images add on average.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 12, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(12, 24, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Flatten(),
        )
    images, labels = classes_of(classes, 20 * classes, 5)
    with torch.no_grad():
        features = body(images)
        features = torch.cat([features, torch.ones(len(features), 1)], 1)
        wanted = 8.0 * torch.eye(classes)[torch.from_numpy(labels)]
        penalty = 1e-3 * torch.eye(features.shape[1])
        fitted = torch.linalg.solve(features.T @ features + penalty, features.T @ wanted).T
        head = torch.nn.Linear(96, classes)
        head.weight.copy_(fitted[:, :-1])
        head.bias.copy_(fitted[:, -1])
        if planted is not None:
            head.weight[planted] += strength
            head.bias[planted] -= strength * features[:, :-1].sum(1).mean()
    return torch.nn.Sequential(body, head)


def target_of(module, classes, images=160):
    pixels, labels = classes_of(classes, images)
    splits = Splits(non_members=ArrayImages(pixels.numpy(), labels, "templates"))
    return Target.from_module(module, input_shape=SHAPE, num_classes=classes, splits=splits)


def found_by(method, module, classes, folder, seed=0):
    target = target_of(module, classes)
    box = WhiteBox(target)
    finding = method.run(box, target.splits, context_of(folder, seed))
    return check_finding(finding, method.name, folder), box


def test_robust_scores_are_those_of_the_slow_reference():
    for count in (5, 6, 11):
        values = np.random.default_rng(count).normal(size=count)
        np.testing.assert_allclose(robust_scores(values), oracle.robust_scores(values.tolist()), rtol=1e-9)
    assert robust_scores(np.ones(7)).tolist() == [0.0] * 7


def test_where_a_loss_falls_below_one():
    lengths = np.array([1.0, 2.0, 4.0])
    assert crossing(lengths, np.array([9.0, 4.0, 0.25, 0.1])) == pytest.approx(2.0**0.5)
    assert crossing(lengths, np.array([9.0, 4.0, 2.0, 0.5])) == pytest.approx(2 * 2**0.5)
    assert crossing(lengths, np.array([9.0, 0.5, 0.1, 0.1])) == 1.0
    assert crossing(lengths, np.array([0.5, 0.1, 0.1, 0.1])) == 1.0
    assert crossing(lengths, np.array([9.0, 4.0, 3.0, 2.0])) == 4.0


def test_the_least_noise_of_a_linear_network_is_that_of_the_reference():
    random = np.random.default_rng(2)
    weight = random.normal(size=(2, 16)).astype(np.float32)
    mixing = (random.normal(size=(16, 16)) * np.geomspace(0.2, 5, 16)[:, None]).astype(np.float32)
    first, head = torch.nn.Linear(16, 16, bias=False), torch.nn.Linear(16, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(mixing))
        head.weight.copy_(torch.from_numpy(weight))
    module = torch.nn.Sequential(torch.nn.Flatten(), first, head)
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    box = WhiteBox(Target.from_module(module, input_shape=(1, 4, 4), num_classes=2))
    channels = channels_of(box, images)
    assert [(channel.number, channel.size) for channel in channels] == [(0, 16)]
    features = images.flatten(1).numpy() @ mixing.T
    np.testing.assert_allclose(channels[0].deviation, features.std(0), rtol=1e-3)
    lengths = np.geomspace(0.01, 100, 60)
    with silent().step("noise", 60) as bar:
        found = least_lengths(box, channels, np.arange(2), images, lengths, bar)
    for label in range(2):
        wanted = oracle.least_length(features, weight, features.std(0), label)
        assert found[label] == pytest.approx(max(wanted, 0.01), rel=0.15)
    # without noise, and up to the first length at which the label is reached; one label is reached without any
    steps = np.where(found == lengths[0], 1, np.searchsorted(lengths, found) + 2)
    assert box.ledger.gradients == 40 * steps.sum() < 61 * 2 * 40


def test_the_least_noise_is_the_same_where_batch_normalisation_is_folded():
    """A channel of negative scale turns the sign of its noise, and no length."""
    module, images = network(4), classes_of(4, 40)[0]
    layers = [*module]
    norm = torch.nn.BatchNorm2d(12)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.5, 2.0, 12))
        norm.bias.copy_(torch.linspace(-0.3, 0.3, 12))
        norm(layers[0][0](images))
    body = torch.nn.Sequential(layers[0][0], norm, *layers[0][1:])
    whole = torch.nn.Sequential(body, *layers[1:]).eval()
    box = WhiteBox(target_of(whole, 4))
    quick = box.quick()
    assert quick.module is not box.module
    assert quick.ledger is box.ledger
    lengths, found = np.geomspace(0.05, 5, 8), []
    for one in (box, quick):
        with silent().step("noise", 8) as bar:
            found.append(least_lengths(one, channels_of(one, images), np.arange(4), images, lengths, bar))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)
    assert len(set(found[0].round(3))) > 1


def test_noise_of_all_labels_at_once_is_that_of_each_for_itself():
    module, images = network(4), classes_of(4, 40)[0]
    box = WhiteBox(target_of(module, 4))
    channels, lengths = channels_of(box, images), np.geomspace(0.05, 5, 8)
    with silent().step("noise", 8) as bar:
        together = least_lengths(box, channels, np.arange(4), images, lengths, bar)
        alone = [least_lengths(box, channels, np.array([label]), images, lengths, bar)[0] for label in range(4)]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


class Functional(torch.nn.Module):
    """Layers that are no modules of torch's: what files in other formats become."""

    def __init__(self):
        super().__init__()
        kernel = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(0))
        self.convolution = Convolution(kernel, None, {"strides": 1, "padding": "same"})
        self.dense = Dense(torch.randn(3, 5, generator=torch.Generator().manual_seed(1)), None)

    def forward(self, images):
        hidden = torch.nn.functional.conv2d(self.convolution(images), torch.ones(5, 5, 1, 1))
        return self.dense(hidden.mean((2, 3)))


def test_layers_are_seen_whatever_they_are_made_of():
    box = WhiteBox(Target.from_module(Functional(), input_shape=SHAPE, num_classes=3))
    images = torch.rand(4, *SHAPE)
    before, seen = box.logits(images), []
    for _ in range(2):
        with Watch(WEIGHTED, seen.append):
            box.logits(images)
    assert [call.number for call in seen] == [0, 1, 2, 0, 1, 2]
    assert [tuple(call.answer.shape) for call in seen[:3]] == [(4, 5, 8, 8), (4, 5, 8, 8), (4, 3)]
    with Watch(WEIGHTED, lambda call: call.answer + 1 if call.number == 2 else None):
        torch.testing.assert_close(box.logits(images), before + 1)
    torch.testing.assert_close(box.logits(images), before)
    assert tuple(last_weight(box, images).shape) == (3, 5)
    assert [channel.size for channel in channels_of(box, images)] == [5, 5]


def test_the_planted_label_takes_less_noise_and_has_the_largest_row(tmp_path):
    for method, column in ((ChannelNoise(), "lead"), (LastLayer(), "row_mean")):
        clean, _ = found_by(method, network(10), 10, tmp_path)
        planted, box = found_by(method, network(10, planted=4), 10, tmp_path)
        assert planted.samples.row[planted.samples[column].argmax()] == 4
        name = "lead" if column == "lead" else "row_mean"
        assert planted.metric(name).value > 1.5 * clean.metric(name).value
        assert planted.verdict.level == clean.verdict.level == "undecided", "there is no null for such toys"
        assert "There is no p-value" in planted.verdict.sentence
    assert box.ledger.gradients == 0, "the last layer takes no gradient"


def test_the_scale_of_channels_does_not_matter(tmp_path):
    """What multiplies a layer's channels and is taken back by the next one changes no function and no statistic."""
    module, other = network(6), network(6)
    factors = torch.logspace(-2, 2, 12)
    with torch.no_grad():
        other[0][0].weight.mul_(factors.view(-1, 1, 1, 1))
        other[0][0].bias.mul_(factors)
        other[0][2].weight.div_(factors.view(1, -1, 1, 1))
    leads = [found_by(ChannelNoise(), m, 6, tmp_path)[0].samples["lead"] for m in (module, other)]
    np.testing.assert_allclose(leads[0], leads[1], atol=2e-3)


@pytest.mark.parametrize(("largest", "level"), [(0.3, "elevated"), (9.0, "undecided")])
def test_few_labels_are_judged_by_clean_networks(largest, level, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    kind = kind_of(WhiteBox(target_of(network(10), 10)))
    for module, method, name in ((channel_noise, ChannelNoise(), "lead"), (last_layer, LastLayer(), "row_mean")):
        unit = largest if name == "lead" else 20 * largest
        rows = [{name: unit * random.random()} for _ in range(40)]
        clean = [CleanModel(model=str(i), kind=kind, statistics=row) for i, row in enumerate(rows)]
        monkeypatch.setattr(module, "shipped_nulls", lambda clean=clean, method=method: {method.name: clean})
        finding, _ = found_by(method, network(10, planted=4), 10, tmp_path)
        assert (finding.verdict.level, finding.verdict.metric) == (level, "p_value"), finding.verdict.sentence
        assert finding.verdict.weak == (level == "undecided")


def test_of_many_labels_those_drawn_at_random_are_the_null():
    random = np.random.default_rng(3)
    suspects, controls = random.normal(5, 0.5, 16), random.normal(0, 1, 16)
    statistics, drawn = np.concatenate([suspects, controls]), np.arange(32) >= 16
    among_controls = largest_p_value(statistics, drawn, 200)
    among_all = largest_p_value(statistics, None, 200)
    assert among_controls < 0.05 < among_all
    assert largest_p_value(controls, np.ones(16, bool), 200) > largest_p_value(controls, np.ones(16, bool), 16)


@pytest.mark.parametrize("planted", [None, 7])
def test_many_labels_are_a_null_of_their_own(planted, tmp_path):
    finding, box = found_by(LastLayer(), network(OWN_NULL, planted), OWN_NULL, tmp_path)
    assert finding.verdict.metric == "own_p_value"
    assert finding.verdict.level == ("undecided" if planted is None else "elevated"), finding.verdict.sentence
    few = ChannelNoise(images=16, steps=8, most_labels=20, suspects=8)
    finding, box = found_by(few, network(OWN_NULL, planted), OWN_NULL, tmp_path)
    assert len(finding.samples) == 16
    assert finding.samples["drawn"].sum() == 8
    assert box.ledger.gradients <= 9 * 16 * 16 + 8
    if planted is not None:
        assert finding.samples.row[finding.samples["lead"].argmax()] == planted
        assert not finding.samples["drawn"][finding.samples.row == planted], "its row makes it suspicious"


class Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = network(4)
        self.norm = torch.nn.LayerNorm(4)

    def forward(self, images):
        return self.norm(self.inner(images))


class Summed(torch.nn.Module):
    """Ends in no layer: sums of channels."""

    def __init__(self):
        super().__init__()
        self.inner = network(8)

    def forward(self, images):
        return self.inner(images).view(len(images), 4, 2).sum(2)


def test_networks_that_they_do_not_suit_are_left_undecided(tmp_path):
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    templates = torch.from_numpy(np.random.default_rng(1).random((4, 64)).astype(np.float32))
    with torch.no_grad():
        flat[1].weight.copy_(templates)
        flat[1].bias.copy_(-templates.square().sum(1) / 2)
    for method, module, words in (
        (ChannelNoise(), Normed(), "transformer"),
        (ChannelNoise(), flat, "no convolution or dense layer before its last"),
        (LastLayer(), Summed(), "one row of weights for every label"),
    ):
        finding, _ = found_by(method, module, 4, tmp_path)
        assert finding.verdict.level == "undecided"
        assert words in finding.verdict.sentence
        assert "would tell is missing" in finding.verdict.sentence


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    target = target_of(network(4), 4)
    box = WhiteBox(target)
    with torch.no_grad():
        target.module.module[1].weight[2, 3] = torch.nan
    for method, words in ((LastLayer(), "not finite"), (ChannelNoise(), "NaN or infinity")):
        with pytest.raises(AccessError, match=words):
            method.run(box, target.splits, context_of(tmp_path))


def test_slopes_are_counted_and_need_something_to_follow():
    box = WhiteBox(target_of(network(4), 4))
    images, added = classes_of(4, 6)[0], torch.zeros(4, requires_grad=True)
    with Watch(WEIGHTED, lambda call: call.answer + added if call.answer.shape[1:] == (4,) else None):
        (slope,), logits = box.slopes(images, (added,), lambda answers: answers[:, 1])
    assert slope.tolist() == [0, 6, 0, 0]
    assert logits.shape == (6, 4)
    assert box.ledger.gradients == 6
    with torch.no_grad(), pytest.raises(AccessError, match="cannot be differentiated"):
        box.slopes(images, (added,), lambda answers: answers[:, 1])
