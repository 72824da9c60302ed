"""What a model gets right before anything is done to it, and what follows if that is not as it should be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from assay.base.frozen import Frozen
from assay.methods.metric import Verdict

Cause = Literal["chance", "expected", "labels", "pixels"]


class Share(Frozen):
    """The accuracy on one part, with its 95 % interval (Wilson)."""

    value: float
    low: float
    high: float
    n: int


class Sanity(Frozen):
    """What a model gets right before anything is done to it.

    ``accuracy`` is by part, on at most 256 images each; ``majority`` what always answering with the most frequent
    class would reach, and ``chance`` guessing. ``expected`` is what a target file or the authors say. ``doubt`` is one
    sentence or two on what is wrong, empty if nothing is, and ``cause`` which kind of thing it is. ``preprocessing`` is
    what a target file would say to get the accuracy that ``doubt`` names, where that is so simple.
    """

    accuracy: dict[str, Share]
    majority: float
    chance: float
    expected: float | None = None
    cause: Cause | None = None
    doubt: str = ""
    preprocessing: dict[str, Any] = Field(default={})


def cautious(verdict: Verdict, sanity: Sanity | None) -> Verdict:
    """A method's verdict, where the model is not in doubt; else nothing is low."""
    if sanity is None or not sanity.doubt or verdict.level != "low":
        return verdict
    sentence = f"Undecided, for the model itself is in doubt. {sanity.doubt} Measured as it is: {verdict.sentence}"
    return verdict.model_copy(update={"level": "undecided", "sentence": sentence})
