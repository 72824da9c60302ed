"""The answer to each question, from the outcomes of its methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from assay.base.frozen import Frozen
from assay.methods.metric import Family, Metric, Verdict
from assay.reports.wording import QUESTIONS, AnswerLevel, listed
from assay.studies.outcome import Outcome

RANK: Mapping[AnswerLevel, int] = {"low": 0, "undecided": 1, "elevated": 2, "high": 3}
"""One method that found little does not settle what another had to leave open."""

WEAK = -1
"""The rank of a verdict that is `Verdict.weak`: it neither clears the model nor stands against who does."""


class Answer(Frozen):
    """The answer to one question.

    ``level`` is the worst that a method found, where *undecided* is worse than *low*; of equal levels the number
    decides that is the riskiest on its own scale (`Metric.position`). Weak verdicts (`Verdict.weak`) count only where
    there are no others; ``not assessed`` means that no method finished. ``decided_by`` is the key of the outcome that
    ``metric`` and ``sentence`` are taken from. ``done`` counts finished methods, of which ``undecided`` could not
    decide; of both, those whose verdict is about another question do not count (see `Verdict.answers`).
    """

    family: Family
    question: str
    level: AnswerLevel
    sentence: str
    metric: Metric | None = None
    decided_by: str | None = None
    done: int
    undecided: int
    failed: int
    skipped: int


def answer(family: Family, outcomes: Sequence[Outcome]) -> Answer:
    """The answer to a family's question from outcomes of its methods."""
    judged = [
        _Judged(outcome, outcome.verdict, verdict_metric(outcome))
        for outcome in outcomes
        if outcome.status == "done" and outcome.verdict and outcome.verdict.answers
    ]
    beside = sum(outcome.status == "done" for outcome in outcomes) - len(judged)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    worst = max(judged, key=_Judged.risk, default=None)
    return Answer(
        family=family,
        question=QUESTIONS[family],
        level=worst.verdict.level if worst else "not assessed",
        sentence=worst.verdict.sentence if worst else _unassessed(failed, skipped, beside),
        metric=worst.metric if worst else None,
        decided_by=worst.outcome.key if worst else None,
        done=len(judged),
        undecided=sum(one.verdict.level == "undecided" for one in judged),
        failed=failed,
        skipped=skipped,
    )


def verdict_metric(outcome: Outcome) -> Metric | None:
    """The metric that a finished outcome's verdict rests on; None where its method did not report it."""
    name = outcome.verdict.metric if outcome.verdict else None
    return next((metric for metric in outcome.metrics if metric.name == name), None)


class _Judged(NamedTuple):
    outcome: Outcome
    verdict: Verdict
    metric: Metric | None

    def risk(self) -> tuple[int, float]:
        """What the worst method has most of: its level, then how far its verdict's number lies on its scale."""
        position = self.metric.position if self.metric is not None else -math.inf
        return WEAK if self.verdict.weak else RANK[self.verdict.level], position


def _unassessed(failed: int, skipped: int, beside: int) -> str:
    counted = ((failed, "failed"), (skipped, "did not apply"), (beside, "answered another question"))
    happened = [f"{number} {verb}" for number, verb in counted if number]
    if not happened:
        return "No method of this kind was run."
    return f"No method {'settled it' if beside else 'finished'}: {listed(happened)}."
