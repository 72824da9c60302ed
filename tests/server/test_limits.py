from __future__ import annotations

import pytest

from assay.server import limits
from assay.server.limits import Bucket, Gauge, Guesses
from assay.server.refusal import Refused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(rate=2.0, capacity=3.0, now=clock)
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take() == pytest.approx(0.5)
    clock.now = 0.5
    assert bucket.take() == 0.0
    assert bucket.take() == pytest.approx(0.5)
    clock.now = 1e6
    assert [bucket.take() > 0 for _ in range(4)] == [False, False, False, True]


def test_wrong_keys_are_counted_by_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    guesses = Guesses(clock)
    assert [guesses.note("a") > 0 for _ in range(12)] == [False] * 10 + [True] * 2
    assert guesses.note("b") == 0
    clock.now = limits.WRONG_KEY_SECONDS
    assert [guesses.note("a") > 0 for _ in range(2)] == [False, True]
    monkeypatch.setattr(limits, "PEERS", 2)
    assert [guesses.note(peer) for peer in "cdc"] == [0, 0, 0]
    assert guesses.note("a") == 0  # forgotten: the two latest are c and d


def test_a_gauge_within_another_takes_from_both() -> None:
    whole = Gauge(10)
    one, two = Gauge(6, whole), Gauge(6, whole)
    one.add(6)
    with pytest.raises(Refused):
        one.add(1)
    with pytest.raises(Refused):
        two.add(5)
    assert (one.held, two.held, whole.held) == (6, 0, 6)
    with two.holding(4):
        assert whole.held == 10
    one.release(6)
    assert (one.held, two.held, whole.held) == (0, 0, 0)
