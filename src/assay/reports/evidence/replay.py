"""A number measured again, held against the one that is kept: equal, within its noise, or neither."""

from __future__ import annotations

from typing import Literal, NamedTuple

from assay.analysis.difference import independent
from assay.base.errors import NothingAssessedError, UsageError, nearest
from assay.reports.answers import verdict_metric
from assay.reports.format import metric_text
from assay.studies.outcome import Outcome

ALPHA = 0.05
"""How often two measurements of one model that differ by noise alone are said not to agree."""


class Replayed(NamedTuple):
    """What became of a number: it *holds*, or *differs*, or there is *no interval* to tell; and a sentence."""

    status: Literal["holds", "differs", "no interval"]
    sentence: str


def find_outcome(outcomes: list[Outcome], key: str) -> Outcome:
    """The finished outcome whose key begins so.

    Raises:
        UsageError: if there is none, or there are several.
    """
    found = [outcome for outcome in outcomes if outcome.key.startswith(key.lower()) and outcome.status == "done"]
    if len(found) != 1:
        many = f"{len(found)} finished trials whose keys begin" if found else "no finished trial whose key begins"
        raise UsageError(f"The workspace holds {many} with {key!r}: give more of the key, or another one.")
    return found[0]


def compare(kept: Outcome, again: Outcome, name: str | None = None) -> Replayed:
    """Hold a second measurement against the first: equal for the same seed, within noise for another.

    Args:
        kept: the first.
        again: the second, of the same method and options on the same model.
        name: the metric; by default the one that decided the verdict.

    Raises:
        UsageError: if there is no such metric, or it has no value.
        NothingAssessedError: if the second measurement did not finish.
    """
    if again.status != "done":
        raise NothingAssessedError(f"{again.method.name} did not finish this time: {again.reason}")
    decided = verdict_metric(kept)
    wanted = name or (decided.name if decided else "")
    metrics = [{metric.name: metric for metric in one.metrics} for one in (kept, again)]
    if wanted not in metrics[0]:
        raise UsageError(f"{kept.method.name} has no metric {wanted!r}: {nearest(wanted, metrics[0])}")
    old, new = metrics[0][wanted], metrics[1].get(wanted)
    if old.value is None or new is None or new.value is None:
        raise UsageError(f"{kept.method.name} gave {wanted} no value, so that nothing can be compared.")
    told = f"{kept.method.name} {wanted}: {metric_text(old)} with seed {kept.seed}, "
    told += f"{metric_text(new)} with seed {again.seed}: "
    if kept.seed == again.seed:
        same = old.value == new.value and old.interval == new.interval
        rest = "equal, to the last digit." if same else f"not equal; they differ by {new.value - old.value:+.3g}."
        return Replayed("holds" if same else "differs", told + rest)
    apart = independent(new, old, ALPHA)
    if apart.low is None or apart.high is None:
        return Replayed("no interval", f"{told}without both intervals nothing says whether that is noise.")
    span = f"a difference of {apart.value:+.3g} [{apart.low:+.3g}, {apart.high:+.3g}]"
    if apart.low <= 0 <= apart.high:
        return Replayed("holds", f"{told}{span}, within the noise.")
    return Replayed("differs", f"{told}{span}, more than noise.")
