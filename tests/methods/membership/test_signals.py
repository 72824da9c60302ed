import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.methods.membership import signals
from assay.methods.membership.signals import SIGNALS
from oracles import membership as slow


@st.composite
def answers(draw):
    classes = draw(st.integers(2, 6))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    weight = st.one_of(st.just(0.0), st.floats(1e-12, 1.0))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row = np.array(draw(st.lists(weight, min_size=classes, max_size=classes)))
        if row.sum() == 0:
            row[draw(st.integers(0, classes - 1))] = 1.0
        rows.append(row / row.sum())
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=len(rows), max_size=len(rows)))
    return np.array(rows, dtype), np.array(labels)


@pytest.mark.parametrize("name", SIGNALS)
@given(answers())
def test_signals_equal_their_formulas_row_by_row(name, pair):
    posteriors, labels = pair
    found = SIGNALS[name](posteriors, labels)
    assert found.dtype == np.float64
    expected = [getattr(slow, name)([float(p) for p in row], int(y)) for row, y in zip(*pair, strict=True)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_rank_certain_right_answers_above_certain_wrong_ones_and_stay_finite(name):
    posteriors = np.array([[1, 0, 0], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0, 1, 0]], np.float32)
    found = SIGNALS[name](posteriors, np.zeros(4, int))
    assert np.isfinite(found).all()
    if name == "entropy":
        assert found[0] == found[3] == 0.0 > found[1]
    else:
        assert (np.diff(found) <= 0).all()
        assert found[0] > found[3]


@pytest.mark.parametrize("name", SIGNALS)
def test_the_arguments_are_left_as_they_were(name):
    posteriors, labels = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([1, 0])
    SIGNALS[name](posteriors, labels)
    assert posteriors.tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_saturated_float32_posteriors_are_still_told_apart():
    posteriors = np.array([[1.0, 1e-9], [1.0, 1e-12], [1.0, 1e-20]], np.float32)
    labels = np.zeros(3, int)
    assert np.diff(SIGNALS["log_odds"](posteriors, labels)) == pytest.approx([np.log(1e3), np.log(1e8)], rel=1e-6)
    assert (np.diff(SIGNALS["modified_entropy"](posteriors, labels)) > 0).all()


def test_modified_entropy_of_a_worked_example():
    """-(1 - 0.7) ln 0.7 - 0.2 ln 0.8 - 0.1 ln 0.9, by hand: 0.1070 + 0.0446 + 0.0105."""
    found = SIGNALS["modified_entropy"](np.array([[0.7, 0.2, 0.1]]), np.array([0]))
    assert found[0] == pytest.approx(-0.16217, abs=1e-5)


def test_a_signal_in_blocks_has_the_same_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    posteriors = np.random.default_rng(0).dirichlet(np.full(30, 0.1), 500).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 30, 500)
    whole = {name: signal(posteriors, labels) for name, signal in SIGNALS.items()}
    monkeypatch.setattr(signals, "BLOCK", 30 * 7)
    for name, signal in SIGNALS.items():
        np.testing.assert_array_equal(signal(posteriors, labels), whole[name], err_msg=name)
