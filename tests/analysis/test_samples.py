"""The one reader of samples, and what comparisons make of numbers that do not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assay.analysis.comparison import compare
from assay.analysis.difference import on_samples, paired_auc, placements
from assay.analysis.ranks import rank
from assay.analysis.samples import Column, align, expression_of, outcomes_of, samples_of, scores_of
from assay.analysis.scored import Contest, Scored
from assay.base.errors import UsageError
from assay.base.intervals import delong_auc
from assay.methods.finding import Interval, Metric, Samples
from assay.studies.workspace import Workspace
from reports.samples import outcome, ratio

ROWS = np.arange(60)
FEW = settings(max_examples=25, deadline=None)


def contest(*values: Any, positive: Any = None) -> Contest:
    kind = "outcomes" if positive is None else "scores"
    found = [Scored(f"m{i}", tuple(range(len(v))), np.asarray(v, float)) for i, v in enumerate(values)]
    return Contest("s", found, kind, "up", positive=positive)


def column(values: Any, rows: Any = ROWS, part: str = "non_members", positive: Any = None) -> Column:
    return Column([(part, int(row)) for row in rows], np.asarray(values, float), positive)


def numbers(levels: int) -> Any:
    elements = st.sampled_from([k / (levels - 1) for k in range(levels)])
    return arrays.arrays(np.float64, (2, 60), elements=elements)


@FEW
@given(numbers(2) | numbers(5), st.data())
def test_a_nan_never_changes_a_p_value(values: Any, data: st.DataObject) -> None:
    (pair,) = compare(contest(values[:1], values[1:]), seed=1)
    lost = data.draw(arrays.arrays(np.bool_, (2, 25)).filter(lambda mask: mask.any(axis=0).all()))
    extra = np.where(lost, np.nan, data.draw(numbers(2))[:, :25])
    order = data.draw(st.permutations(range(85)))
    longer = np.concatenate([values, extra], axis=1)
    if set(order[:60]) == set(range(60)) or pair.test == "McNemar, exact":
        longer = longer[:, order]
    (again,) = compare(contest(longer[:1], longer[1:]), seed=1)
    assert (again.p, again.n, again.holm) == (pair.p, pair.n, pair.holm)
    assert again.difference == pytest.approx(pair.difference)
    assert pair.interval is not None
    assert again.interval is not None
    assert again.interval[:2] == pytest.approx(pair.interval[:2])


@FEW
@given(numbers(2) | numbers(7), arrays.arrays(np.bool_, 60))
def test_equal_samples_give_a_p_of_one(values: Any, missing: Any) -> None:
    same = np.where(missing, np.nan, values)
    positive = np.arange(60) % 2 == 0
    for found in (compare(contest(same, same)), compare(contest(same, same, positive=positive))):
        for pair in found:
            assert (pair.difference, pair.p) == (0.0, 1.0) if pair.interval else (pair.n < 40 and pair.p is None)


@FEW
@given(numbers(6), st.data())
def test_scores_that_do_not_count_change_no_area(values: Any, data: st.DataObject) -> None:
    positive = np.arange(60) % 3 == 0
    (pair,) = compare(contest(values[:1], values[1:], positive=positive))
    first, second = (delong_auc(row[positive], row[~positive]).value for row in values)
    assert pair.difference == pytest.approx(first - second)
    longer = np.concatenate([values, [[np.nan] * 20, data.draw(numbers(2))[0, :20]]], axis=1)
    told = np.concatenate([positive, np.arange(20) % 2 == 0])
    (again,) = compare(contest(longer[:1], longer[1:], positive=told))
    assert (again.p, again.n) == (pair.p, 60)


def test_delong_agrees_with_its_own_variance_on_independent_scores() -> None:
    generator = np.random.default_rng(3)
    positive = np.arange(400) < 150
    scores = generator.normal(positive * 0.8, 1, (2, 400))
    auc = delong_auc(scores[0][positive], scores[0][~positive])
    placed = placements(scores[0], positive)
    assert placed[positive].mean() == pytest.approx(auc.value)
    assert placed[~positive].mean() == pytest.approx(auc.value)
    chance = np.full(400, 0.5)
    found = paired_auc(scores[0], chance, positive, 0.025)
    assert (found.high or 0) - found.value == pytest.approx(1.959964 * np.sqrt(auc.variance))


def test_paired_areas_keep_their_level() -> None:
    generator, alarms = np.random.default_rng(7), 0
    positive = np.arange(120) < 60
    for _ in range(600):
        common = generator.normal(positive * 0.7, 1)
        first, second = (common + generator.normal(0, 0.6, 120) for _ in range(2))
        (pair,) = compare(contest([first], [second], positive=positive))
        alarms += (pair.p or 0) < 0.05
    assert 0.02 < alarms / 600 < 0.08


def test_samples_are_joined_by_part_and_row() -> None:
    aligned = align([column([1, 2, 3], [5, 3, 9]), column([30, 10, 7], [9, 5, 1])])
    assert aligned is not None
    assert aligned.shared().values.tolist() == [[1, 3], [10, 30]]
    assert align([column([1], [5]), column([2], [5], "members")]).shared().values.shape == (2, 0)  # type: ignore[union-attr]
    asked = [column([1.0], [5], positive=np.array([truth])) for truth in (True, False)]
    assert align(asked) is None, "they disagree on what scores should find"


def test_two_samples_of_one_key_are_not_paired() -> None:
    twice = Samples(np.array([1, 1]), outcomes={"a": np.ones(2)})
    assert outcomes_of(twice, "a") is None
    with pytest.raises(UsageError, match="cannot be told apart"):
        expression_of(twice, "a", "m")


def test_a_column_or_whether_two_agree() -> None:
    samples = Samples(np.arange(3), columns={"a": np.array([1.0, np.nan, 2.0]), "b": np.array([1, 5, 3])})
    assert expression_of(samples, "a=b", "m").values.tolist() == pytest.approx([1, np.nan, 0], nan_ok=True)
    assert expression_of(samples, "b", "m").values.tolist() == [1, 5, 3]
    with pytest.raises(UsageError, match="no column 'c'"):
        expression_of(samples, "a=c", "m")
    with pytest.raises(UsageError, match="does not hold numbers"):
        expression_of(samples, "part", "m")


def test_a_file_that_changed_is_not_used(tmp_path: Path) -> None:
    opened, one = Workspace(tmp_path / "w"), outcome("evasion", "FGSM", metrics=[ratio("a", "A", 0.5, 0.4, 0.6, "x")])
    opened.fresh_artefacts(one.key)
    saved = opened.save(one, Samples(np.arange(4), outcomes={"a": np.array([0.0, 1, 1, 0])}))
    found = samples_of(saved, opened.path / "artefacts")
    assert found is not None
    assert outcomes_of(found, "a") is not None
    assert scores_of(found, "a") is None
    assert samples_of(saved, None) is samples_of(one, opened.path / "artefacts") is None
    file = opened.artefacts(one.key) / "samples.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    assert samples_of(saved, opened.path / "artefacts") is None


def test_too_few_shared_samples_are_no_pairs() -> None:
    assert on_samples(column(np.ones(29), range(29)), column(np.ones(29), range(29)), 1, 0.01) is None
    few = np.arange(60) < 9
    scores = column(np.linspace(0, 1, 60), positive=few)
    assert on_samples(scores, scores, 1, 0.01) is None, "nine samples to find"


def published(*metrics: Metric) -> Contest:
    found = [Scored(f"m{i}", (0,), np.zeros((1, 0)), (metric,)) for i, metric in enumerate(metrics)]
    return Contest("s", found, "published", "down")


def test_published_numbers_are_compared_as_independent() -> None:
    wide = [Metric(name="a", label="", value=v, interval=Interval(low=v - 0.1, high=v + 0.1, method="b")) for v in
            (0.3, 0.5, 0.5)]  # fmt: skip
    pairs = compare(published(*wide))
    half = np.hypot(0.1, 0.1)
    assert pairs[0].difference == pytest.approx(-0.2)
    assert pairs[0].interval is not None
    assert pairs[0].interval[:2] == pytest.approx((-0.2 - half, -0.2 + half))
    assert pairs[0].p == pytest.approx(0.00557, abs=2e-4)
    assert pairs[0].holm == pytest.approx(3 * (pairs[0].p or 0))
    assert (pairs[2].p, pairs[2].difference) == (1.0, 0.0)
    first, *others = rank(published(*wide)).ranks
    assert (first.name, first.rank, first.low) == ("m0", 1, 1)
    assert [one.rank for one in others] == [2.5, 2.5], "lower is riskier here"


def test_numbers_without_an_interval_have_a_difference_and_no_p() -> None:
    alone = [Metric(name="p", label="", value=v, note="A p-value.") for v in (0.01, 0.4)]
    (pair,) = compare(published(*alone))
    assert (pair.difference, pair.p, pair.interval, pair.holm) == (pytest.approx(-0.39), None, None, None)
    assert "no interval" in pair.test
    found = rank(published(*alone)).ranks
    assert [(one.name, one.rank, one.low) for one in found] == [("m0", 1.0, None), ("m1", 2.0, None)]


def test_ranks_follow_the_risk_and_count_what_counts() -> None:
    values = [[[0.0] * 30 + [1.0] * 30], [[np.nan] * 30 + [1.0] * 30], [[0.0] * 60]]
    assert [one.name for one in rank(contest(*values)).ranks] == ["m1", "m0", "m2"]
    lower = contest(*values)._replace(risk="down")
    assert [one.name for one in rank(lower).ranks] == ["m2", "m0", "m1"]
    positive = np.arange(60) < 30
    scores = contest([np.arange(60.0)], [-np.arange(60.0)], positive=positive)
    first, last = rank(scores).ranks
    assert (first.name, first.score, last.score, first.low, last.high) == ("m1", 1.0, 0.0, 1.0, 2.0)
