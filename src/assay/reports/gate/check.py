"""Rules held against results: what passes, what fails and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from assay.base.errors import UsageError, nearest
from assay.methods.metric import Level, Metric
from assay.reports.answers import RANK
from assay.reports.format import count, metric_text, number
from assay.reports.gate.policy import RELATIVE, Policy, Rule
from assay.reports.gate.profile import Requirement
from assay.reports.results import Result
from assay.reports.wording import AnswerLevel
from assay.studies.outcome import Outcome

if TYPE_CHECKING:
    from assay.analysis.difference import Difference

Status = Literal["passed", "failed", "skipped"]


class Judged(NamedTuple):
    """What became of one rule on one number: ``measured`` and ``reason`` are for people, ``level`` is the verdict's."""

    status: Status
    measured: str
    reason: str
    level: AnswerLevel = "not assessed"


@dataclass(frozen=True)
class Check:
    """One rule of a policy, or requirement of a profile, on one target.

    ``file`` is known if the target was read from one. ``line`` is the rule's in the policy.
    """

    rule: Rule | Requirement
    line: int
    target: str
    file: str | None
    status: Status
    measured: str
    reason: str
    level: AnswerLevel = "not assessed"


@dataclass(frozen=True)
class Gate:
    """What came out. ``comparisons`` counts the differences from a baseline that were judged."""

    checks: tuple[Check, ...]
    comparisons: int

    def having(self, status: Status) -> list[Check]:
        """The checks of one status."""
        return [check for check in self.checks if check.status == status]

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 where no rule could be held against anything."""
        if self.having("failed"):
            return 1
        return 0 if self.having("passed") else 3

    @property
    def verdict(self) -> str:
        """One sentence."""
        failed, total = len(self.having("failed")), len(self.checks)
        standard = all(isinstance(check.rule, Requirement) for check in self.checks)
        verb = "not evaluable" if standard else "did not apply"
        skipped = f", {len(self.having('skipped'))} {verb}" if self.having("skipped") else ""
        if self.exit_code == 3:
            return f"Nothing was assessed: none of {count(total, 'check')} applied."
        if failed:
            return f"The gate failed: {failed} of {count(total, 'check')}{skipped}."
        return f"The gate passed: {count(total, 'check')}{skipped}."


def check(policy: Policy, results: Sequence[Result], baseline: Sequence[Result] | None = None) -> Gate:
    """Hold every rule against every result.

    Raises:
        UsageError: if a rule is relative, and there is no baseline.
    """
    if baseline is None and any(rule.relative for rule in policy.rules):
        raise UsageError("The policy has rules that are relative to a baseline: name one with --baseline.")
    comparisons = sum(rule.relative * max(1, len(_done(rule, result))) for rule in policy.rules for result in results)
    alpha = _alpha(comparisons)
    checks = [
        _check(rule, line, result, in_doubt(_worst(_judge(rule, result, baseline or (), alpha)), result))
        for result in results
        for rule, line in zip(policy.rules, policy.lines, strict=True)
    ]
    return Gate(tuple(checks), comparisons)


def _alpha(comparisons: int) -> float:
    """The probability with which any one of so many comparisons may err; see `assay.analysis.difference.tail`."""
    if not comparisons:
        return 0.0
    from assay.analysis.difference import tail

    return tail(comparisons)


def _check(rule: Rule, line: int, result: Result, judged: Judged) -> Check:
    return Check(rule, line, result.report.target.name, file_of(result), *judged)


def file_of(result: Result) -> str | None:
    """The file that a target was read from, as it was named."""
    file = result.report.target.facts.get("file")
    return file if isinstance(file, str) else None


def _worst(judged: Iterator[Judged]) -> Judged:
    """Of several outcomes (seeds, options) the first that fails, else the first."""
    every = list(judged)
    return next((one for one in every if one.status == "failed"), every[0])


def in_doubt(judged: Judged, result: Result) -> Judged:
    """A rule that passes on a model that is itself in doubt (at chance, say) says nothing: it fails, with the doubt."""
    looked_at = [outcome.target.sanity for outcome in result.report.outcomes if outcome.target.sanity is not None]
    doubt = next((sanity.doubt for sanity in looked_at if sanity.doubt), "")
    if judged.status != "passed" or not doubt:
        return judged
    return judged._replace(status="failed", reason=f"The model itself is in doubt: {doubt}")


def _done(rule: Rule, result: Result) -> list[Outcome]:
    return [outcome for outcome in _ran(rule, result) if outcome.status == "done"]


def _ran(rule: Rule, result: Result) -> list[Outcome]:
    return [outcome for outcome in result.report.outcomes if outcome.method.name == rule.method]


def _judge(rule: Rule, result: Result, baseline: Sequence[Result], alpha: float) -> Iterator[Judged]:
    if rule.question is not None:
        yield _answer(rule, result)
        return
    ran = _ran(rule, result)
    if not ran:
        yield _missing(rule, f"{rule.method} was not run.")
    for outcome in ran:
        if outcome.status == "done":
            yield _number(rule, outcome, result, baseline, alpha)
        elif outcome.status == "skipped":
            yield _missing(rule, f"{rule.method} was skipped: {outcome.reason}")
        else:
            yield Judged("failed", "", f"{rule.method} did not finish: {outcome.reason}")


def _missing(rule: Rule, reason: str) -> Judged:
    return Judged("skipped" if rule.optional else "failed", "", reason)


def _answer(rule: Rule, result: Result) -> Judged:
    answer = next((one for one in result.report.answers if one.family == rule.question), None)
    if answer is None:
        return _missing(rule, f"No method of the family {rule.question} was run.")
    if answer.level == "not assessed":
        judged = _missing(rule, answer.sentence)
        return judged._replace(status="failed") if answer.failed else judged
    worst: Level = rule.worst or "low"
    if RANK[answer.level] > RANK[worst]:
        return Judged(
            "failed",
            answer.level,
            f"The answer is {answer.level}, and may be {worst} at worst. {answer.sentence}",
            answer.level,
        )
    return Judged("passed", answer.level, "", answer.level)


def _number(rule: Rule, outcome: Outcome, result: Result, baseline: Sequence[Result], alpha: float) -> Judged:
    metric = next((metric for metric in outcome.metrics if metric.name == rule.metric), None)
    if metric is None:
        hint = nearest(rule.metric or "", (metric.name for metric in outcome.metrics))
        return Judged("failed", "", f"{rule.method} reports no {rule.metric}: {hint}")
    bounds = _bounds(metric)
    if isinstance(bounds, str):
        return Judged("failed", metric_text(metric), bounds)
    reasons = [_outside(rule, metric, *bounds)]
    measured = metric_text(metric)
    if rule.relative:
        compared = _against(metric, outcome, result, baseline, alpha)
        if isinstance(compared, str):
            return Judged("failed", measured, " ".join([*filter(None, reasons), compared]))
        measured += f"; {compared.value:+.3g} against the baseline{_span(compared)}"
        reasons += [
            _beyond(getattr(rule, name), compared, name) for name in RELATIVE if getattr(rule, name) is not None
        ]
    told = " ".join(reason for reason in reasons if reason)
    level = outcome.verdict.level if outcome.verdict else "not assessed"
    return Judged("failed" if told else "passed", measured, told, level)


def _outside(rule: Rule, metric: Metric, low: float, high: float) -> str:
    """Why a number is not within a rule's absolute bounds; empty if it is."""
    told = []
    if rule.max is not None and not high <= rule.max:
        what = "The interval reaches up to" if metric.interval else "The number, which has no interval, is"
        told.append(f"{what} {number(high)}, and may {'reach' if metric.interval else 'be'} {rule.max:g} at most.")
    if rule.min is not None and not low >= rule.min:
        what = "The interval reaches down to" if metric.interval else "The number, which has no interval, is"
        told.append(f"{what} {number(low)}, and must stay at or above {rule.min:g}.")
    return " ".join(told)


