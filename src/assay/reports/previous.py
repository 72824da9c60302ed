"""Finds a model's last release, and compares a report with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from assay.base.errors import UsageError
from assay.methods.metric import Metric
from assay.reports.answers import verdict_metric
from assay.reports.gate.baseline import Measured, compare, same_measurement
from assay.reports.last_release import LEVEL, Before, Direction, LastRelease, Moved
from assay.reports.report import Report, assemble
from assay.reports.results import Result
from assay.studies.outcome import Outcome


class Model(Protocol):
    """What is known of a model before and after it is measured: a `Target` or a `TargetFacts`."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""

    @property
    def num_classes(self) -> int:
        """Classes that it tells apart."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Their names, if they are known."""


def require_comparable(model: Model, known: Sequence[Result]) -> Result:
    """The result that is a model's last release, of those that the user named.

    Raises:
        UsageError: if none of several results has the model's name, or the one that it is compared with is of another
            task.
    """
    facts = [one.report.target for one in known]
    alike = [one for one in known if one.report.target.name == model.name]
    if len(known) > 1 and len(alike) != 1:
        names = ", ".join(sorted({one.name for one in facts}))
        raise UsageError(
            f"Which of the {len(known)} results is the last release of {model.name}? Name its report.json with "
            f"--previous; there are {names}."
        )
    found = alike[0] if alike else known[0]
    other = _other_task(found.report.target, model)
    if other:
        raise UsageError(
            f"{found.report.target.name} cannot be the last release of {model.name}: {other}. Name the report of a "
            "model of the same task with --previous."
        )
    return found


def earlier(result: Result, known: Sequence[Outcome]) -> Result | None:
    """The last model of a result's name and task that its workspace, of which all is ``known``, measured before it."""
    report = result.report
    by_digest: dict[str, list[Outcome]] = defaultdict(list)
    for one in known:
        facts = one.target
        if facts.name == report.target.name and facts.digest != report.target.digest:
            by_digest[facts.digest].append(one)
    before = [
        them
        for them in by_digest.values()
        if any(o.status == "done" for o in them)
        and max(o.started for o in them) < report.measured_from
        and not _other_task(them[0].target, report.target)
    ]
    last = max(before, key=lambda them: max(o.started for o in them), default=None)
    return None if last is None else Result(assemble(last), result.artefacts)


def beside(result: Result, previous: Result | None) -> Report:
    """A report with its last release beside it; the report as it is where there is none.

    Methods that ran alike on both are compared, each by the number that decides its verdict, on the samples that both
    share where there are enough (`assay.reports.gate.baseline.compare`). All intervals together hold with `LEVEL`:
    whatever moved, and however many numbers there are, it is as seldom by chance.
    """
    report = result.report
    if previous is None:
        return report
    pairs: list[tuple[Measured, Measured]] = []
    numbers: list[Before] = []
    left_out: list[str] = []
    otherwise = False
    for outcome in (one for one in report.outcomes if one.status == "done"):
        counted = same_measurement(outcome, previous)
        if isinstance(counted, str):
            left_out.append(f"{outcome.method.title}: {counted.replace('The baseline', 'The last release')}")
            continue
        otherwise |= outcome.serving != counted.serving
        deciding = verdict_metric(outcome)
        for now, then in _shared(outcome, counted):
            if now is deciding:
                pairs.append((Measured(now, outcome, result.artefacts), Measured(then, counted, previous.artefacts)))
            else:
                numbers.append(_before(outcome, now, then))
    numbers += [
        _before(new.outcome, new.metric, old.metric, _moved(new, old, (1 - LEVEL) / (2 * len(pairs))))
        for new, old in pairs
    ]
    last = LastRelease(
        name=previous.report.target.name,
        digest=previous.report.target.digest,
        measured_until=previous.report.measured_until,
        numbers=numbers,
        left_out=left_out,
        notes=["It was served otherwise."] if otherwise else [],
    )
    return report.model_copy(update={"last_release": last})


def _shared(outcome: Outcome, counted: Outcome) -> list[tuple[Metric, Metric]]:
    """Numbers with a scale that two outcomes both have."""
    old = {metric.name: metric for metric in counted.metrics if metric.value is not None}
    judged = [metric for metric in outcome.metrics if metric.value is not None and metric.scale is not None]
    return [(metric, old[metric.name]) for metric in judged if metric.name in old]


def _before(outcome: Outcome, now: Metric, then: Metric, moved: Moved | None = None) -> Before:
    method = outcome.method
    return Before(key=outcome.key, family=method.family, method=method.title, metric=then, now=now, moved=moved)


def _moved(new: Measured, old: Measured, alpha: float) -> Moved:
    found = compare(new, old, alpha)
    direction: Direction = "not shown"
    if new.metric.scale is not None and found.low is not None and found.high is not None:
        risen, fallen = found.low > 0, found.high < 0
        if risen or fallen:
            direction = "worse" if risen == (new.metric.scale.risk == "up") else "better"
    return Moved(change=found.value, low=found.low, high=found.high, how=found.how, direction=direction)


def _other_task(one: Model, other: Model) -> str:
    """Why two models cannot be releases of one; empty if they can."""
    if one.num_classes != other.num_classes:
        return f"it has {one.num_classes} classes, and this model {other.num_classes}"
    if one.class_names and other.class_names and set(one.class_names) != set(other.class_names):
        theirs, own = (", ".join([*model.class_names[:3], "..."]) for model in (one, other))
        return f"its classes are {theirs}, and this model's {own}"
    if one.input_shape[0] != other.input_shape[0]:
        return f"it takes {one.input_shape[0]} channels, and this model {other.input_shape[0]}"
    return ""
