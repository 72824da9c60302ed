"""Where one target stands among others that were assessed under one protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from assay.analysis.measured import protocol
from assay.analysis.position import FEWEST, place
from assay.base.errors import DataError, UsageError, nearest
from assay.studies.outcome import Outcome

if TYPE_CHECKING:
    pass


class Percentile(NamedTuple):
    """``value`` per cent of the ``n`` peers lie below, ties counting one half; 95 % interval ``low`` to ``high``.

    All three are from 0 to 100. The interval is Clopper and Pearson's for peers as a sample of all such models; it
    leaves out how uncertain the target's own number is.
    """

    value: float
    low: float
    high: float
    n: int
    metric: str


def percentile_of(outcome: Outcome, peers: Iterable[Outcome], metric: str | None = None) -> Percentile:
    """The percentile of an outcome's target among the other targets that were measured in the same way.

    The same way is the same method, version, options, access, and names and sizes of data; other outcomes among
    ``peers``, and unfinished ones, are passed over. Seeds of one target count once, by their mean. ``metric`` is by
    default the one that decided the outcome's verdict.

    Raises:
        DataError: if the outcome has no such number, or fewer than `position.FEWEST` peers have.
    """
    name = metric or (outcome.verdict.metric if outcome.verdict else "")
    values = measured_alike(outcome, peers, name)
    own = values.pop(outcome.target.digest, None)
    if own is None:
        raise DataError(f"{outcome.method.name} of {outcome.target.name} has no number named {name!r}.")
    if len(values) < FEWEST:
        raise DataError(
            f"{len(values)} other models were measured by {protocol(outcome)}: a percentile needs {FEWEST}."
        )
    share, bounds = place(own, list(values.values()))
    return Percentile(100 * share, 100 * bounds.low, 100 * bounds.high, len(values), name)


def measured_alike(outcome: Outcome, peers: Iterable[Outcome], metric: str) -> dict[str, float]:
    """Digest of each target, the outcome's own among them, to the mean over seeds of a metric under its protocol."""
    way = protocol(outcome)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for one in (outcome, *peers):
        if one.status != "done" or protocol(one) != way:
            continue
        for number in one.metrics:
            if number.name == metric and number.value is not None:
                found[one.target.digest][one.key] = number.value
    return {digest: sum(seeds.values()) / len(seeds) for digest, seeds in found.items()}


class Placed(NamedTuple):
    """One protocol and metric: the target's value, its percentile (None with too few peers), and all the peers."""

    protocol: str
    value: float
    percentile: Percentile | None
    peers: dict[str, float]


def percentiles(outcomes: Iterable[Outcome], target: str, metric: str | None = None) -> list[Placed]:
    """A target's percentiles in every protocol of a workspace.

    Raises:
        UsageError: if no finished outcome is of that target, or has the metric.
    """
    done = [one for one in outcomes if one.status == "done"]
    own = {protocol(one): one for one in done if one.target.name == target}
    if not own:
        raise UsageError(f"No finished outcome is of {target!r}: {nearest(target, {o.target.name for o in done})}")
    names = {one.target.digest: one.target.name for one in done}
    found = []
    for way, one in own.items():
        name = metric or (one.verdict.metric if one.verdict else "")
        values = measured_alike(one, done, name)
        if one.target.digest in values:
            enough = len(values) > FEWEST
            known = percentile_of(one, done, name) if enough else None
            peers = {names[digest]: value for digest, value in values.items() if digest != one.target.digest}
            found.append(Placed(way, values[one.target.digest], known, peers))
    if not found:
        known_names = {m.name for one in own.values() for m in one.metrics if m.value is not None}
        raise UsageError(f"No outcome of {target} has a number named {metric!r}: {nearest(metric or '', known_names)}")
    return found
