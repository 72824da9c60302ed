import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.methods.membership.thresholds import Labelled, called_members, class_thresholds, risk_scores
from oracles import membership as slow

CLASSES = 3


@st.composite
def labelled(draw, positive=False):
    value = st.one_of(st.floats(1e-12, 5), st.sampled_from([1e-12, 0.25, 1.0])) if positive else st.sampled_from(
        [-2.0, -0.5, 0.0, 0.75, 3.0]
    )  # fmt: skip
    values = draw(st.lists(value, min_size=1, max_size=15))
    labels = draw(st.lists(st.integers(0, CLASSES - 1), min_size=len(values), max_size=len(values)))
    return Labelled(np.array(values), np.array(labels))


@given(labelled(), labelled(), labelled())
def test_thresholds_equal_the_slow_reference(members, non_members, samples):
    found = class_thresholds(members, non_members, CLASSES)
    for label in range(CLASSES):
        inside, outside = members.of_class(label), non_members.of_class(label)
        if not (len(inside) and len(outside)):
            inside, outside = members.values, non_members.values
        assert found[label] == slow.class_threshold(inside.tolist(), outside.tolist())
    called = called_members(samples, found)
    assert called.tolist() == [v >= found[c] for v, c in zip(*samples, strict=True)]


def test_thresholds_without_shadow_data_are_refused():
    some, none = Labelled(np.ones(2), np.zeros(2, int)), Labelled(np.empty(0), np.empty(0, int))
    with pytest.raises(DataError, match="shadow members"):
        class_thresholds(some, none, 1)


def on_an_edge(part, edges):
    return np.isclose(np.maximum(part, 1e-10)[:, None], edges, rtol=1e-9).any()


@given(labelled(True), labelled(True), labelled(True))
def test_risk_scores_equal_the_slow_reference_away_from_rounding(members, non_members, samples):
    """The outermost values lie on edges that are powers of ten of rounded logarithms; see the published code."""
    found = risk_scores(members, non_members, samples, CLASSES)
    for value, label, score in zip(*samples, found, strict=True):
        inside, outside = members.of_class(label), non_members.of_class(label)
        if not (len(inside) and len(outside)):
            assert score == 0.5
            continue
        both = np.maximum(np.concatenate([inside, outside]), 1e-10)
        edges = np.logspace(np.log10(both.min()), np.log10(both.max()), 6)
        if edges[0] > both.min() or edges[-1] < both.max() or on_an_edge(np.append(both, value), edges[1:-1]):
            continue
        assert score == pytest.approx(slow.risk_score(inside.tolist(), outside.tolist(), value, 5), abs=1e-12)


def test_risk_scores_tell_members_from_non_members():
    generator = np.random.default_rng(0)
    members = Labelled(generator.lognormal(-4, 1, 500), generator.integers(0, CLASSES, 500))
    non_members = Labelled(generator.lognormal(-1, 1, 500), generator.integers(0, CLASSES, 500))
    found = risk_scores(members, non_members, Labelled(np.array([1e-4, 0.3, 5.0]), np.zeros(3, int)), CLASSES)
    assert found[0] > 0.9
    assert found[1] < 0.5
    assert found[2] < 0.1


def test_equal_values_give_no_information():
    same = Labelled(np.full(4, 0.0), np.zeros(4, int))
    assert risk_scores(same, same, same, 1).tolist() == [0.5] * 4