def _span(compared: Difference) -> str:
    if compared.low is None or compared.high is None:
        return f" ({compared.how})"
    return f" [{compared.low:+.3g}, {compared.high:+.3g}]"


def _against(
    metric: Metric, outcome: Outcome, result: Result, baseline: Sequence[Result], alpha: float
) -> Difference | str:
    """The difference from the baseline, or why there is none."""
    from assay.reports.gate.baseline import Measured, compare, counterpart, same_measurement

    other = counterpart(result, baseline)
    if other is None:
        return f"The baseline has no result for {result.report.target.name}, or several."
    old = same_measurement(outcome, other)
    if isinstance(old, str):
        return old
    before = next((one for one in old.metrics if one.name == metric.name), None)
    if before is None:
        return f"The baseline's {old.method.name} reports no {metric.name}."
    if isinstance(why := _bounds(before), str):
        return f"The baseline's number cannot be used: {why}"
    return compare(Measured(metric, outcome, result.artefacts), Measured(before, old, other.artefacts), alpha)


def _beyond(tolerance: float, compared: Difference, name: str) -> str:
    """Why a difference is more than is tolerated; empty where it may be chance."""
    rises = name == "max_increase"
    verb = "rises" if rises else "falls"
    if compared.low is None or compared.high is None:
        change = compared.value if rises else -compared.value
        told = (
            f"It {verb} by {number(abs(change))} against the baseline ({compared.how}, so the difference alone decides)"
        )
        return f"{told}; {tolerance:g} is tolerated." if change > tolerance else ""
    surely = compared.low if rises else -compared.high
    if surely <= tolerance:
        return ""
    return (
        f"It {verb} by {number(abs(compared.value))} against the baseline, surely by more than {number(surely)} "
        f"({compared.how}); {tolerance:g} is tolerated."
    )


def _bounds(metric: Metric) -> tuple[float, float] | str:
    """What decides a rule: the bounds of a number's interval, or a judged number alone; or why nothing can.

    A number with a scale has been judged by a verdict without an interval (a p-value, say), and so it is here.
    """
    note = f" {metric.note}" if metric.note else ""
    if metric.value is None:
        return f"{metric.name} has no value.{note}"
    if metric.interval is not None:
        return metric.interval.low, metric.interval.high
    if metric.scale is not None:
        return metric.value, metric.value
    return f"{metric.name} has no interval, and a rule is decided by its bound.{note}"
