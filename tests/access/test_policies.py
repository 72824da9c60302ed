import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay.access.policies import POLICIES, parse_policy
from assay.access.policies.basic import Label, Noise, Rounding, Temperature, Top
from assay.base.errors import UsageError

EXAMPLES = [
    Rounding(decimals=0),
    Rounding(decimals=2),
    Top(k=1),
    Top(k=3),
    Top(k=50),
    Label(),
    Noise(scale=0.0),
    Noise(scale=0.5),
    Temperature(temperature=0.05),
    Temperature(temperature=10.0),
]


@st.composite
def posteriors(draw):
    rows, classes = draw(st.integers(1, 6)), draw(st.integers(2, 7))
    weights = draw(arrays(np.float64, (rows, classes), elements=st.floats(0.0, 1.0, allow_subnormal=False)))
    weights[np.arange(rows), draw(arrays(np.int64, rows, elements=st.integers(0, classes - 1)))] += 0.25
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def keys_of(count):
    return np.frombuffer(np.arange(count, dtype="<u8").repeat(2).tobytes(), "V16")


def test_every_registered_policy_is_in_this_table():
    assert {policy.name for policy in EXAMPLES} == set(POLICIES.names())


@pytest.mark.parametrize("policy", EXAMPLES, ids=str)
@settings(max_examples=40, deadline=None)
@given(p=posteriors())
def test_rows_are_posteriors_and_independent_of_the_batch(policy, p):
    keys = keys_of(len(p))
    before = p.copy()
    out = policy(p, keys)
    assert np.array_equal(p, before), "a policy must not write into its input"
    assert out.dtype == np.float32
    assert out.shape == p.shape
    assert (out >= 0).all()
    assert np.allclose(out.sum(axis=1), 1.0, atol=1e-5)
    for i in range(len(p)):
        assert np.array_equal(policy(p[i : i + 1], keys[i : i + 1])[0], out[i])


@pytest.mark.parametrize("policy", [policy for policy in EXAMPLES if policy.keeps_argmax], ids=str)
@settings(max_examples=40, deadline=None)
@given(p=posteriors())
def test_argmax_is_kept_where_promised(policy, p):
    out = policy(p, keys_of(len(p)))
    for before, after in zip(p, out, strict=True):
        best, second = before.argmax(), np.sort(before)[-2]
        assert after[best] >= after.max() * (1 - 1e-6)
        if before[best] > second + 1e-4:
            assert after.argmax() == best


def test_label_answers_each_row_with_its_own_prediction():
    p = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], np.float32)
    expected = [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert Label()(p, keys_of(4)).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), decimals=st.integers(0, 8))
def test_rounding_against_a_loop(p, decimals):
    out = Rounding(decimals=decimals)(p, keys_of(len(p)))
    for before, after in zip(p, out, strict=True):
        rounded = [float(np.round(value, decimals)) for value in before]
        if sum(rounded) == 0:
            rounded = [float(j == before.argmax()) for j in range(len(before))]
        assert np.allclose(after, np.array(rounded) / sum(rounded), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), k=st.integers(1, 8))
def test_top_against_a_loop(p, k):
    out = Top(k=k)(p, keys_of(len(p)))
    for before, after in zip(p, out, strict=True):
        order = sorted(range(len(before)), key=lambda j: (-before[j], j))[:k]
        total = sum(float(before[j]) for j in order)
        assert np.allclose(after, [float(v) / total if j in order else 0 for j, v in enumerate(before)], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(p=posteriors(), temperature=st.floats(0.1, 20.0))
def test_temperature_is_softmax_of_divided_logits(p, temperature):
    out = Temperature(temperature=temperature)(p, keys_of(len(p)))
    powers = p.astype(np.float64) ** (1 / temperature)
    assert np.allclose(out, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_noise_depends_on_the_image_and_the_seed_only():
    p = np.full((3, 4), 0.25, np.float32)
    first = Noise(scale=0.2)(p, keys_of(3))
    assert np.array_equal(first, Noise(scale=0.2)(p, keys_of(3)))
    assert len({row.tobytes() for row in first}) == 3
    assert not np.array_equal(first, Noise(scale=0.2, seed=1)(p, keys_of(3)))


@pytest.mark.parametrize("policy", EXAMPLES, ids=str)
def test_no_rows_are_no_rows(policy):
    assert policy(np.empty((0, 4), np.float32), keys_of(0)).shape == (0, 4)


def test_texts_make_policies():
    assert parse_policy("rounding=3") == Rounding(decimals=3)
    assert parse_policy("label") == Label()
    assert parse_policy("noise") == Noise()


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
    ],
)
def test_bad_texts_are_one_sentence(text, words):
    with pytest.raises(UsageError, match=words):
        parse_policy(text)
