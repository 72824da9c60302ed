"""Comparing, ranking, summarising and placing what a workspace holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.analysis.comparison import compare
from assay.analysis.difference import mcnemar, sign_changes
from assay.analysis.mixed import fit
from assay.analysis.percentile import Percentile, percentile_of
from assay.analysis.position import FEWEST
from assay.analysis.ranks import rank
from assay.analysis.scored import Contest, Scored, read_contest, resampled_means
from assay.analysis.summary import summarise
from assay.base.errors import DataError, UsageError
from assay.cli import main
from assay.methods.finding import NO_SAMPLES, Metric, Samples, Verdict
from assay.studies.outcome import MethodFacts, Outcome, PartFacts, TargetFacts
from assay.studies.workspace import Workspace
from oracles import analysis as oracle


def outcome(target: str, seed: int, agreement: float, images: str = "test", **options: Any) -> Outcome:
    method = MethodFacts(
        name="stealing.theft", version=1, family="stealing", title="", threat_model="", access="", paper="",
        options=options,
    )  # fmt: skip
    facts = TargetFacts(
        name=target, digest=f"#{target}", weights_digest=target, input_shape=(1, 1, 1), num_classes=2,
        preprocessing={}, data={"non_members": PartFacts(name="test", size=9, digest=images)},
    )  # fmt: skip
    return Outcome(
        key=f"{target}-{seed}-{options}".encode().hex(), status="done", target=facts, method=method, serving={},
        seed=seed, metrics=[Metric(name="agreement", label="Agreement", value=agreement, note="n")],
        verdict=Verdict(level="low", metric="agreement", sentence=""), started=datetime(2026, 11, 28, tzinfo=UTC),
        versions={},
    )  # fmt: skip


UNDECIDED = Verdict(level="undecided", metric="p_value", sentence="")


def contest(values: dict[str, np.ndarray[Any, Any]]) -> Contest:
    return Contest("s", [Scored(name, tuple(range(len(v))), v.astype(float)) for name, v in values.items()])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three models under two seeds; the third has one sample less, in another order."""
    path = tmp_path / "w"
    opened = Workspace(path)
    generator = np.random.default_rng(0)
    for model, share in (("good", 0.9), ("fair", 0.6), ("poor", 0.2)):
        for seed in (0, 1):
            rows = np.arange(60) if model != "poor" else np.arange(59)[::-1]
            target = generator.integers(0, 2, len(rows))
            agreed = generator.random(len(rows)) < share
            one = outcome(model, seed, float(agreed.mean()))
            opened.fresh_artefacts(one.key)
            surrogate = np.where(agreed, target, 1 - target)
            columns = {"target": target, "surrogate": surrogate}
            opened.save(one, Samples(rows, outcomes={"agreement": agreed.astype(float)}, columns=columns))
    return path


def test_samples_are_joined_by_their_rows(workspace: Path) -> None:
    found = read_contest(Workspace(workspace))
    assert [(one.name, one.seeds) for one in found.contestants] == [(n, (0, 1)) for n in ("fair", "good", "poor")]
    assert (found.n, found.left_out, found.score, found.kind) == (59, 1, "Agreement", "outcomes")
    (poor,) = [o for o in Workspace(workspace).outcomes() if o.target.name == "poor" and o.seed == 1]
    value = poor.metric("agreement").value
    assert found.by_seed(found.contestants[2])[1] == pytest.approx(value)
    reversed_rows = read_contest(Workspace(workspace), score="row").contestants
    assert [one.values[0, :59].tolist() for one in reversed_rows] == [list(range(59))] * 3
    agreeing = read_contest(Workspace(workspace), score="target=surrogate")
    assert [agreeing.by_seed(one).tolist() for one in agreeing.contestants] == [
        found.by_seed(one).tolist() for one in found.contestants
    ]


def test_what_cannot_be_compared_is_said(workspace: Path) -> None:
    opened = Workspace(workspace)
    with pytest.raises(UsageError, match=r"no column 'surogate'.*surrogate"):
        read_contest(opened, score="target=surogate")
    with pytest.raises(UsageError, match=r"stealing\.theft"):
        read_contest(opened, method="stealing.thef")
    with pytest.raises(DataError, match="needs two contestants"):
        read_contest(opened, only="good")
    other = outcome("other", 0, 0.5, images="another set")
    opened.fresh_artefacts(other.key)
    opened.save(other, Samples(np.arange(3), outcomes={"agreement": np.ones(3)}, columns={"target": np.arange(3)}))
    assert read_contest(opened).kind == "published", "other images: the numbers as they were published"
    with pytest.raises(DataError, match="different test images and cannot be paired: choose with --only"):
        read_contest(opened, score="row")
    assert [one.name for one in read_contest(opened, only="oo").contestants] == ["good", "poor"]


