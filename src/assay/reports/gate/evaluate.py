"""Requirements held against results: met, not met, or not evaluable, each with the number that decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from statistics import NormalDist
from typing import NamedTuple

from assay.methods.metric import Level, Metric
from assay.reports.answers import RANK, verdict_metric
from assay.reports.format import metric_text, number
from assay.reports.gate.check import Check, Gate, Judged, file_of, in_doubt
from assay.reports.gate.profile import Profile, Requirement
from assay.reports.results import Result
from assay.reports.wording import AnswerLevel, listed
from assay.studies.outcome import Outcome

BLIND = "auc_blind"
"""The AUC of a classifier that tells members from non-members and never asks the model."""


def evaluate(profile: Profile, results: Sequence[Result]) -> Gate:
    """Hold every requirement against every result; what is met has passed, what is not evaluable was skipped.

    Several results are one release set: each file is measured against the others where a requirement says so.
    """
    checks = [_check(one, result, results) for result in results for one in profile.requirement]
    return Gate(tuple(checks), 0)


def _check(one: Requirement, result: Result, results: Sequence[Result]) -> Check:
    judged = DECIDE[one.check](one, result, results)
    if one.check in ("accepted", "limited", "equivalent"):  # what is known of the file holds for a model at chance too
        judged = in_doubt(judged, result)
    return Check(one, 1, result.report.target.name, file_of(result), *judged)


def _not_evaluable(reason: str, measured: str = "") -> Judged:
    return Judged("skipped", measured, reason)


class _Found(NamedTuple):
    """What a family answered, or a method found."""

    name: str
    level: AnswerLevel
    metric: Metric | None
    sentence: str

    @property
    def told(self) -> str:
        """Name, number, interval and the bounds that it is judged by."""
        bounds = ""
        if self.metric is not None and self.metric.scale is not None:
            scale = self.metric.scale
            low = "" if scale.low is None else f"low to {number(scale.low)}, "
            bounds = f" ({low}high from {number(scale.high)})"
        label = f"{self.metric.label} " if self.metric else ""
        return f"{self.name}: {self.level}, {label}{metric_text(self.metric)}{bounds}"


def _found(one: Requirement, result: Result) -> Iterator[_Found]:
    """What a requirement is about: answers of its families, then verdicts of its methods."""
    for family in one.families:
        answer = next((answer for answer in result.report.answers if answer.family == family), None)
        if answer is None:
            yield _Found(family, "not assessed", None, "No method of this kind was run.")
        else:
            yield _Found(family, answer.level, answer.metric, answer.sentence)
    for method in one.methods:
        done = [outcome for outcome in _done(result) if outcome.method.name == method]
        if not done:
            yield _Found(method, "not assessed", None, f"{method} did not finish or was not run.")
        for outcome in done:
            if outcome.verdict is not None:
                yield _Found(method, outcome.verdict.level, verdict_metric(outcome), outcome.verdict.sentence)


def _done(result: Result) -> list[Outcome]:
    return [outcome for outcome in result.report.outcomes if outcome.status == "done"]


def _clears(outcome: Outcome) -> bool:
    """Whether a method answers its question, could have cleared the model, and gave a number with an interval."""
    verdict, metric = outcome.verdict, verdict_metric(outcome)
    return bool(verdict and verdict.answers and not verdict.weak and metric and metric.value is not None)


def _measured(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    able = {outcome.method.family for outcome in _done(result) if _clears(outcome)}
    missing: list[str] = [family for family in one.families if family not in able]
    told = "; ".join(found.told for found in _found(one, result) if found.level != "not assessed")
    if missing:
        return _not_evaluable(f"No method that could clear a model finished for {listed(missing)}.", told)
    return Judged("passed", told, "")


def _accepted(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    worst: Level = one.worst or "low"
    found = list(_found(one, result))
    told = "; ".join(each.told for each in found if each.level != "not assessed")
    beyond = [each for each in found if each.level != "not assessed" and RANK[each.level] > RANK[worst]]
    sure = [each for each in beyond if each.level != "undecided"]
    if sure:
        level = max((each.level for each in sure), key=RANK.__getitem__)
        return Judged("failed", told, f"{sure[0].name} is {level}, and may be {worst} at worst.", level)
    missing = [each for each in found if each.level in ("not assessed", "undecided")]
    if missing:
        return _not_evaluable(f"{missing[0].name}: {missing[0].level}. {missing[0].sentence}", told)
    return Judged("passed", told, "", max((each.level for each in found), key=RANK.__getitem__))


def _limited(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    asked = [outcome for outcome in _done(result) if outcome.method.family in one.families and outcome.serving]
    budgets = [outcome.serving.get("budget") for outcome in asked]
    if not budgets or None in budgets:
        return _not_evaluable("The service was assessed without a budget of questions (assay audit --budget).")
    judged = _accepted(one, result, results)
    return judged._replace(measured=f"{judged.measured}; budget {max(int(budget) for budget in budgets if budget)}")


def _equivalent(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    """Met if all upper bounds lie within their bounds (all must: no correction is due); not met if a lower does not.

    One of many lower bounds may lie beyond by chance, so that for *not met* all are made to hold together (`_low`).
    """
    outcomes = [outcome for outcome in _done(result) if outcome.method.family in one.families]
    if not any(_clears(outcome) for outcome in outcomes):
        return _not_evaluable(f"No method that could clear a model finished for {listed(list(one.families))}.")
    shifted = next(filter(_tells_apart, (m for outcome in outcomes for m in outcome.metrics)), None)
    if shifted is not None:
        why = "Members and non-members can be told apart without the model, so that no bound is the model's alone."
        return _not_evaluable(why, f"{BLIND} {metric_text(shifted)}")
    told, above, open_ = [], [], []
    among = sum(
        metric.interval is not None and any(fnmatchcase(metric.name, pattern) for pattern in one.bounds)
        for outcome in outcomes
        for metric in outcome.metrics
    )
    for pattern, bound in one.bounds.items():
        metrics = [
            (f"{outcome.method.name} {metric.name}", metric)
            for outcome in outcomes
            for metric in outcome.metrics
            if fnmatchcase(metric.name, pattern) and metric.name != BLIND
        ]
        known = [(name, metric) for name, metric in metrics if metric.value is not None and metric.interval is not None]
        if not known:
            why = next((metric.note for _, metric in metrics if metric.note), "it was not measured")
            open_.append(f"{pattern} has no number: {why.rstrip('.')}.")
            continue
        name, worst = max(known, key=lambda pair: pair[1].interval.high if pair[1].interval else 0.0)
        told.append(f"{name} {metric_text(worst)} (bound {number(bound)})")
        above += [f"{name} is surely above {number(bound)}." for name, each in known if _low(each, among) > bound]
        if worst.interval is not None and worst.interval.high > bound:
            open_.append(f"The interval of {name} reaches up to {number(worst.interval.high)}, beyond {number(bound)}.")
    measured = "; ".join(told)
    if above:
        return Judged("failed", measured, above[0], "high")
    return _not_evaluable(" ".join(open_), measured) if open_ else Judged("passed", measured, "", "low")


def _tells_apart(metric: Metric) -> bool:
    """Whether this is the classifier that never asks the model, and it is surely better than a guess."""
    return metric.name == BLIND and metric.interval is not None and metric.interval.low > 0.5


def _low(metric: Metric, among: int) -> float:
    """The lower end of a metric's 95 % interval, widened so that those of so many metrics hold together.

    By Bonferroni's correction and a normal tail: the distance from the value grows as the normal quantile does.
    """
    if metric.interval is None or metric.value is None:
        return float("-inf")
    normal = NormalDist()
    wider = normal.inv_cdf(1 - 0.025 / max(1, among)) / normal.inv_cdf(0.975)
    return metric.value - wider * (metric.value - metric.interval.low)


def _release(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    files = {other.report.target.weights_digest for other in results}
    if len(files) < 2:
        return _not_evaluable("One file alone is no release set: name a folder with the reports of all its files.")
    wanted = {_measurement(outcome) for other in results for outcome in _done(other)}
    missing = sorted(name for name, *_ in wanted - {_measurement(outcome) for outcome in _done(result)})
    told = f"{len(wanted) - len(missing)} of {len(wanted)} measurements of the release set of {len(files)} files"
    if missing:
        return Judged("failed", told, f"Not measured alike on this file: {listed(missing[:3])}.")
    return Judged("passed", told, "")


def _measurement(outcome: Outcome) -> tuple[str, int, str]:
    return outcome.method.name, outcome.method.version, repr(sorted(outcome.method.options.items()))


def _loaded(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    form = result.report.target.facts.get("format")
    if not isinstance(form, str) or result.report.file_digest is None:
        return _not_evaluable("The model was not read from a file.")
    return Judged("passed", f"opened as {form}", "")


def _digest(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    known = result.report.file_digest
    return Judged("passed", f"SHA-256 {known}", "") if known else _not_evaluable("The model was not read from a file.")


def _outside(one: Requirement, result: Result, results: Sequence[Result]) -> Judged:
    return _not_evaluable("Not measured.")


DECIDE: dict[str, Callable[[Requirement, Result, Sequence[Result]], Judged]] = {
    "measured": _measured,
    "accepted": _accepted,
    "limited": _limited,
    "equivalent": _equivalent,
    "release": _release,
    "loaded": _loaded,
    "digest": _digest,
    "outside": _outside,
}
