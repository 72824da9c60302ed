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
from assay.methods.finding import Verdict
from assay.methods.siblings.attackers import NOTHING
from assay.methods.siblings.campaigns import Campaign, charge
from assay.methods.siblings.risk_report import Hands, query_curves, risk_table, risk_verdict
from assay.methods.siblings.savings import cheapest, costs, gains, saving, using
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
    return risk(digits(), workspace, independent="starter/digits-cnn-wide, starter/digits-resnet", sibling="int8")


def test_failures_count_the_whole_cap():
    assert charge(
        QueryResult(torch.zeros(3, 1, 1, 1), np.array([True, False, True]), np.array([3, 40, 100])), 100
    ).tolist() == [3, 100, 100]


@settings(max_examples=40, deadline=None)
@given(
    costly=st.lists(st.lists(st.integers(1, 50), min_size=4, max_size=4), min_size=1, max_size=3),
    cheap=st.lists(st.lists(st.integers(1, 50), min_size=4, max_size=4), min_size=1, max_size=3),
)
def test_gains_are_of_the_least_medians_and_the_most_success(costly, cheap):
    without, having = (
        [campaign("gfcs", str(number), row, [value % 3 > 0 for value in row]) for number, row in enumerate(rows)]
        for rows in (costly, cheap)
    )
    charged = [[each.result.queries * each.result.success + 51 * ~each.result.success for each in those]
               for those in (without, having)]  # fmt: skip
    found = gains(without, having, 51, 0)
    one, other = [[list(map(int, row)) for row in rows] for rows in charged]
    assert found.saving.value == pytest.approx(ratio_slowly(one, other))
    assert found.questions_saved.value == pytest.approx(min(map(np.median, one)) - min(map(np.median, other)))
    best = [max(sum(each.result.success) / 4 for each in those) for those in (without, having)]
    assert found.success_gained.value == pytest.approx(best[1] - best[0])
    for metric in found:
        assert metric.interval is not None
        assert metric.interval.low <= metric.value + 1e-9
        assert metric.interval.high >= metric.value - 1e-9


def test_a_baseline_that_half_withstand_is_a_lower_bound():
    held = np.full((6, 1), 100)
    assert "lower bound" in saving(held, held // 10, 0, "saving", "", 100).note
    assert saving(held, held // 10, 0, "saving", "", 101).note == ""


def verdict(without: list[Campaign], sibling: Campaign, independent: bool = True, cap: int = 1000) -> Verdict:
    words = {each.prior: f"the {each.prior} thing" for each in without}
    hands = Hands(words, [sibling.prior], "its sibling", independent)
    campaigns = [*without, sibling]
    return risk_verdict(gains(without, campaigns, cap, 0), campaigns, hands, "changes little", cap)


@pytest.mark.parametrize(("cheap", "level"), [(2, "high"), (25, "elevated"), (90, "low"), (150, "low")])
def test_levels(cheap, level):
    said = verdict(
        [campaign("gfcs", "no prior", [300] * 50, [True] * 50), campaign("gfcs", "other", [100] * 50, [True] * 50)],
        campaign("gfcs", "sibling", [cheap] * 50, [True] * 50),
    )
    assert (said.level, said.metric) == (level, "saving")
    # Whoever has a sibling that helps nothing goes on with what he had.
    assert (
        "With the other thing in hand an attacker who changes little needs a median of 100 questions" in said.sentence
    )
    assert f"with its sibling {min(cheap, 100)}: it saves {max(100 - cheap, 0)} (" in said.sentence
    assert f"{100 / min(cheap, 100):.3g} times (" in said.sentence


def test_without_an_independent_network_nothing_is_high():
    nothing = campaign("gfcs", "no prior", [300] * 50, [True] * 50)
    said = verdict([nothing], campaign("gfcs", "sibling", [2] * 50, [True] * 50), independent=False)
    assert said.level == "elevated"
    assert "No independent network" in said.sentence
    low = verdict([nothing], campaign("gfcs", "sibling", [290] * 50, [True] * 50), independent=False)
    assert low.level == "low"
    assert "No independent" not in low.sentence


def test_images_that_only_the_sibling_fells_count_where_the_median_hides_them():
    """Four images in ten withstand any other network, which no median shows."""
    falls = [number % 10 < 6 for number in range(100)]
    said = verdict(
        [campaign("gfcs", "independent", [3] * 100, falls)], campaign("gfcs", "sibling", [3] * 100, [True] * 100)
    )
    assert (said.level, said.metric) == ("high", "success_gained")
    assert "Of the images 40.0 %" in said.sentence
    assert "1 times (95 % interval 1 to 1) cheaper" in said.sentence


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
    assert costs(using(campaigns, ["sibling"]), 100).tolist() == [[2], [2], [3], [4]]
    assert cheapest(campaigns, 100).prior == "sibling"


def test_every_prior_meets_the_same_images(outcome: Outcome, workspace: Workspace):
    assert outcome.status == "done", outcome.reason
    samples = read_samples(workspace.artefacts(outcome.key) / SAMPLES)
    test = digits().splits.non_members
    assert test is not None
    module = digits().module
    assert module is not None
    rows = samples.row
    assert (module(test.take(rows)).argmax(1).numpy() == test.labels[rows]).all()
    hands = (NOTHING, "independent", "independent 2", "ensemble", "stolen surrogate", "sibling")
    expected = [("square", NOTHING)] + [(attack, prior) for attack in ("p-rgf", "gfcs") for prior in hands]
    expected += [("transfer", prior) for prior in hands[1:]]
    assert sum(metric.name.startswith("median_queries_") for metric in outcome.metrics) == len(expected)
    for attack, prior in expected:
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
    assert outcome.metric("saving").value < outcome.metric("saving_over_no_prior").value
    assert "in hand an attacker who changes an image by an L2 length" in outcome.verdict.sentence
    assert "No independent network" not in outcome.verdict.sentence
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