def test_where_what_decides_has_no_value_another_number_is_compared(tmp_path: Path) -> None:
    opened = Workspace(tmp_path / "w")
    none = Metric(name="p_value", label="p-value", value=None, note="Too few clean networks.")
    for model, agreement in (("a", 0.5), ("b", 0.7), ("c", None)):
        one = outcome(model, 0, agreement or 0.0)
        known = [] if agreement is None else one.metrics
        opened.fresh_artefacts(one.key)
        opened.save(one.model_copy(update={"metrics": [none, *known], "verdict": UNDECIDED}), NO_SAMPLES)
    found = read_contest(opened)
    assert {one.name: one.means.mean() if one.values.size else one.metrics[0].value for one in found.contestants} == {
        "a": 0.5,
        "b": 0.7,
    }
    assert found.notes == (
        "The verdicts rest on p_value, which has no value here; compared is agreement.",
        "c (stealing.theft, seed 0) is left out: it reports no agreement.",
    )


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (3, 9), (9, 3), (10, 10), (25, 11)])
def test_mcnemar_counts_a_fair_coin(won: int, lost: int) -> None:
    assert mcnemar(won, lost) == pytest.approx(oracle.mcnemar(won, lost))


def test_sign_changes_approach_all_of_them() -> None:
    changes = np.random.default_rng(3).normal(0.3, 1, (4, 11))
    found = sign_changes(changes, seed=1)
    assert found == pytest.approx([oracle.sign_changes(list(row)) for row in changes], abs=0.015)


def test_pairs_are_tested_and_adjusted() -> None:
    generator = np.random.default_rng(1)
    base = generator.random((1, 400)) < 0.5
    better = base | (generator.random((1, 400)) < 0.2)
    found = compare(contest({"base": base, "better": better, "same": base}))
    first, same, last = found
    assert (first.first, first.second) == ("base", "better")
    assert first.difference == pytest.approx(base.mean() - better.mean())
    assert first.interval.high < 0
    assert first.only_first == 0
    assert first.p == pytest.approx(oracle.mcnemar(0, first.only_second))
    assert first.holm == pytest.approx(3 * first.p)
    assert (same.p, same.difference, same.test) == (1.0, 0.0, "McNemar, exact")
    assert last.difference == -first.difference
    seeds = compare(contest({"a": np.vstack([base, better]), "b": base}))
    assert seeds[0].test == "changes of sign"
    assert seeds[0].p < 0.001


def test_intervals_of_paired_differences_hold_their_level() -> None:
    held = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        pair = np.stack([generator.random(80) < 0.6, generator.random(80) < 0.5]).astype(float)
        drawn = resampled_means(pair, seed, 400)
        low, high = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
        held += low <= 0.1 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_ranks_their_intervals_and_tau() -> None:
    generator = np.random.default_rng(2)
    scores = {f"m{i}": generator.random((3, 300)) < share for i, share in enumerate((0.9, 0.52, 0.5, 0.1))}
    found = rank(contest(scores))
    means = [float(value.mean()) for value in scores.values()]
    assert [one.name for one in found.ranks] == [f"m{i}" for i in np.argsort(-np.array(means))]
    assert sorted(one.rank for one in found.ranks) == sorted(oracle.ranks(means))
    assert (found.ranks[0].low, found.ranks[0].high, found.ranks[0].first) == (1, 1, 1)
    assert (found.ranks[1].low, found.ranks[1].high) == (2, 3)
    assert len(found.taus) == 3
    for tau in found.taus:
        a, b = ([float(value[seed].mean()) for value in scores.values()] for seed in tau.seeds)
        assert tau.value == pytest.approx(oracle.kendall(a, b))


def test_equal_contestants_share_their_rank() -> None:
    values = np.random.default_rng(5).random((1, 50)) < 0.5
    found = rank(contest({"a": values, "b": values}))
    assert [(one.rank, one.low, one.high, one.first) for one in found.ranks] == [(1.5, 1.5, 1.5, 1.0)] * 2
    assert found.taus == []


@pytest.mark.parametrize("spread", [0.0, 0.3, 5.0])
def test_a_balanced_fit_is_the_analysis_of_variance(spread: float) -> None:
    generator = np.random.default_rng(7)
    table = generator.normal(0, spread, (8, 1)) + generator.normal(2, 1, (8, 4))
    model = fit(table.ravel(), np.ones((32, 1)), np.repeat(np.arange(8), 4))
    grand, between, within = oracle.anova(table.tolist())
    assert model.coefficients[0] == pytest.approx(grand)
    assert model.between == pytest.approx(between, rel=1e-4, abs=1e-6)
    if between:
        assert model.within == pytest.approx(within, rel=1e-4)
        assert model.covariance[0, 0] == pytest.approx(table.mean(1).var(ddof=1) / 8, rel=1e-4)
    mean, bounds = model.estimate([1.0])
    assert bounds.low < mean < bounds.high


