"""The statistics of the gate: what the intervals are, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from assay.analysis.difference import FALSE_ALARMS, independent, paired, tail
from assay.base.intervals import auc_bounds, delong_auc, difference_of_proportions
from assay.methods.finding import Interval, Metric
from oracles.gate import exact_mcnemar
from reports.gate.cases import share

ALPHA = 0.01
"""Large enough for a simulation to see that it is kept."""


def test_one_run_errs_with_one_probability_however_many_rules_it_has() -> None:
    assert tail(1) == FALSE_ALARMS
    assert 1 - (1 - tail(40)) ** 40 <= FALSE_ALARMS


def test_shares_combine_as_newcombe_says_and_widen_exactly() -> None:
    new, old = share(30, 100), share(20, 120)
    usual = difference_of_proportions(30, 100, 20, 120)
    found = independent(new, old, 0.025)
    assert found.value == pytest.approx(0.3 - 20 / 120)
    assert (found.low, found.high) == pytest.approx((usual.low, usual.high), abs=0.012)
    none = independent(share(0, 50), share(0, 50), 0.001)
    assert none.high == pytest.approx(1 - 0.001 ** (1 / 50)), "the rule of three, at another level"
    percent = [metric.model_copy(update=_percent(metric)) for metric in (new, old)]
    assert independent(*percent, 0.001).low == pytest.approx(100 * independent(new, old, 0.001).low)


def _percent(metric: Metric) -> dict[str, object]:
    assert metric.interval is not None
    bounds = {"low": 100 * metric.interval.low, "high": 100 * metric.interval.high}
    return {"value": 100 * (metric.value or 0), "unit": "%", "interval": metric.interval.model_copy(update=bounds)}


def test_other_numbers_are_stretched_as_if_normal() -> None:
    new = Metric(name="a", label="", value=2.0, interval=Interval(low=1.02, high=2.98, method="bootstrap"))
    old = new.model_copy(update={"value": 0.0, "interval": Interval(low=-1.96, high=1.96, method="bootstrap")})
    found = independent(new, old, 0.001)
    half = 3.0902 * math.hypot(0.5, 1.0)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-3)


@given(st.integers(2, 60), st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))
def test_pairs_agree_with_an_exact_test_on_what_is_clear(both: int, gained: int, lost: int, neither: int) -> None:
    new = np.repeat([1, 1, 0, 0], [both, gained, lost, neither])
    old = np.repeat([1, 0, 1, 0], [both, gained, lost, neither])
    found = paired(new, old, 1.0, 0.001)
    assert found.low <= found.value <= found.high or found.value == pytest.approx(0, abs=1)
    if found.low > 0:
        assert exact_mcnemar(gained, lost) < 0.004
    if exact_mcnemar(gained, lost) < 0.0001:
        assert found.low > 0
    turned = paired(old, new, 1.0, 0.001)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_pairs_that_all_agree_still_leave_room() -> None:
    same = np.ones(50)
    found = paired(same, same, 1.0, 0.001)
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.0594, 0.0594), abs=1e-3)


def test_pairing_sees_what_separate_samples_do_not() -> None:
    generator = np.random.default_rng(0)
    old = (generator.random(400) < 0.5).astype(float)
    new = np.where(np.arange(400) < 40, 1.0, old)
    assert paired(new, old, 1.0, 0.001).low > 0
    assert independent(share(int(new.sum()), 400), share(int(old.sum()), 400), 0.001).low < 0


def simulated(trials: int) -> dict[str, float]:
    """How often an unchanged model seems to have risen, for each kind of number, at `ALPHA`."""
    generator = np.random.default_rng(3)
    alarms: dict[str, list[bool]] = {name: [] for name in ("share", "rare", "pairs", "means", "auc")}
    for _ in range(trials):
        for name, rate in (("share", 0.3), ("rare", 0.01)):
            hits = generator.binomial(200, rate, 2)
            alarms[name].append(independent(share(hits[0], 200), share(hits[1], 200), ALPHA).low > 0)
        hardness = generator.random((2, 200)) < generator.beta(0.3, 0.3, 200)
        alarms["pairs"].append(paired(hardness[0].astype(int), hardness[1].astype(int), 1.0, ALPHA).low > 0)
        values = generator.exponential(1, (2, 200))
        alarms["means"].append(paired(values[0], values[1], 1.0, ALPHA).low > 0)
        scores = generator.normal(0.5, 1, (2, 100)), generator.normal(0, 1, (2, 100))
        aucs = [delong_auc(scores[0][k], scores[1][k]) for k in (0, 1)]
        metrics = [
            Metric(name="auc", label="", value=auc.value, interval=Interval(**auc_bounds(auc)._asdict()))
            for auc in aucs
        ]
        alarms["auc"].append(independent(*metrics, ALPHA).low > 0)
    return {name: float(np.mean(found)) for name, found in alarms.items()}


def test_an_unchanged_model_rises_as_rarely_as_is_promised() -> None:
    trials = 1500
    allowed = ALPHA + 3.3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)
    rates = simulated(trials)
    assert {name: rate for name, rate in rates.items() if rate > allowed} == {}
    assert max(rates.values()) > 0.002, "intervals that never err are too wide to be of use"


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_shares_keep_their_promise_where_it_is_one_in_a_thousand(rate: float) -> None:
    n, alpha = 40, 1e-3
    chance = binom.pmf(np.arange(n + 1), n, rate)
    likely = np.flatnonzero(chance > 1e-9)
    wrong = sum(
        chance[a] * chance[b]
        for a in likely
        for b in likely[likely < a]
        if independent(share(int(a), n), share(int(b), n), alpha).low > 0
    )
    assert wrong <= alpha


@pytest.mark.parametrize("changing", [0.1, 0.3])
def test_pairs_keep_their_promise_where_it_is_one_in_a_thousand(changing: float) -> None:
    n, alpha, wrong = 100, 1e-3, 0.0
    for changed in np.flatnonzero(binom.pmf(np.arange(n + 1), n, changing) > 1e-9):
        for gained in range(int(changed) + 1):
            counts = [gained, changed - gained, n - changed]
            found = paired(np.repeat([1, 0, 1], counts), np.repeat([0, 1, 1], counts), 1.0, alpha)
            if found.low > 0:
                wrong += float(binom.pmf(changed, n, changing) * binom.pmf(gained, changed, 0.5))
    assert 0.1 * alpha < wrong <= 1.2 * alpha, "the normal approximation may err by a fifth, and does not"
