"""One target's report as data: assembled from its outcomes and nothing else, so that it can be made again at will."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from assay.base.errors import NothingAssessedError, WorkspaceError
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.methods.metric import FAMILIES, OPTIONAL, Family, Level, Metric, Verdict
from assay.reports.wording import QUESTIONS, AnswerLevel, listed, summary
from assay.studies.outcome import Outcome, TargetFacts

SCHEMA_VERSION = 1

RANK: dict[Level, int] = {"low": 0, "undecided": 1, "elevated": 2, "high": 3}
"""One method that found little does not settle what another had to leave open."""


class Answer(Frozen):
    """The answer to one question.

    ``level`` is the worst that a method found; of equal levels the number decides that is the riskiest on its own scale
    (`Metric.position`). Methods that could not decide count only where none did; ``not assessed`` means that none
    finished. ``decided_by`` is the key of the outcome that ``metric`` and ``sentence`` are taken from. ``done`` counts
    finished methods, of which ``undecided`` could not decide; of both, those whose verdict is about another question
    do not count (see `Verdict.answers`).
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


class Report(Frozen):
    """Everything that a reader is shown of one target. ``report.json`` is this model, dumped.

    ``answers`` has one entry per family, those of `OPTIONAL` families only where a method of theirs was run.
    ``outcomes`` are sorted by family, the finished first.
    ``measured_from`` and ``measured_until`` span the trials.
    """

    schema_version: int = SCHEMA_VERSION
    target: TargetFacts
    measured_from: datetime
    measured_until: datetime
    summary: str
    answers: list[Answer]
    outcomes: list[Outcome]

    def of(self, family: Family) -> list[Outcome]:
        """The finished outcomes of a family."""
        return [outcome for outcome in self.outcomes if outcome.method.family == family and outcome.status == "done"]

    @property
    def unfinished(self) -> list[Outcome]:
        """What failed or was skipped."""
        return [outcome for outcome in self.outcomes if outcome.status != "done"]

    def deciding(self, answer: Answer) -> Outcome | None:
        """The outcome that an answer was taken from."""
        return next((outcome for outcome in self.outcomes if outcome.key == answer.decided_by), None)


def assemble(outcomes: Sequence[Outcome]) -> Report:
    """The report of one target; the order of the outcomes does not matter.

    Raises:
        NothingAssessedError: if there is no outcome.
        ValueError: if the outcomes are of several targets.
    """
    if not outcomes:
        raise NothingAssessedError("There is no outcome to report.")
    if len({outcome.target.digest for outcome in outcomes}) > 1:
        raise ValueError("a report is about one target")
    ordered = sorted(outcomes, key=_order)
    by_family = {family: [o for o in ordered if o.method.family == family] for family in FAMILIES}
    answers = [_answer(family, them) for family, them in by_family.items() if them or family not in OPTIONAL]
    target = ordered[0].target
    return Report(
        target=target,
        measured_from=min(o.started for o in ordered),
        measured_until=max(o.started + timedelta(seconds=o.seconds) for o in ordered),
        summary=_doubt(ordered) + summary(target.name, {answer.family: answer.level for answer in answers}),
        answers=answers,
        outcomes=ordered,
    )


def _doubt(outcomes: Sequence[Outcome]) -> str:
    """What is to be settled before anything below is read, where the model itself is in doubt."""
    doubts = (outcome.target.sanity.doubt for outcome in outcomes if outcome.target.sanity is not None)
    found = next((doubt for doubt in doubts if doubt), "")
    return f"First: {found[0].lower()}{found[1:]} Until that is settled, nothing is called low. " if found else ""


def save(path: Path, text: str) -> None:
    """Write a report's file whole or not at all, and make its folder.

    Raises:
        WorkspaceError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise WorkspaceError(f"The report {path} cannot be written: {error.strerror or error}.") from error


def write_json(report: Report, path: Path) -> None:
    """Write ``report.json``.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    save(path, report.model_dump_json(indent=1) + "\n")


def verdict_metric(outcome: Outcome) -> Metric | None:
    """The metric that a finished outcome's verdict rests on; None where its method did not report it."""
    name = outcome.verdict.metric if outcome.verdict else None
    return next((metric for metric in outcome.metrics if metric.name == name), None)


def _order(outcome: Outcome) -> tuple[Any, ...]:
    status = ("done", "failed", "skipped").index(outcome.status)
    method = outcome.method
    return FAMILIES.index(method.family), status, method.title, method.name, outcome.seed, outcome.key


def _answer(family: Family, outcomes: list[Outcome]) -> Answer:
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


class _Judged(NamedTuple):
    outcome: Outcome
    verdict: Verdict
    metric: Metric | None

    def risk(self) -> tuple[int, float]:
        """What the worst method has most of: its level, then how far its verdict's number lies on its scale."""
        position = self.metric.position if self.metric is not None else -math.inf
        return RANK[self.verdict.level], position


def _unassessed(failed: int, skipped: int, beside: int) -> str:
    counted = ((failed, "failed"), (skipped, "did not apply"), (beside, "answered another question"))
    happened = [f"{number} {verb}" for number, verb in counted if number]
    if not happened:
        return "No method of this kind was run."
    return f"No method {'settled it' if beside else 'finished'}: {listed(happened)}."