def test_an_unbalanced_fit_is_that_of_statsmodels() -> None:
    statsmodels = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    generator = np.random.default_rng(9)
    groups = np.repeat(np.arange(6), [2, 5, 1, 4, 3, 6])
    x = np.column_stack([np.ones(21), generator.integers(0, 2, 21)])
    y = x @ [0.5, -0.2] + generator.normal(0, 0.4, 6)[groups] + generator.normal(0, 0.2, 21)
    ours, theirs = fit(y, x, groups), statsmodels.MixedLM(y, x, groups).fit(reml=True)
    assert ours.coefficients == pytest.approx(theirs.fe_params, abs=1e-5)
    assert ours.between == pytest.approx(float(theirs.cov_re[0, 0]), rel=1e-3)
    assert ours.within == pytest.approx(theirs.scale, rel=1e-3)
    same = (groups[:, None] == groups[None, :]) * ours.between + np.eye(21) * ours.within
    assert ours.covariance == pytest.approx(np.linalg.inv(x.T @ np.linalg.inv(same) @ x))


def test_too_little_for_a_fit_is_said() -> None:
    with pytest.raises(DataError, match="measured twice"):
        fit([1.0, 2.0, 3.0], np.ones((3, 1)), [0, 1, 2])
    with pytest.raises(DataError, match="needs two"):
        fit([1.0, 2.0, 3.0], np.ones((3, 1)), [0, 0, 0])
    with pytest.raises(DataError, match="too few"):
        fit([1.0, 2.0], np.eye(2), [0, 1])


def test_a_summary_tells_methods_apart() -> None:
    outcomes = [
        outcome(f"m{i}", seed, 0.4 + i / 20 + gain + seed / 100, learner=learner)
        for i in range(4)
        for seed in (0, 1)
        for learner, gain in (("soft", 0.0), ("hard", -0.1))
    ]
    found = summarise(outcomes, "agreement")
    soft, hard = found.lines
    assert (soft.name, hard.name) == ("learner=soft", "learner=hard")
    assert (soft.targets, soft.n, soft.mean) == (4, 8, pytest.approx(0.48))
    assert hard.difference == pytest.approx(-0.1)
    assert hard.difference_interval is not None
    assert hard.difference_interval.high < 0
    assert found.model.intraclass > 0.9
    with pytest.raises(UsageError, match="'agreement'"):
        summarise(outcomes, "agreemnt")


def test_a_percentile_counts_peers_of_the_same_protocol() -> None:
    own = outcome("own", 0, 0.5)
    peers = [outcome(f"m{i}", 0, i / 8) for i in range(10)]
    noise = [outcome("x", 0, 0.1, epochs=3), outcome("own", 1, 0.75), own]
    found = percentile_of(own, [*peers, *noise])
    assert (found.value, found.n) == (pytest.approx(55), 10)  # the mean of own's two seeds ties with the sixth
    assert found.metric == "agreement"
    assert isinstance(found, Percentile)
    assert 0 < found.low < 55 < found.high < 100
    failed = [one.model_copy(update={"status": "failed"}) for one in peers]
    with pytest.raises(DataError, match="0 other models"):
        percentile_of(own, failed)
    with pytest.raises(DataError, match=f"4 other models.*{FEWEST}"):
        percentile_of(own, peers[:4])
    with pytest.raises(DataError, match="no number named 'auc'"):
        percentile_of(own, peers, "auc")


def test_the_commands(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(workspace)
    assert main(["analysis", "compare", where, "--out", str(tmp_path / "c.html")]) == 0
    assert "good less poor" in (tmp_path / "c.html").read_text()
    assert main(["analysis", "ranks", where, "--out", str(tmp_path / "r.json")]) == 0
    ranks = json.loads((tmp_path / "r.json").read_text())["tables"][0]
    assert [row["name"] for row in ranks["rows"]] == ["good", "fair", "poor"]
    for i in range(5):
        opened = Workspace(workspace)
        more = outcome(f"m{i}", 0, 0.3)
        opened.fresh_artefacts(more.key)
        opened.save(more, NO_SAMPLES)
    assert main(["analysis", "summary", where, "agreement", "--out", str(tmp_path / "s.svg")]) == 0
    assert main(["analysis", "percentile", where, "good"]) == 0
    shown = capsys.readouterr().out
    assert "more stealable (by agreement) than 100 % of the 7 other models" in shown
    assert main(["analysis", "percentile", where, "god"]) == 4
    assert main(["analysis", "percentile", where, "good", "auc"]) == 4
    assert main(["analysis", "ranks", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "'good'" in error
    assert not (tmp_path / "nowhere").exists()
