"""The benchmark's own parts; no published implementation is needed."""

from argparse import Namespace

import numpy as np
import pytest

from benchmarks.membership import peers as membership_peers
from benchmarks.membership.peers import CONTESTS, Run, hold

OPTIONS = Namespace(repeats=3, seeds=2, size=0.002, peers="nowhere", art_python="nowhere")


def test_mean_and_median_are_the_same_in_the_arrays_for_leakpro():
    arrays = CONTESTS["lira"].arrays(np.random.default_rng(0), 0.002)
    for kind in (arrays["inside"], ~arrays["inside"]):
        values = np.sort(np.where(kind, arrays["shadows"], np.inf), axis=0)[:32]
        assert np.median(values, axis=0) == pytest.approx(values.mean(axis=0), abs=1e-12)
        assert values.std(axis=0).min() > 0.1


def test_every_contest_has_its_contestants_and_arrays_of_the_size_asked_for():
    from benchmarks.membership.contestants import CONTESTANTS

    for contest in CONTESTS.values():
        assert {*contest.ours, contest.peer} <= set(CONTESTANTS)
        assert max(array.size for array in contest.arrays(np.random.default_rng(0), 0.002).values()) < 20_000


def test_unequal_scores_are_not_compared(monkeypatch):
    def fake(name, *_):
        return Run({"scores": np.array([1.0, 2.0 + 1e-6 * name.startswith("ours")])}, [1.0, 3.0, 2.0], 5.0)

    monkeypatch.setattr(membership_peers, "run", fake)
    with pytest.raises(SystemExit, match=r"are 1e-06 apart; nothing is compared"):
        hold("lira", OPTIONS)


@pytest.mark.parametrize(("ours", "passes"), [(0.6, False), (0.694, False), (0.696, True), (0.8, True)])
def test_an_auc_may_be_higher_and_not_much_lower(ours, passes, monkeypatch):
    monkeypatch.setattr(
        membership_peers,
        "run",
        lambda name, *_: Run({"auc": np.array(ours if name.startswith("ours") else 0.7)}, [1.0], 0.0),
    )
    if passes:
        assert hold("mlp", OPTIONS)[0]["largest_difference"] == pytest.approx(0.7 - ours)
    else:
        with pytest.raises(SystemExit):
            hold("mlp", OPTIONS)


def test_a_contest_is_summed_up(monkeypatch):
    seconds = {"ART mlp": 40.0, "ours mlp": 2.0}

    def fake(name, *_):
        return Run({"auc": np.array(0.7)}, [seconds.get(name, 5.0)], 5.0)

    monkeypatch.setattr(membership_peers, "run", fake)
    rows = hold("mlp", OPTIONS)
    assert [(row["contestant"], row["peer_over_this"]) for row in rows] == [
        ("ours mlp", 20.0), ("ours mlp, batches of 100", 8.0), ("ours mlp, batches of 100, 100 epochs", 8.0),
        ("ART mlp", 1.0),
    ]  # fmt: skip
    assert rows[0]["mean_auc"] == pytest.approx(0.7)


def test_a_peer_that_is_not_there_is_named(capsys):
    assert hold("lira", OPTIONS) == []
    assert "skipped: LeakPro lira: " in capsys.readouterr().out
