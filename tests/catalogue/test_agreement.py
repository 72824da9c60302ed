from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from assay.base.errors import DataError
from assay.catalogue.agreement import agreement, cohen, fleiss
from oracles.catalogue import cohen as slow_cohen

ANSWERS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=20)
FLEISS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
"""Ten subjects, fourteen raters, five categories: a worked example whose kappa is 0.210."""


@given(pairs=ANSWERS)
def test_cohens_kappa_is_its_definition(pairs: list[tuple[str, str]]) -> None:
    one, other = ([pair[i] for pair in pairs] for i in (0, 1))
    labels = np.array([["abc".index(a), "abc".index(b)] for a, b in pairs])[:, None, :]
    found = float(cohen(labels))
    assert found == pytest.approx(slow_cohen(one, other), abs=1e-12)
    if len({*one, *other}) > 1:
        assert found == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)


def test_fleiss_kappa_of_a_worked_example() -> None:
    labels = np.array([np.repeat(np.arange(5), row) for row in FLEISS])[:, None, :]
    assert float(fleiss(labels)) == pytest.approx(0.210, abs=5e-4)


@given(table=st.lists(st.lists(st.sampled_from(range(4)), min_size=5, max_size=5), min_size=2, max_size=12))
def test_fleiss_kappa_is_that_of_statsmodels(table: list[list[int]]) -> None:
    if len({answer for item in table for answer in item}) == 1:
        return
    counts = np.array([np.bincount(item, minlength=4) for item in table])
    found = float(fleiss(np.array(table)[:, None, :]))
    assert found == pytest.approx(float(fleiss_kappa(counts, method="fleiss")), abs=1e-9)


def test_kappa_over_many_resamples_at_once() -> None:
    generator = np.random.default_rng(0)
    many = generator.integers(0, 3, (5, 12, 2, 2))
    for statistic in (cohen, fleiss):
        np.testing.assert_allclose(statistic(many), [statistic(one) for one in many])


def test_overall_kappa_is_pooled_and_not_inflated_by_having_many_codes() -> None:
    generator = np.random.default_rng(1)
    records = [f"r{i}" for i in range(300)]
    guess = {c: {(r, code): str(generator.integers(3)) for r in records for code in ("x", "y")} for c in "ab"}
    *_, overall = agreement(guess)
    assert overall.name == "overall"
    assert overall.items == 600
    assert abs(overall.kappa) < 0.12  # type: ignore[arg-type]
    assert overall.interval is not None
    assert overall.interval.low < 0 < overall.interval.high


def test_the_interval_covers_the_truth() -> None:
    """Two coders who both answer right with probability 0.8 among two equally likely values: kappa 0.36."""
    hits = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth = generator.integers(0, 2, 80)
        answers = {c: {(f"r{i}", "x"): str(t ^ (generator.random() > 0.8)) for i, t in enumerate(truth)} for c in "ab"}
        interval = agreement(answers)[0].interval
        hits += interval is not None and interval.low <= 0.36 <= interval.high
    assert hits >= 34


def test_what_has_no_kappa_says_why() -> None:
    same = {c: {("r1", "x"): "1", ("r2", "x"): "1"} for c in "ab"}
    (code, overall) = agreement(same)
    assert (code.kappa, code.observed, code.note) == (None, 1.0, "everybody always gave the same answer")
    assert overall.kappa is None
    apart = agreement({"a": {("r1", "x"): "1"}, "b": {("r2", "x"): "1"}})
    assert apart[0].note == "no model was annotated by two coders"
    perfect = agreement({c: {("r1", "x"): "1", ("r2", "x"): "2"} for c in "ab"})
    assert (perfect[0].kappa, perfect[0].interval) == (1.0, None)
    with pytest.raises(DataError, match="at least two coders"):
        agreement({"a": {("r1", "x"): "1"}})


def test_three_coders_who_did_not_answer_everything() -> None:
    answers = {
        "a": {("r1", "x"): "1", ("r2", "x"): "2", ("r3", "x"): "1"},
        "b": {("r1", "x"): "1", ("r2", "x"): "2", ("r3", "x"): "2"},
        "c": {("r1", "x"): "1", ("r4", "x"): "1"},
    }
    code = agreement(answers)[0]
    assert code.items == 3
    assert code.observed == pytest.approx(2 / 3)
    assert 0 < code.kappa < 1  # type: ignore[operator]
