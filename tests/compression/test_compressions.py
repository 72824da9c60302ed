"""Compressed networks: exact grids, exact zeros, calibrated ranges, and files that bring them back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError, UsageError
from assay.catalogue.weights import Preprocessing
from assay.compression.compression import (
    COMPRESSIONS,
    Compression,
    Workshop,
    compress,
    described,
    identity,
    is_compression,
    parse,
)
from assay.compression.folding import pairs
from assay.compression.pruning import Tune
from assay.compression.quantisation import Quantisation, quantised
from assay.data.images import ArrayImages
from assay.targets.architectures import build
from assay.targets.module import Preprocessed
from assay.training import seeded_build
from oracles.siblings import quantised_slowly

torch.set_num_threads(1)
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """A residual network whose normalisation has seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inner = build("digits-resnet", 4, SHAPE)
        inner.train()
        for _ in range(5):
            inner(torch.rand(16, *SHAPE))
        for norm in inner.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
                torch.nn.init.normal_(norm.bias)
    return Preprocessed(inner.eval(), Preprocessing(mean=(0.5,), std=(0.5,)))


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    random = np.random.default_rng(0)
    labels = np.arange(90) % 4
    images = (random.integers(0, 64, (90, *SHAPE)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    return Workshop(SHAPE, 4, ArrayImages(images, labels, "brightness"))


def answers(network: torch.nn.Module, count: int = 40) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(2)))


@settings(max_examples=50, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    bits=st.integers(2, 8),
    granularity=st.sampled_from(["channel", "tensor"]),
    seed=st.integers(0, 99),
)
def test_quantised_weights_are_the_nearest_of_their_grid(shape, bits, granularity, seed):
    weight = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    found = quantised(torch.from_numpy(weight), bits, granularity).numpy()
    np.testing.assert_allclose(found, quantised_slowly(weight, bits, granularity), rtol=1e-5, atol=1e-6)


def test_weights_of_zeros_stay_so_and_quantising_twice_changes_nothing():
    weight = torch.tensor([[0.0, 0.0], [0.3, -1.0]])
    once = quantised(weight, 4, "channel")
    assert once[0].tolist() == [0.0, 0.0]
    torch.testing.assert_close(quantised(once, 4, "channel"), once, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("text", "levels"), [("int8", 255), ("int4", 15), ("int8=tensor", 255), ("int4=tensor", 15)])
def test_quantised_networks(network, workshop, text, levels):
    made = compress(network, parse(text), workshop)
    for (name, before), after in zip(network.named_parameters(), made.parameters(), strict=True):
        if before.ndim == 1:
            assert torch.equal(before, after), name
            continue
        rows = [after.flatten()] if "tensor" in text else list(after.flatten(1))
        assert max(len(row.unique()) for row in rows) <= levels
        assert not torch.equal(before, after)
    assert (answers(made) - answers(network)).abs().max() < (0.2 if levels == 255 else 2.5)


def test_int4_is_coarser_than_int8_and_tensors_than_channels(network, workshop):
    off = {}
    for text in ("int8", "int8=tensor", "int4", "int4=tensor"):
        made = compress(network, parse(text), workshop)
        pairs_ = zip(network.parameters(), made.parameters(), strict=True)
        off[text] = sum(float((before - after).detach().square().sum()) for before, after in pairs_)
    assert off["int8"] < off["int4"] < off["int4=tensor"]
    assert off["int8"] < off["int8=tensor"]


def test_the_original_is_left_alone(network, workshop):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for text in ("int4", "prune", "filters", "fold", "low-rank", "activations"):
        compress(network, parse(text), workshop)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_folding_changes_nothing_but_the_structure(network, workshop):
    assert len(pairs(network, workshop)) == 8
    made = compress(network, parse("fold"), workshop)
    torch.testing.assert_close(answers(made), answers(network), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in made.modules())


