"""The parts of the data that an assessment uses, kept apart."""

from __future__ import annotations

from typing import NamedTuple

from assay.targets.data import Images


class Splits(NamedTuple):
    """Disjoint parts of a target's data.

    ``members`` were in the target's training set and ``non_members`` were not: the evaluator's truth. ``auxiliary`` is
    what an attacker has: the rest of the training set (a partial training set), or an out-of-distribution set resized
    to the target's input. Methods that need none of one part work with it missing.
    """

    members: Images | None = None
    non_members: Images | None = None
    auxiliary: Images | None = None

    def digests(self) -> dict[str, str]:
        """Part name to content digest, parts that are there."""
        return {name: part.digest for name, part in self._asdict().items() if part is not None}
