"""What a sibling saves: the same images for everyone, never more than the cap, and ratios that mean what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Serving
from assay.base.errors import UsageError
from assay.data.images import ArrayImages, Subset
from assay.methods.evasion.queries import QueryResult
from assay.methods.siblings.campaigns import NOTHING, Campaign, charge
from assay.methods.siblings.risk_report import query_curves, risk_table, risk_verdict
from assay.methods.siblings.savings import costs, saving
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from assay.studies.samples import SAMPLES, read_samples
from assay.targets.target import Target
from methods.siblings.pairs import digits
from oracles.siblings import ratio_slowly

torch.set_num_threads(1)
OPTIONS = {"max_images": 12, "max_queries": 150, "surrogate": {"epochs": 3}}


def campaign(attack: str, prior: str, queries: list[int], success: list[bool]) -> Campaign:
    result = QueryResult(torch.zeros(len(queries), 1, 2, 2), np.array(success), np.array(queries))
    return Campaign(attack, prior, result)  # type: ignore[arg-type]


def risk(target: Target, workspace: Workspace, serving: Serving | None = None, **options: object) -> Outcome:
    method = make_method("siblings.risk", None, {**OPTIONS, **options})
    return run_trials([Trial(target, method, serving or Serving(), 1)], workspace).outcomes[0]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("risk") / "w")


@pytest.fixture(scope="module")
def outcome(workspace: Workspace) -> Outcome:
    return risk(digits(), workspace, independent="starter/digits-cnn-wide", sibling="int8")


def test_failures_count_the_whole_cap():
    assert charge(
        QueryResult(torch.zeros(3, 1, 1, 1), np.array([True, False, True]), np.array([3, 40, 100])), 100
    ).tolist() == [3, 100, 100]


@settings(max_examples=40, deadline=None)
@given(
    costly=st.lists(st.lists(st.integers(1, 50), min_size=4, max_size=4), min_size=1, max_size=3),
    cheap=st.lists(st.lists(st.integers(1, 50), min_size=4, max_size=4), min_size=1, max_size=3),
)
def test_a_saving_is_a_ratio_of_the_least_medians(costly, cheap):
    found = saving(np.array(costly).T, np.array(cheap).T, 0, "saving", "", 51)
    assert found.value == pytest.approx(ratio_slowly(costly, cheap))
    assert found.interval is not None
    assert found.interval.low <= found.value + 1e-9
    assert found.interval.high >= found.value - 1e-9


def test_a_baseline_that_half_withstand_is_a_lower_bound():
    held = np.full((6, 1), 100)
    assert "lower bound" in saving(held, held // 10, 0, "saving", "", 100).note
    assert saving(held, held // 10, 0, "saving", "", 101).note == ""


@pytest.mark.parametrize(("cheap", "level"), [(2, "high"), (25, "elevated"), (90, "low")])
def test_levels(cheap, level):
    costly = np.full((50, 1), 100)
    found = saving(costly, np.full((50, 1), cheap), 0, "saving", "", 1000)
    said = risk_verdict([found], "the sibling", (100, cheap), "changes little")
    assert said.level == level
    assert f"{100 / cheap:.1f} times" in said.sentence


def test_curves_and_table_count_every_image():
    campaigns = [
        campaign("p-rgf", NOTHING, [10, 20, 30, 100], [True, True, True, False]),
        campaign("p-rgf", "sibling", [2, 2, 3, 4], [True] * 4),
    ]
    curves = {series.name: dict(zip(series.x, series.y, strict=True)) for series in query_curves(campaigns, 100).series}
    assert curves["p-rgf, sibling"][4.0] == 1.0
    assert curves["p-rgf, no prior"][100.0] == 0.75
    assert list(curves["p-rgf, no prior"].values()) == sorted(curves["p-rgf, no prior"].values())
    assert risk_table(campaigns, 100).rows[0] == ["p-rgf", NOTHING, 0.75, 25.0, 40.0, 20.0]
    assert costs(campaigns, "sibling", 100).tolist() == [[2], [2], [3], [4]]


def test_every_prior_meets_the_same_images(outcome: Outcome, workspace: Workspace):
    assert outcome.status == "done", outcome.reason
    samples = read_samples(workspace.artefacts(outcome.key) / SAMPLES)
    test = digits().splits.non_members
    assert test is not None
    module = digits().module
    assert module is not None
    rows = samples.row
    assert (module(test.take(rows)).argmax(1).numpy() == test.labels[rows]).all()
    for attack, prior in [("square", NOTHING)] + [
        (attack, prior)
        for attack in ("p-rgf", "gfcs")
        for prior in (NOTHING, "independent", "stolen surrogate", "sibling")
    ]:
        name = f"{attack}_{prior}".replace(" ", "_")
        queries, success = samples[f"queries_{name}"], samples[f"success_{name}"]
        assert queries.max() <= 150
        assert queries.min() >= 1
        metric = outcome.metric(f"median_queries_{name}")
        assert metric.value == np.median(np.where(success, queries, 150))


def test_a_close_sibling_saves_questions(outcome: Outcome):
    for attack in ("p-rgf", "gfcs"):
        assert outcome.metric(f"saving_{attack}").value > 2.0
        stolen, own = (outcome.metric(f"mean_queries_{attack}_{prior}").value for prior in ("no_prior", "sibling"))
        assert own < stolen
    assert outcome.verdict is not None
    assert "Publishing" in outcome.verdict.sentence
    assert {figure.kind for figure in outcome.figures} == {"table", "lines", "gallery"}


def test_a_sibling_with_other_preprocessing_is_doubted(workspace: Workspace, tmp_path):
    target = digits()
    source = target.facts["sha256"]
    from pathlib import Path

    import assay.catalogue as package

    weights = Path(package.__file__).parent / "starter" / "digits-cnn.safetensors"
    assert source
    (tmp_path / "wrong.toml").write_text(
        f'weights = "{weights}"\narchitecture = "digits-cnn"\nnum_classes = 10\ninput_shape = [1, 8, 8]\n'
        "[preprocessing]\nscale = -1.0\nmean = [-1.0]\n"
    )
    found = risk(target, workspace, sibling=str(tmp_path / "wrong.toml"), surrogate=None, attacks=["gfcs"])
    assert found.verdict is not None
    assert "preprocessing" in found.verdict.sentence


def test_no_image_is_right(workspace: Workspace):
    target = digits()
    test = target.splits.non_members
    assert test is not None
    images = test.take(np.arange(60)).numpy()
    wrong = ArrayImages(images, (test.labels[:60] + 1) % 10, "wrong labels")
    module = target.module
    assert module is not None
    wrong = Subset(wrong, np.flatnonzero(module(torch.from_numpy(images)).argmax(1).numpy() != wrong.labels))  # type: ignore[assignment]
    found = risk(replace(target, splits=target.splits._replace(non_members=wrong)), workspace, surrogate=None)
    assert found.status == "failed"
    assert "nothing to evade" in found.reason


def test_a_budget_bounds_the_images(workspace: Workspace):
    found = risk(digits(), workspace, Serving(budget=2 * 3 * 150), surrogate=None, attacks=["gfcs"])
    assert found.status == "done", found.reason
    assert found.spent.images <= 900
    assert found.metric("agreement").n == 2
    refused = risk(digits(), workspace, Serving(budget=100), surrogate=None)
    assert "budget" in refused.reason


def test_labels_alone_are_refused(workspace: Workspace):
    found = risk(digits(), workspace, Serving(output="label"), surrogate=None)
    assert found.status == "skipped"
    assert "posteriors" in found.reason


@pytest.mark.parametrize("sibling", ["int8=layer", "prune=3", "int8+nothing"])
def test_bad_compressions_are_named_before_anything_runs(sibling: str):
    with pytest.raises(UsageError, match=r"siblings\.risk cannot be run"):
        make_method("siblings.risk", None, {"sibling": sibling})