def test_folding_refuses_what_would_answer_otherwise(workshop):
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)
            torch.nn.init.constant_(self.norm.running_mean, 3.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.conv(x)
            return (self.norm(maps) * maps).mean((2, 3))

    with pytest.raises(DataError, match="cannot be folded"):
        compress(Twice(), parse("fold"), workshop)


def test_static_activations(network, workshop):
    made = compress(network, parse("fold+int8+activations"), workshop)
    off = (answers(made) - answers(network)).abs()
    assert 0 < off.mean() < 0.1 * answers(network).std()
    coarse = compress(network, parse("activations=3"), workshop)
    assert (answers(coarse) - answers(network)).abs().mean() > 2 * off.mean()
    image = torch.rand(1, *SHAPE, requires_grad=True)
    made(image)[0, 0].backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_pruning_removes_the_smallest(network, workshop):
    made = compress(network, parse("prune=0.6"), workshop)
    pairs_ = [(b, a) for b, a in zip(network.parameters(), made.parameters(), strict=True) if b.ndim > 1]
    before, after = (torch.cat([pair[side].flatten() for pair in pairs_]) for side in (0, 1))
    gone = after == 0
    assert float(gone.float().mean()) == pytest.approx(0.6, abs=1e-3)
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert torch.equal(after[~gone], before[~gone])


def test_pruned_filters_give_nothing(network, workshop):
    made = compress(network, parse("filters=0.5"), workshop)
    for convolution, norm in pairs(made, workshop):
        silent = (convolution.weight == 0).flatten(1).all(1)
        assert int(silent.sum()) == len(silent) // 2
        assert torch.all(norm.weight[silent] == 0)
        assert torch.all(norm.bias[silent] == 0)


def test_low_rank(network, workshop):
    made = compress(network, parse("low-rank=0.25"), workshop)
    for before, after in zip(network.parameters(), made.parameters(), strict=True):
        if before.ndim > 1:
            full = min(before.flatten(1).shape)
            kept = int(torch.linalg.matrix_rank(after.flatten(1), rtol=1e-4))
            assert kept == -(-full // 4)
            values = torch.linalg.svdvals(before.flatten(1))
            lost = torch.linalg.norm(before - after)
            torch.testing.assert_close(lost, values[kept:].square().sum().sqrt(), rtol=1e-3, atol=1e-4)


def test_fine_tuning_learns_and_keeps_zeros(workshop):
    tune = Tune(epochs=20, learning_rate=0.05, batch_size=16)
    pruned = compress(seeded_build("digits-mlp", 4, SHAPE, 0), parse("prune=0.8"), workshop)
    made = compress(pruned, (tune,), workshop)
    images = workshop.images
    assert images is not None
    pixels, labels = images.take(np.arange(90)), torch.from_numpy(images.labels)
    right = [float((net(pixels).argmax(1) == labels).float().mean()) for net in (pruned, made)]
    assert right[1] > right[0] + 0.2
    for before, after in zip(pruned.parameters(), made.parameters(), strict=True):
        assert torch.all(after[before == 0] == 0)
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_distillation_follows_its_teacher(network, workshop):
    made = compress(network, parse("distil=digits-mlp"), workshop)
    images = workshop.images
    assert images is not None
    pixels = images.take(np.arange(90))
    assert made.preprocessing == network.preprocessing
    assert float((made(pixels).argmax(1) == network(pixels).argmax(1)).float().mean()) > 0.8


@pytest.mark.parametrize("text", ["int4", "prune=0.3+int8=tensor", "fold+int8+activations", "filters", "low-rank"])
def test_a_compressed_network_is_the_same_every_time(network, workshop, text):
    first, again = (compress(network, parse(text), workshop) for _ in range(2))
    assert torch.equal(answers(first), answers(again))


def test_steps_are_read_from_texts_and_back():
    steps = parse("prune=0.3+tune+int4=tensor")
    assert [type(step).name for step in steps] == ["prune", "tune", "int4"]
    assert described([step.describe() for step in steps]) == steps
    assert is_compression("int8")
    assert is_compression("fold+int8")
    assert not is_compression("starter/digits-cnn")
    for name, kind in COMPRESSIONS.items():
        assert kind.__doc__
        assert isinstance(parse(name)[0], Compression)


def test_the_identity_follows_images_only_where_they_are_used(workshop):
    other = Workshop(SHAPE, 4, seed=0)
    assert identity(parse("int8"), workshop) == identity(parse("int8"), other)
    assert identity(parse("int8"), workshop) != identity(parse("int8=tensor"), workshop)
    assert identity(parse("tune"), workshop) != identity(parse("tune"), other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int9", "int8"),
        ("prune=2", "less than 1"),
        ("prune=much", "number"),
        ("fold=1", "takes no value"),
        ("int8=layer", "tensor"),
    ],
)
def test_bad_texts(text, said):
    with pytest.raises(UsageError, match=said):
        parse(text)


def test_what_is_missing_is_named(network):
    bare = Workshop(SHAPE, 4)
    for text in ("activations", "tune", "distil=digits-mlp"):
        with pytest.raises(DataError, match="training images"):
            compress(network, parse(text), bare)
    with pytest.raises(DataError, match="cannot be compressed"):
        compress(torch.nn.Flatten(), parse("int8"), bare)
    with pytest.raises(DataError, match="convolutions"):
        compress(build("digits-mlp", 4, SHAPE), parse("filters"), bare)


def test_training_with_quantised_weights_reaches_every_parameter(network):
    (step,) = parse("int4")
    assert isinstance(step, Quantisation)
    copy = build("digits-cnn", 4, SHAPE)
    weights = step.straight_through(copy)
    torch.func.functional_call(copy, weights, (torch.rand(4, *SHAPE),)).sum().backward()
    assert all(parameter.grad is not None for parameter in copy.parameters())
