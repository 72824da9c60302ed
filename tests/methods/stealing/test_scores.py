import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from assay.methods.stealing.scores import agreement, kl_divergence
from oracles.stealing import agreement_share, kl_divergences

SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 8), classes=st.integers(2, 6), spread=st.floats(0.0, 30.0))
def test_agreement_and_divergence_against_loops(seed, rows, classes, spread):
    random = np.random.default_rng(seed)
    target = softmax(random.normal(0, spread, (rows, classes)), axis=1)
    logits = random.normal(0, spread, (rows, classes))
    assert agreement(target.argmax(1), logits.argmax(1)).mean() == agreement_share(target, logits)
    assert np.allclose(kl_divergence(target, logits), kl_divergences(target, logits), atol=1e-9, rtol=1e-9)


@settings(deadline=None)
@given(seed=SEEDS)
def test_divergence_is_zero_for_equals_and_positive_otherwise(seed):
    logits = np.random.default_rng(seed).normal(0, 3, (4, 5))
    target = softmax(logits, axis=1)
    assert np.allclose(kl_divergence(target, logits + 7.0), 0.0, atol=1e-12)
    assert (kl_divergence(target, logits[::-1]) > 0).all()


def test_divergence_stays_finite_where_posteriors_vanish():
    nats = kl_divergence(np.array([[1.0, 0.0]]), np.array([[-1000.0, 0.0]]))
    assert nats.tolist() == [pytest.approx(1000.0)]
