"""Numbers with intervals and scales, and the verdicts that rest on them: what reports and gates read, without numpy."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import FiniteFloat, model_validator

from assay.base.frozen import Frozen

Family = Literal["stealing", "membership", "backdoor", "evasion", "siblings"]
FAMILIES: tuple[Family, ...] = ("stealing", "membership", "backdoor", "evasion", "siblings")
"""In the order of the questions."""

OPTIONAL: frozenset[Family] = frozenset({"siblings"})
"""Families whose question a report asks only where one of their methods was run: not every model has a sibling."""
Level = Literal["low", "elevated", "high", "undecided"]


class Interval(Frozen):
    """A confidence interval. ``method`` names how it was computed (``Clopper-Pearson``, ``DeLong``, ``bootstrap``)."""

    low: FiniteFloat
    high: FiniteFloat
    level: float = 0.95
    method: str


Risk = Literal["up", "down"]


class Scale(Frozen):
    """What a number is judged by.

    ``risk`` is the direction in which it gets worse for the owner. ``chance`` is what an attack that does nothing, or
    a model with nothing to find, would show. Beyond ``high`` (in the direction of the risk) a verdict is high or raises
    an alarm; short of ``low`` it is low. ``log`` compares logarithms, as for p-values.
    """

    risk: Risk
    chance: FiniteFloat
    high: FiniteFloat
    low: FiniteFloat | None = None
    log: bool = False

    @model_validator(mode="after")
    def _directed(self) -> Self:
        if (self.high > self.chance) != (self.risk == "up") or self.high == self.chance:
            raise ValueError("high must lie beyond chance, in the direction of the risk")
        return self

    def position(self, value: float) -> float:
        """Where a number lies: 0 at chance, 1 at ``high``, more beyond; numbers on different scales compare so."""
        shown, chance, high = (math.log(max(x, 1e-300)) if self.log else x for x in (value, self.chance, self.high))
        return (shown - chance) / (high - chance)


class Metric(Frozen):
    """One number: finite, or None where the data cannot support it, and ``note`` then says why.

    ``n`` is what it was computed from (images, say). A metric without an interval says why in ``note``. ``scale`` is
    what it is judged by; a number without one is shown and never judged. The unit ``%`` means 0 to 100.
    """

    name: str
    label: str
    value: FiniteFloat | None
    interval: Interval | None = None
    n: int | None = None
    unit: str = ""
    note: str = ""
    scale: Scale | None = None

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.value is None and not self.note:
            raise ValueError("a metric without a value must say why in its note")
        return self

    def judged_by(self, scale: Scale) -> Metric:
        """The same number with a scale."""
        return self.model_copy(update={"scale": scale})

    @property
    def position(self) -> float:
        """Where it lies on its scale (`Scale.position`); minus infinity without a value or a scale."""
        if self.value is None or self.scale is None:
            return -math.inf
        return self.scale.position(self.value)


class Verdict(Frozen):
    """A method's answer to its family's question. ``metric`` names the metric that decided: cards and tables show it.

    ``sentence`` says in plain words what the number means for this model. ``answers`` is False where the verdict is
    about something else than the family's question (whether a stolen copy can be claimed, say): a report shows it,
    and does not let it answer the question. ``weak`` is True where the method found nothing and could not have cleared
    the model: such a verdict is *undecided*, and leaves the *low* of a stronger method standing.
    """

    level: Level
    metric: str
    sentence: str
    answers: bool = True
    weak: bool = False

    @model_validator(mode="after")
    def _weak_is_undecided(self) -> Self:
        if self.weak and self.level != "undecided":
            raise ValueError("a weak verdict must be undecided")
        return self
