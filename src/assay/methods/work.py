"""What a method will do, in units that a calibration turns into seconds before anything is run."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """How large a target's parts are (0 where one is missing), how many classes it has, and what it takes."""

    members: int = 0
    non_members: int = 0
    auxiliary: int = 0
    suspects: int = 0
    classes: int = 0
    shape: tuple[int, int, int] = (1, 1, 1)


class Work(NamedTuple):
    """What is to be computed.

    ``members``, ``non_members`` and ``auxiliary`` are images of those parts that the target is asked about: answers
    are kept, so that another method pays for none twice. ``forwards`` are images of its own making, or that a white box
    evaluates; ``gradients`` are images through the network and back to the input. ``training`` are images through
    training steps (forwards, back, an update) of the architecture ``trains``, reduced to ``side`` pixels (0: as they
    are); with ``shared`` the trained networks are kept for methods that want the same. ``seconds`` is arithmetic that
    is none of these.
    """

    members: float = 0.0
    non_members: float = 0.0
    auxiliary: float = 0.0
    forwards: float = 0.0
    gradients: float = 0.0
    training: float = 0.0
    trains: str = ""
    side: int = 0
    shared: bool = False
    seconds: float = 0.0
