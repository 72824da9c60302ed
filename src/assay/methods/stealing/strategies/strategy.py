"""The query strategy as a type, and its registry."""

from __future__ import annotations

from typing import ClassVar

from assay.base.frozen import Frozen
from assay.base.registry import Registry
from assay.base.settings import parse_setting
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality


class Strategy(Frozen):
    """Which images to ask about; its fields are its options.

    ``needs_pool`` says that it chooses from unlabelled images. ``needs_posteriors`` says that labels do not suffice to
    choose by. With ``trains_itself`` the surrogate that the strategy leaves behind is the copy; otherwise a fresh one
    is trained on all answers in the end. ``modalities`` are those that it can ask about.
    """

    name: ClassVar[str]
    needs_pool: ClassVar[bool] = True
    needs_posteriors: ClassVar[bool] = False
    trains_itself: ClassVar[bool] = False
    modalities: ClassVar[tuple[Modality, ...]] = ("image", "text", "vector")

    def run(self, thief: Thief) -> None:
        """Ask until the budget is spent (`Thief.ask` then raises `OutOfQuestions`) or there is nothing left to ask.

        Nothing but the thief may be asked, and random numbers come from `Thief.generator` alone.
        """
        raise NotImplementedError


STRATEGIES: Registry[type[Strategy]] = Registry("strategy", "assay.methods.stealing.strategies")


def parse_strategy(text: str) -> Strategy:
    """A strategy from text, such as ``random`` or ``margin:rounds=5,seed_share=0.2``; see `parse_setting`."""
    return parse_setting(STRATEGIES, text)
