"""What was asked of a target, counted."""

from __future__ import annotations

from dataclasses import dataclass

from assay.base.frozen import Frozen


class Spent(Frozen):
    """The sum of a ledger.

    ``images`` were charged, one each; ``duplicates`` were asked again by the same attacker, who has notes, and cost
    nothing; ``calls`` are requests; ``forwards`` are images that the network really computed in this run (the rest
    came from the posterior store); ``gradients`` are images back-propagated to the input: the target's (white
    box only), and those of other models that the attacker has in hand.
    """

    images: int = 0
    calls: int = 0
    duplicates: int = 0
    price: float = 0.0
    forwards: int = 0
    gradients: int = 0


@dataclass
class Ledger:
    """A running count; see `Spent`. ``price_per_1000`` is in US dollars."""

    price_per_1000: float = 0.0
    images: int = 0
    calls: int = 0
    duplicates: int = 0
    forwards: int = 0
    gradients: int = 0

    def total(self) -> Spent:
        """What was spent so far."""
        return Spent(
            images=self.images,
            calls=self.calls,
            duplicates=self.duplicates,
            price=self.images * self.price_per_1000 / 1000,
            forwards=self.forwards,
            gradients=self.gradients,
        )
