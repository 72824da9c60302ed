"""Where the numbers of a model's last release lay, and which of them became better or worse."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import FiniteFloat

from assay.base.frozen import Frozen
from assay.methods.metric import Family, Metric
from assay.reports.format import count, date, number, supported_decimals, value_text
from assay.reports.wording import listed

LEVEL = 0.95
"""The probability that all intervals of a report's changes hold together."""

Direction = Literal["better", "worse", "not shown"]


class Moved(Frozen):
    """A number less that of the last release.

    ``low`` and ``high`` are its bounds (see `LEVEL`), None where one of the two numbers has no interval; ``how`` says
    from what they were computed. ``direction`` is *better* or *worse* for the owner only where the bounds leave 0 out.
    """

    change: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    how: str
    direction: Direction


class Before(Frozen):
    """A number of the last release, beside that of this report's outcome ``key`` with the same name.

    ``now`` is this report's number and ``method`` its method's title. ``moved`` is told of the number that decides the
    method's verdict, and of no other.
    """

    key: str
    family: Family
    method: str
    metric: Metric
    now: Metric
    moved: Moved | None = None

    @property
    def sentence(self) -> str:
        """Both numbers, and the bounds of the change where it has any."""
        told = f"{self.now.label} of {self.method} {value_text(self.metric)}, now {value_text(self.now)}"
        if self.moved is None or self.moved.low is None or self.moved.high is None:
            return told
        decimals = supported_decimals(self.now.interval)
        low, high = number(self.moved.low, decimals), number(self.moved.high, decimals)
        return f"{told} (change {low} to {high}, {self.moved.how})"


class LastRelease(Frozen):
    """Another model that a report is compared with: an earlier one of the same name, or one that was named.

    ``numbers`` are of methods that ran alike on both; ``left_out`` says of others why they cannot be compared, and
    ``notes`` what else is not the same.
    """

    name: str
    digest: str
    measured_until: datetime
    numbers: list[Before] = []
    left_out: list[str] = []
    notes: list[str] = []

    def before(self, key: str | None, metric: str) -> Metric | None:
        """The last release's number of that name, for one of this report's outcomes."""
        return next((one.metric for one in self.numbers if one.key == key and one.metric.name == metric), None)

    def moved(self, direction: Direction) -> list[Before]:
        """Deciding numbers that moved in a direction."""
        return [one for one in self.numbers if one.moved is not None and one.moved.direction == direction]

    @property
    def sentence(self) -> str:
        """What became worse or better; nothing is said to have moved whose bounds hold 0."""
        worse, better, still = (self.moved(direction) for direction in ("worse", "better", "not shown"))
        told = [
            f"{word} is {listed([one.sentence for one in found])}."
            for word, found in (("Worse", worse), ("Better", better))
            if found
        ]
        if still:
            told.append(f"No change is shown in {count(len(still), 'other number' if told else 'number')}.")
        if self.left_out:
            told.append(f"{count(len(self.left_out), 'method')} cannot be compared.")
        told += self.notes
        return f"Since the last release ({self.digest[:8]}, {date(self.measured_until)}): {' '.join(told)}"
