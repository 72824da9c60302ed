"""Random images of the pool."""

from __future__ import annotations

from typing import ClassVar

from assay.methods.stealing.strategies.rounds import drawn
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief


@STRATEGIES.add("random")
class Random(Strategy):
    """Images of the pool in random order, each at most once (Orekondy et al., Knockoff Nets, CVPR 2019)."""

    name: ClassVar[str] = "random"

    def run(self, thief: Thief) -> None:
        rows = thief.unasked
        thief.ask(drawn(rows, len(rows), thief.generator("questions")))
