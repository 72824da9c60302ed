"""Where a model stands among others that were measured in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay.base.errors import DataError
from assay.base.frozen import Frozen
from assay.methods.metric import Family
from assay.reports.answers import Answer
from assay.studies.outcome import Outcome

FEWEST = 10
"""Other models, below which nothing is said."""


class Standing(Frozen):
    """The number that decided an answer, among those of ``n`` other models.

    ``riskier_than`` is the share of them, in per cent, whose number is less risky, ties counting one half, with the
    95 % interval ``low`` to ``high`` (see `assay.analysis.percentile.Percentile`).
    """

    family: Family
    riskier_than: float
    low: float
    high: float
    n: int

    @property
    def sentence(self) -> str:
        """The standing in words."""
        return (
            f"riskier than {self.riskier_than:.0f} % ({self.low:.0f} to {self.high:.0f} %) "
            f"of {self.n} models measured in the same way"
        )


def standings(answers: Iterable[Answer], outcomes: Sequence[Outcome], peers: Sequence[Outcome]) -> list[Standing]:
    """A standing for each answer whose number enough of the peers have.

    Peers were measured by the same method, version, options and access on data of the same name and size; with fewer
    of them than `FEWEST` nothing is said.
    """
    by_key = {outcome.key: outcome for outcome in outcomes}
    found = []
    for one in answers:
        outcome = by_key.get(one.decided_by or "")
        if outcome is None or one.metric is None or one.metric.value is None or one.metric.scale is None:
            continue
        alike = [peer for peer in peers if peer.method.name == outcome.method.name]
        if all(peer.target.digest == outcome.target.digest for peer in alike):
            continue
        from assay.analysis.percentile import percentile_of

        try:
            place = percentile_of(outcome, alike, one.metric.name)
        except DataError:
            continue
        if place.n < FEWEST:
            continue
        low, value, high = place.low, place.value, place.high
        if one.metric.scale.risk == "down":
            low, value, high = 100 - high, 100 - value, 100 - low
        found.append(Standing(family=one.family, riskier_than=value, low=low, high=high, n=place.n))
    return found
