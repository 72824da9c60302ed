"""What every membership attack begins with: the samples whose membership is judged, and the target's answers."""

from __future__ import annotations

from typing import Generic, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Answers, Oracle
from assay.access.store import image_keys
from assay.base.errors import BudgetError, DataError
from assay.data.images import UNLABELLED, Images, Subset
from assay.data.splits import Splits
from assay.methods.membership.blind import Blind, blind
from assay.methods.method import Context, OracleMethod, Result
from assay.methods.work import Sizes, Work

MOST_OVERLAP = 0.01
"""The share of non-members that may be members too (equal images); they are left out. More is an error."""


class Part(NamedTuple):
    """Members or non-members: ``rows`` int64 (n,) in their part of the data, true ``labels`` int64 (n,), answers."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    answers: Answers


class Population(NamedTuple):
    """Everybody whose membership is judged. ``note`` says what was left out, for the reader.

    ``blind`` is how well they are told apart without the model; None if that was not tried.
    """

    members: Part
    non_members: Part
    note: str
    blind: Blind | None = None

    @property
    def parts(self) -> tuple[Part, Part]:
        """Members, and non-members."""
        return self.members, self.non_members

    @property
    def labelled(self) -> bool:
        """Whether the true labels are known; recorded answers may have none."""
        return not any((part.labels == UNLABELLED).any() for part in self.parts)

    @property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether the target's label is the true one, of members (m,) and of non-members (n,)."""
        first, second = (part.answers.labels == part.labels for part in self.parts)
        return first, second


class MembershipMethod(OracleMethod[Result], Generic[Result]):
    """Base of the membership attacks. All of them judge the same samples, so that answers are asked for once."""

    parts = ("members", "non_members")
    version = 3
    novel_inputs = False

    max_members: int | None = Field(
        default=10_000, ge=2, description="At most so many members are judged, drawn at random; none: all of them."
    )
    max_non_members: int | None = Field(
        default=None, ge=2, description="At most so many non-members are judged, drawn at random; none: all of them."
    )

    blind_baseline: bool = Field(
        default=True,
        description="Whether a classifier that never asks the model is trained to tell members from non-members. What "
        "it finds is a shift between the two sets, and is not counted as a leak.",
    )

    def work(self, sizes: Sizes) -> Work | None:
        """One answer for each sample, and arithmetic on them."""
        members = min(self.max_members or sizes.members, sizes.members)
        non_members = min(self.max_non_members or sizes.non_members, sizes.non_members)
        return Work(members=members, non_members=non_members, seconds=3e-5 * (members + non_members))

    def ask(self, oracle: Oracle, data: Splits, context: Context, questions: int = 1) -> Population:
        """The target's answers about members and non-members, each asked once.

        A budget that does not allow ``questions`` for each sample shrinks members and non-members in proportion; a
        method that asks more than once says so there. Non-members that are members too are left out.

        Raises:
            DataError: if a part is missing, or more than `MOST_OVERLAP` of the non-members are members.
            BudgetError: if the budget leaves fewer than two of each.
        """
        if data.members is None or data.non_members is None:
            raise DataError("Membership inference needs members and non-members of the target's training set.")
        sizes = [
            min(len(part), cap or len(part))
            for part, cap in ((data.members, self.max_members), (data.non_members, self.max_non_members))
        ]
        wanted = _affordable(oracle, sizes, questions)
        before = oracle.ledger.duplicates
        members = _ask(oracle, data.members, wanted[0], context, "members")
        non_members = _ask(oracle, data.non_members, wanted[1], context, "non-members")
        notes = []
        if wanted != sizes:
            notes.append(f"The budget allowed {wanted[0]:,} members and {wanted[1]:,} non-members.")
        if oracle.ledger.duplicates > before and not is_recorded(data.members, oracle):
            known = set(_keys(data.members, members.rows))
            new = np.array([key not in known for key in _keys(data.non_members, non_members.rows)])
            overlap = int((~new).sum())
            if overlap > MOST_OVERLAP * len(new):
                raise DataError(
                    f"{overlap:,} of {len(new):,} non-members are members too (equal images): "
                    "membership cannot be measured on parts that overlap."
                )
            if overlap:
                notes.append(f"{overlap:,} non-members that are members too (equal images) were left out.")
                non_members = _only(non_members, new)
        found = None
        if self.blind_baseline and not is_recorded(data.members, oracle):
            found = blind(Subset(data.members, members.rows), Subset(data.non_members, non_members.rows), context)
        return Population(members, non_members, " ".join(notes), found)


def is_recorded(images: Images, oracle: Oracle) -> bool:
    """Whether the images are recorded answers, one row of posteriors each, and not pictures."""
    return images.shape == (1, 1, oracle.num_classes)


def _affordable(oracle: Oracle, sizes: list[int], questions: int) -> list[int]:
    if oracle.remaining is None or questions * sum(sizes) <= oracle.remaining:
        return sizes
    shrunk = [size * (oracle.remaining // questions) // sum(sizes) for size in sizes]
    if min(shrunk) < 2:
        raise BudgetError(
            f"The budget leaves {oracle.remaining} images; membership inference needs members and non-members, "
            f"at least two of each out of {sizes[0]:,} and {sizes[1]:,}."
        )
    return shrunk


def _ask(oracle: Oracle, part: Images, count: int, context: Context, name: str) -> Part:
    order = torch.randperm(len(part), generator=context.generator(f"membership: {name}")).numpy()
    rows = np.sort(order[:count]).astype(np.int64)
    subset = Subset(part, rows)
    return Part(rows, subset.labels, oracle.ask_all(subset, context.progress, f"asking about {name}"))


def _keys(part: Images, rows: NDArray[np.int64], step: int = 1024) -> list[bytes]:
    batches = (rows[start : start + step] for start in range(0, len(rows), step))
    return [key.tobytes() for batch in batches for key in image_keys(part.take(batch))]


def _only(part: Part, keep: NDArray[np.bool_]) -> Part:
    posteriors = part.answers.posteriors
    answers = Answers(part.answers.labels[keep], None if posteriors is None else posteriors[keep])
    return Part(part.rows[keep], part.labels[keep], answers)
