import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay.access.policies import POLICIES, Asked, parse_policy
from assay.access.policies.basic import Label, Levels, Noise, Rounding, Temperature, Top
from assay.access.policies.deviation import Mad, MadArgmax
from assay.access.policies.misinformation import AdaptiveMisinformation
from assay.access.policies.perturbing import ReverseSigmoid
from assay.access.policies.redirection import GradientRedirection
from assay.access.store import image_keys
from assay.base.errors import UsageError
from oracles.policies import levels, reverse_sigmoid

SMALL = {"network": "digits-mlp"}
EXAMPLES = [
    Rounding(decimals=0),
    Rounding(decimals=2),
    Levels(),
    Top(k=1),
    Top(k=3),
    Top(k=50),
    Label(),
    Noise(scale=0.0),
    Noise(scale=0.5),
    Temperature(temperature=0.05),
    Temperature(temperature=10.0),
    ReverseSigmoid(),
    ReverseSigmoid(beta=2.0, gamma=1.0),
    AdaptiveMisinformation(tau=0.5, **SMALL),
    AdaptiveMisinformation(tau=0.9, nu=5.0, **SMALL),
    GradientRedirection(epsilon=0.4, **SMALL),
    GradientRedirection(epsilon=2.0, **SMALL),
    Mad(epsilon=0.4, **SMALL),
    Mad(epsilon=2.0, **SMALL),
    MadArgmax(epsilon=0.4, **SMALL),
    MadArgmax(epsilon=2.0, **SMALL),
]
IDEMPOTENT = {"label", "levels", "top"}
EXACT = {"rounding", "levels", "top", "label", "noise", "temperature", "reverse-sigmoid"}
"""Policies without a network: a network's answer in another batch may differ in its last bits."""


@st.composite
def posteriors(draw):
    rows, classes = draw(st.integers(1, 6)), draw(st.integers(2, 7))
    weights = draw(arrays(np.float64, (rows, classes), elements=st.floats(0.0, 1.0, allow_subnormal=False)))
    weights[np.arange(rows), draw(arrays(np.int64, rows, elements=st.integers(0, classes - 1)))] += 0.25
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def asked(count, seed=0):
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Asked(images, image_keys(images))


def only(question, row):
    return Asked(question.images[row : row + 1], question.keys[row : row + 1])


def test_every_registered_policy_is_in_this_table():
    assert {policy.name for policy in EXAMPLES} == set(POLICIES.names())


@pytest.mark.parametrize("policy", EXAMPLES, ids=str)
@settings(max_examples=40, deadline=None)
@given(p=posteriors())
def test_rows_are_posteriors_and_independent_of_the_batch(policy, p):
    question = asked(len(p))
    before = p.copy()
    out = policy(p, question)
    assert np.array_equal(p, before), "a policy must not write into its input"
    assert out.dtype == np.float32
    assert out.shape == p.shape
    assert np.isfinite(out).all()
    assert (out >= 0).all()
    assert np.allclose(out.sum(axis=1), 1.0, atol=1e-5)
    for i in range(len(p)):
        alone = policy(p[i : i + 1], only(question, i))[0]
        assert np.array_equal(alone, out[i]) if policy.name in EXACT else np.allclose(alone, out[i], atol=1e-4)


@pytest.mark.parametrize("policy", [policy for policy in EXAMPLES if policy.keeps_argmax], ids=str)
@settings(max_examples=40, deadline=None)
@given(p=posteriors())
def test_argmax_is_kept_where_promised(policy, p):
    out = policy(p, asked(len(p)))
    for before, after in zip(p, out, strict=True):
        best, second = before.argmax(), np.sort(before)[-2]
        assert after[best] >= after.max() * (1 - 1e-6)
        if before[best] > second + 1e-4:
            assert after.argmax() == best


@pytest.mark.parametrize("policy", [policy for policy in EXAMPLES if policy.name in IDEMPOTENT], ids=str)
@settings(max_examples=40, deadline=None)
@given(p=posteriors())
def test_twice_is_once_where_it_should_be(policy, p):
    once = policy(p, asked(len(p)))
    assert np.allclose(policy(once, asked(len(p))), once, atol=1e-6)


