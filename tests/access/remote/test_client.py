"""No question is charged twice or lost, and the budget is never exceeded, whatever fails and when."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from access.remote.doubles import Fake, images, truth
from assay.access.remote.client import Client
from assay.access.remote.failures import DeniedError, LostError
from assay.access.remote.write_ahead import Receipts
from assay.access.store import image_keys
from assay.base.errors import AccessError, BudgetError, DataError, TransientError


def client(service: Fake, folder: Path, budget: int | None = None, price: float = 2.0) -> Client:
    return Client(service, Receipts(folder / "s.sqlite"), price_per_1000=price, budget=budget)


def test_answers_are_the_services_in_order_and_every_image_is_asked_once(tmp_path: Path) -> None:
    service, pixels = Fake(), images(23)
    asking = client(service, tmp_path)
    twice = torch.cat([pixels, pixels[:5]])
    assert np.array_equal(asking.ask(twice), truth(twice))
    assert np.array_equal(asking.ask(pixels[3:9]), truth(pixels[3:9]))
    assert sum(service.charged.values()) == 23
    total = asking.receipts.totals()
    assert (total.images, total.answered, total.requests, total.price) == (23, 23, 6, pytest.approx(0.046))
    assert np.array_equal(client(Fake(), tmp_path).ask(pixels), truth(pixels)), "a new process remembers"


def test_the_budget_is_never_exceeded_by_one(tmp_path: Path) -> None:
    service, pixels = Fake(), images(11)
    asking = client(service, tmp_path, budget=10)
    with pytest.raises(BudgetError, match="budget is 10 images, 0 are spent; 11 more are refused"):
        asking.ask(pixels)
    assert service.requests == []
    asking.ask(pixels[:10])
    with pytest.raises(BudgetError, match="1 more are refused"):
        asking.ask(pixels)
    with pytest.raises(BudgetError):
        client(service, tmp_path, budget=10).ask(pixels[10:])
    client(service, tmp_path, budget=11).ask(pixels)
    assert sum(service.charged.values()) == 11


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer_is_asked_for_under_the_same_id(tmp_path: Path, moment: str) -> None:
    service = Fake()
    left = [LostError("gone"), TransientError("busy"), LostError("gone")]
    service.plan = lambda when: left.pop() if when == moment and left else None
    asking = client(service, tmp_path, budget=4)
    assert np.array_equal(asking.ask(images(4)), truth(images(4)))
    assert len(service.requests) == 4
    assert len(set(service.requests)) == 1
    assert asking.receipts.totals().images == sum(service.charged.values()) == 4


def test_without_idempotency_a_lost_answer_counts_as_spent(tmp_path: Path) -> None:
    service = Fake()
    service.idempotent = False
    left = [LostError("gone")]
    service.plan = lambda when: left.pop() if when == "after" and left else None
    asking = client(service, tmp_path, budget=8)
    assert np.array_equal(asking.ask(images(4)), truth(images(4)))
    total = asking.receipts.totals()
    assert (total.images, total.answered, total.lost) == (8, 4, 4)
    assert sum(service.charged.values()) == 8
    left.append(LostError("gone"))
    with pytest.raises(BudgetError):
        client(service, tmp_path, budget=10).ask(images(4, seed=1))
    assert len(service.requests) == 2, "nothing left, for nothing was affordable"


def test_a_refusal_for_the_moment_costs_nothing(tmp_path: Path) -> None:
    service = Fake()
    service.idempotent = False
    left = [TransientError("busy")] * 3
    service.plan = lambda when: left.pop() if when == "before" and left else None
    asking = client(service, tmp_path, budget=4)
    asking.ask(images(4))
    assert asking.receipts.totals().images == sum(service.charged.values()) == 4


def test_a_service_that_keeps_failing_is_given_up_and_taken_up_again(tmp_path: Path) -> None:
    service, pixels = Fake(), images(12)
    service.concurrency = 1
    service.plan = lambda when: LostError("gone") if len(set(service.requests)) == 2 else None
    asking = client(service, tmp_path, budget=12)
    with pytest.raises(AccessError, match=r"5 times in a row \(gone\)"):
        asking.ask(pixels)
    assert asking.receipts.totals()[:3] == (8, 4, 4)
    service.plan = lambda when: None
    assert np.array_equal(client(service, tmp_path, budget=12).ask(pixels), truth(pixels))
    assert sum(service.charged.values()) == 12
    assert len(set(service.requests)) == 3


def test_a_revoked_key_stops_at_once_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    service, pixels = Fake(), images(40)
    service.concurrency = 1
    service.plan = lambda when: DeniedError("revoked") if when == "before" and len(service.requests) > 3 else None
    asking = client(service, tmp_path)
    with pytest.raises(DeniedError):
        asking.ask(pixels)
    assert len(service.requests) == 4
    assert asking.receipts.totals().images == sum(service.charged.values()) == 12
    service.plan = lambda when: None
    asking.ask(pixels)
    assert sum(service.charged.values()) == 40


def test_an_answer_that_is_not_understood_was_paid_for(tmp_path: Path) -> None:
    service = Fake()
    service.plan = lambda when: DataError("text for numbers") if when == "after" else None
    asking = client(service, tmp_path)
    with pytest.raises(DataError):
        asking.ask(images(4))
    assert asking.receipts.totals().images == 4
    service.plan = lambda when: None
    service.classes = ("a", "b")
    with pytest.raises(DataError, match="4x3 numbers to 4 inputs; 2 classes"):
        asking.ask(images(4, seed=1))


def test_what_another_state_of_the_service_answered_is_not_given_out(tmp_path: Path) -> None:
    old, new = Fake(), Fake()
    client(old, tmp_path, budget=8).ask(images(4))
    new.output = "top-k"
    client(new, tmp_path, budget=8).ask(images(4))
    assert sum(new.charged.values()) == 4
    with pytest.raises(BudgetError, match="8 are spent"):
        client(new, tmp_path, budget=8).ask(images(1, seed=3))


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the client may catch it and write something down."""


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_kills_at_random_moments_lose_nothing_and_charge_nothing_twice(
    tmp_path: Path, seed: int, idempotent: bool
) -> None:
    dice, pixels, service = random.Random(seed), images(40, seed), Fake()
    service.idempotent = idempotent
    budget = 40 if idempotent else 400

    calls = 0

    def plan(when: str) -> BaseException | None:
        nonlocal calls
        calls += 1
        if calls == 9:
            return Killed()
        failures = [LostError("gone"), Killed()] + ([TransientError("busy")] if when == "before" else [])
        return dice.choice(failures) if dice.random() < 0.3 else None

    service.plan = plan
    kills = 0
    while True:
        asking = client(service, tmp_path, budget)
        try:
            answers = asking.ask(pixels)
            break
        except Killed:
            kills += 1
        except AccessError:
            pass
        total = asking.receipts.totals()
        assert sum(service.charged.values()) <= total.images <= budget
    assert kills > 0
    assert np.array_equal(answers, truth(pixels))
    total = asking.receipts.totals()
    assert (total.answered, total.pending) == (40, 0)
    if idempotent:
        assert total.images == sum(service.charged.values()) == 40
    else:
        assert sum(service.charged.values()) <= total.images <= budget


def test_two_users_of_a_ledger_ask_nothing_twice(tmp_path: Path) -> None:
    service, pixels = Fake(), images(60)
    users = [threading.Thread(target=client(service, tmp_path, budget=60).ask, args=(pixels,)) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert sum(service.charged.values()) == 60


def test_a_pending_request_comes_back_as_it_was(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "s.sqlite")
    for pixels in (images(3), torch.rand(2, 1, 4, 4)):
        receipts.intend("i", image_keys(pixels), pixels, 0.0, None)
    first, second = Receipts(tmp_path / "s.sqlite").pending()
    assert torch.equal(first.pixels, images(3))
    assert second.keys.tobytes() == image_keys(second.pixels).tobytes()
