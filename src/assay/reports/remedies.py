"""The cheapest change that was measured to turn a bad answer to a better one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from shlex import quote

from assay.base.frozen import Frozen
from assay.methods.metric import Family, Metric
from assay.reports.answers import RANK, Answer, answer
from assay.reports.format import count
from assay.reports.wording import AnswerLevel, listed
from assay.studies.changes import Change, MeasuredChange, with_labels
from assay.studies.outcome import Outcome
from assay.studies.promise import Bad, holds

PROFILE_BEHIND_INTERFACE = "paid-api"


class Tried(Frozen):
    """One change: the answer behind it, and what it costs.

    ``level`` is the worst that the family's answer becomes with any of the seeds that it was measured with, by
    ``metric`` and ``sentence``; ``not assessed`` where it was not measured, for the reason in ``sentence``. ``levels``
    has each seed's, the audit's own first. ``shown`` says that it was not only missed but can be promised: see
    `assay.studies.promise.holds`. ``cost`` is what honest users lose (see `MeasuredChange`).
    """

    name: str
    title: str
    level: AnswerLevel
    sentence: str
    metric: Metric | None = None
    levels: list[AnswerLevel] = []
    shown: bool = False
    cost: list[Metric] = []
    command: str


class Remedy(Frozen):
    """What was tried against one elevated or high answer.

    ``before`` is the answer's level. ``cheapest`` is the change that costs least of those that were shown to turn it,
    or where none was, of those behind which it is no longer shown; None where it stayed behind every change that was
    measured. ``tried`` holds all, the cheapest first.
    """

    family: Family
    before: AnswerLevel
    cheapest: Tried | None = None
    tried: list[Tried] = []

    @property
    def sentence(self) -> str:
        """What to do, in a sentence or two."""
        if self.cheapest is None:
            measured = [one.name for one in self.tried if one.level != "not assessed"]
            left = len(self.tried) - len(measured)
            more = f" {left} more did not fit into the time." if left else ""
            if not measured:
                return f"No change to how it is served could be measured.{more}"
            names = ", ".join(measured)
            return f"No change that was measured turns this (tried: {names}).{more}"
        kept = [text for metric in self.cheapest.cost if (text := _cost(metric))]
        costs = f" Cost: {listed(kept)}." if kept else ""
        title = f"{self.cheapest.title[0].upper()}{self.cheapest.title[1:]}"
        if self.cheapest.shown:
            seeds = count(len(self.cheapest.levels), "seed")
            return f"{title}: measured to turn {self.before} to {self.cheapest.level}, with {seeds}.{costs}"
        return (
            f"{title}: {self.before} is no longer shown then, nor shown to be gone ({self._found()}; another seed may "
            f"show it again).{costs}"
        )

    def _found(self) -> str:
        levels: list[str] = [*self.cheapest.levels] if self.cheapest else []
        return f"{levels[0]} with one seed" if len(levels) == 1 else f"{listed(levels)} with {len(levels)} seeds"


def remedies(
    answers: Iterable[Answer], outcomes: Sequence[Outcome], changes: Sequence[MeasuredChange], reference: str
) -> list[Remedy]:
    """A remedy for each elevated or high answer that a change was measured against.

    Args:
        answers: as the report gives them.
        outcomes: what they rest on.
        changes: what was measured (`assay.studies.changes.read_changes`).
        reference: how the model is named on a command line.
    """
    found = []
    for one in answers:
        if one.level not in ("elevated", "high"):
            continue
        measured = [change for change in changes if change.family == one.family and one.decided_by in change.of]
        tried = sorted((_tried(change, measured, outcomes, reference, one.level) for change in measured), key=_expense)
        falling = [each for each in tried if each.level in RANK and RANK[each.level] < RANK[one.level]]
        cheapest = next(iter([each for each in falling if each.shown] or falling), None)
        if tried:
            found.append(Remedy(family=one.family, before=one.level, cheapest=cheapest, tried=tried))
    return found


def _tried(
    measured: MeasuredChange,
    beside: Sequence[MeasuredChange],
    outcomes: Sequence[Outcome],
    reference: str,
    before: Bad,
) -> Tried:
    """A change as the report shows it."""
    change = measured.change
    told = {"name": change.name, "title": change.title, "command": command(change, reference, outcomes)}
    if measured.left_out:
        return Tried(level="not assessed", sentence=measured.left_out, **told)
    seeds = with_labels(measured, beside)
    found = [answer(measured.family, each) for each in seeds or [measured.outcomes]]
    worst = max(found, key=lambda one: (RANK.get(one.level, -1), one.metric.position if one.metric else -inf))
    return Tried(
        level=worst.level,
        sentence=worst.sentence,
        metric=worst.metric,
        levels=[one.level for one in found],
        shown=holds(before, seeds),
        cost=measured.cost,
        **told,
    )


def command(change: Change, reference: str, outcomes: Sequence[Outcome]) -> str:
    """What audits a model again as it would be with the change."""
    if change.sibling:
        methods = dict.fromkeys(o.method.name for o in outcomes if "sibling" in o.method.options)
        told = " ".join(f"--method {name} --set {name}.sibling={quote(change.sibling)}" for name in methods)
        return f"assay audit {quote(reference)} {told}"
    now = next((outcome.serving for outcome in outcomes if outcome.serving), {})
    flags = [f"--policy {quote(_policy(policy))}" for policy in now.get("policies", ())]
    profile = f" --profile {PROFILE_BEHIND_INTERFACE}" if change.hides_weights and not change.output else ""
    return " ".join(["assay audit", quote(reference), *flags, *change.settings.split(" ")]).rstrip() + profile


def _policy(described: dict[str, object]) -> str:
    """A policy as it is named on a command line, from its description."""
    parameters = ",".join(f"{name}={value}" for name, value in described.items() if name != "name")
    return f"{described['name']}:{parameters}" if parameters else str(described["name"])


def _expense(tried: Tried) -> tuple[bool, float]:
    """The share of labels changed plus the mean L1 distance; what was not measured comes last."""
    cost = {metric.name: metric.value for metric in tried.cost if metric.value is not None}
    return tried.level == "not assessed", 1 - cost.get("labels_kept", 0.0) + cost.get("l1_distance", 2.0)


def _cost(metric: Metric) -> str:
    if metric.value is None:
        return ""
    if metric.name == "labels_kept":
        return f"{100 * (1 - metric.value):.1f} % of labels change"
    if metric.name == "accuracy_change":
        return f"accuracy {100 * metric.value:+.1f} points"
    return f"answers move by {metric.value:.3f} (mean L1, of at most 2)"
