"""Whether a theft that found a model hard to steal is itself a weak thief, by what stronger ones brought elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from assay.base.digests import canonical_json
from assay.studies.outcome import Outcome

MARGIN = 0.10
"""By so much agreement another theft must be ahead, at the same number of questions."""

LEAST_TARGETS = 2
"""Other targets, of the same shape and classes, on which both were tried."""


def checked(outcomes: Sequence[Outcome], peers: Iterable[Outcome] = ()) -> list[Outcome]:
    """The outcomes of one target, those of thefts that another outdoes no longer *low*.

    A theft is outdone if another with as many questions, of the same pool and serving, agrees by `MARGIN` more: on this
    target, or, where it was not tried on this one, in the mean over `LEAST_TARGETS` others at least that ``peers`` hold
    both for. Its verdict is *undecided* then and weak (`Verdict.weak`): it does not stand against what the stronger
    theft found here.
    """
    others = [theft for peer in peers if (theft := _theft(peer)) is not None]
    here = [theft for outcome in outcomes if (theft := _theft(outcome)) is not None]
    return [_revised(outcome, here, others) for outcome in outcomes]


class _Theft(NamedTuple):
    """One finished theft: the ``way`` is its method and options, ``terms`` are what must be equal to compare."""

    target: str
    name: str
    way: str
    terms: str
    agreement: float


def _theft(outcome: Outcome) -> _Theft | None:
    values = {metric.name: metric.value for metric in outcome.metrics}
    agreement, queries = values.get("agreement"), values.get("queries")
    judged = outcome.verdict is not None and outcome.verdict.answers and outcome.verdict.metric == "agreement"
    if outcome.status != "done" or outcome.method.family != "stealing" or not judged:
        return None
    if agreement is None or queries is None:
        return None
    target, pool = outcome.target, outcome.target.data.get("auxiliary")
    # The seed may differ: a difference of 10 points is not one of seeds.
    terms: list[Any] = [queries, pool.name if pool else None, outcome.serving, target.input_shape, target.num_classes]
    way = canonical_json([outcome.method.name, outcome.method.version, outcome.method.options])
    return _Theft(target.digest, outcome.method.name, way, canonical_json(terms), agreement)


def _revised(outcome: Outcome, here: list[_Theft], others: list[_Theft]) -> Outcome:
    own, verdict = _theft(outcome), outcome.verdict
    if own is None or verdict is None or verdict.level != "low":
        return outcome
    alike = [theft for theft in here if theft.terms == own.terms]
    reason = _ahead_here(own, alike) or _ahead_elsewhere(own, {theft.way for theft in alike}, others)
    if not reason:
        return outcome
    sentence = f"Undecided, for the thief was a weak one: {reason}. Measured as it is: {verdict.sentence}"
    return outcome.model_copy(
        update={"verdict": verdict.model_copy(update={"level": "undecided", "sentence": sentence, "weak": True})}
    )


def _ahead_here(own: _Theft, alike: list[_Theft]) -> str:
    best = max(alike, key=lambda theft: theft.agreement)
    if best.agreement - own.agreement < MARGIN:
        return ""
    return f"with as many questions {best.name} reached {100 * best.agreement:.1f} % on this model"


def _ahead_elsewhere(own: _Theft, tried: set[str], others: list[_Theft]) -> str:
    """What another theft brought on other targets, where it was not tried on this one."""
    known: dict[str, dict[str, float]] = defaultdict(dict)
    names: dict[str, str] = {}
    for theft in others:
        if theft.terms == own.terms and theft.target != own.target:
            known[theft.way][theft.target] = theft.agreement
            names[theft.way] = theft.name
    mine = known.pop(own.way, {})
    for way, reached in known.items():
        both = mine.keys() & reached.keys()
        if way in tried or len(both) < LEAST_TARGETS:
            continue
        ahead = sum(reached[target] - mine[target] for target in both) / len(both)
        if ahead >= MARGIN:
            return (
                f"on {len(both)} other models {names[way]} agreed by {100 * ahead:.0f} points more with as many "
                "questions, and it was not run on this one"
            )
    return ""
