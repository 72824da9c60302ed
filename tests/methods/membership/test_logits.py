import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from assay.base.errors import DataError
from assay.methods.membership.logits import hinge, scaled_logit, soft_margin_taylor, softmax_confidence
from assay.methods.membership.signals import SIGNALS

ALL = [scaled_logit, hinge, softmax_confidence, soft_margin_taylor]


@given(st.integers(0, 9999), st.floats(0.1, 8))
def test_logits_agree_with_posteriors_where_those_have_digits_left(seed, scale):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, scale, (7, 4))
    labels = generator.integers(0, 4, 7)
    posteriors = softmax(logits, axis=1)
    assert scaled_logit(logits, labels) == pytest.approx(SIGNALS["log_odds"](posteriors, labels), abs=1e-8)
    assert hinge(logits, labels) == pytest.approx(SIGNALS["margin"](posteriors, labels), abs=1e-8)
    assert softmax_confidence(logits, labels) == pytest.approx(SIGNALS["confidence"](posteriors, labels), abs=1e-12)
    cooled = softmax(logits / 2, axis=1)[np.arange(7), labels]
    assert softmax_confidence(logits, labels, temperature=2) == pytest.approx(cooled, abs=1e-12)


def test_saturated_logits_keep_their_digits():
    logits = np.array([[300.0, 0.0, -1.0], [900.0, 0.0, -1.0]])
    expected = np.array([300.0, 900.0]) - np.log(1 + np.exp(-1.0))
    assert scaled_logit(logits, np.zeros(2, int)) == pytest.approx(expected, rel=1e-14)
    assert hinge(logits, np.zeros(2, int)).tolist() == [300.0, 900.0]


def test_the_taylor_confidence_by_hand():
    """Order 2, margin 1, logits (1, 2): T(0) = 1 and T(2) = 1 + 2 + 2 = 5."""
    found = soft_margin_taylor(np.array([[1.0, 2.0]]), np.array([0]), order=2, margin=1.0)
    assert found[0] == pytest.approx(1 / 6)
    warm = soft_margin_taylor(np.array([[2.0, 4.0]]), np.array([0]), order=2, margin=1.0, temperature=2.0)
    assert warm[0] == pytest.approx(1 / 6)


@pytest.mark.parametrize("signal", ALL)
def test_any_leading_shape_and_untouched_arguments(signal):
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(3, 5, 2, 4)).astype(np.float32), generator.integers(0, 4, 5)
    before = logits.copy()
    found = signal(logits, labels[:, None])
    assert found.shape == (3, 5, 2)
    assert found.dtype == np.float64
    assert found[1, :, 1] == pytest.approx(signal(logits[1, :, 1], labels))
    assert (logits == before).all()


@pytest.mark.parametrize("signal", ALL)
def test_infinite_logits_are_refused(signal):
    with pytest.raises(DataError, match=r"NaN or infinity \(at \(1, 0\)\)"):
        signal(np.array([[0.0, 1.0], [np.inf, 0.0]]), np.zeros(2, int))