def test_label_answers_each_row_with_its_own_prediction():
    """A batch of several predictions, which ART's ClassLabels answers with every one of them in every row."""
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], np.float32)
    expected = [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert Label()(p, asked(4)).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(p=posteriors())
def test_levels_against_a_loop(p):
    assert np.allclose(Levels()(p, asked(len(p))), [levels(row) for row in p], atol=1e-6)


def test_levels_are_mebenchs():
    confidences = np.array([0.15, 0.31, 0.49, 0.51, 0.71, 0.89, 0.91, 0.99])
    p = np.concatenate([confidences[:, None], np.repeat((1 - confidences[:, None]) / 9, 9, axis=1)], axis=1)
    out = Levels()(p.astype(np.float32), asked(8))
    assert np.allclose(out[:, 0], [0.2, 0.4, 0.4, 0.6, 0.8, 0.8, 1.0, 1.0])
    assert np.allclose(out[:, 1:], (1 - out[:, :1]) / 9)


@settings(max_examples=60, deadline=None)
@given(p=posteriors(), beta=st.floats(0.0, 1.0), gamma=st.floats(0.05, 3.0))
def test_reverse_sigmoid_against_a_loop(p, beta, gamma):
    out = ReverseSigmoid(beta=beta, gamma=gamma)(p, asked(len(p)))
    assert np.allclose(out, [reverse_sigmoid(row, beta, gamma) for row in p], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), decimals=st.integers(0, 8))
def test_rounding_against_a_loop(p, decimals):
    out = Rounding(decimals=decimals)(p, asked(len(p)))
    for before, after in zip(p, out, strict=True):
        rounded = [float(np.round(value, decimals)) for value in before]
        if sum(rounded) == 0:
            rounded = [float(j == before.argmax()) for j in range(len(before))]
        assert np.allclose(after, np.array(rounded) / sum(rounded), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), k=st.integers(1, 8))
def test_top_against_a_loop(p, k):
    out = Top(k=k)(p, asked(len(p)))
    for before, after in zip(p, out, strict=True):
        order = sorted(range(len(before)), key=lambda j: (-before[j], j))[:k]
        total = sum(float(before[j]) for j in order)
        assert np.allclose(after, [float(v) / total if j in order else 0 for j, v in enumerate(before)], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), temperature=st.floats(0.1, 20.0))
def test_temperature_is_softmax_of_divided_logits(p, temperature):
    out = Temperature(temperature=temperature)(p, asked(len(p)))
    powers = p.astype(np.float64) ** (1 / temperature)
    assert np.allclose(out, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_noise_depends_on_the_image_and_the_seed_only():
    p = np.full((3, 4), 0.25, np.float32)
    first = Noise(scale=0.2)(p, asked(3))
    assert np.array_equal(first, Noise(scale=0.2)(p, asked(3)))
    assert len({row.tobytes() for row in first}) == 3
    assert not np.array_equal(first, Noise(scale=0.2, seed=1)(p, asked(3)))


@pytest.mark.parametrize("policy", EXAMPLES, ids=str)
def test_no_rows_are_no_rows(policy):
    assert policy(np.empty((0, 4), np.float32), asked(0)).shape == (0, 4)


def test_texts_make_policies():
    assert parse_policy("rounding=3") == Rounding(decimals=3)
    assert parse_policy("label") == Label()
    assert parse_policy("noise") == Noise()
    assert parse_policy("noise:scale=0.25,seed=7") == Noise(scale=0.25, seed=7)
    assert parse_policy("noise=0.25:seed=7") == Noise(scale=0.25, seed=7)
    assert parse_policy("mad-argmax=1") == MadArgmax(epsilon=1.0)
    assert parse_policy("gradient-redirection:network=small-cnn") == GradientRedirection(network="small-cnn")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("roundin=2", "did you mean 'rounding'"),
        ("rounding=x", "valid integer"),
        ("rounding=-1", "greater than or equal to 0"),
        ("label=1", "takes no value"),
        ("temperature=0", "greater than 0"),
        ("temperature=nan", "not valid"),
        ("temperature=inf", "not valid"),
        ("noise=inf", "not valid"),
        ("noise:scal=1", "no option 'scal': did you mean 'scale'"),
        ("noise:scale", "option=value"),
        ("noise:", "option=value"),
        ("noise:scale=1,scale=2", "each given once"),
        ("label:x=1", "no option"),
        ("reverse-sigmoid=3", "less than or equal to 2"),
        ("mad:epsilon=2.5", "less than or equal to 2"),
        ("mad:network=tiny-cn", "did you mean 'tiny-cnn'"),
        ("mad:network=/nowhere/a.safetensors", "no file"),
    ],
)
def test_bad_texts_are_one_sentence(text, words):
    with pytest.raises(UsageError, match=words):
        parse_policy(text)
