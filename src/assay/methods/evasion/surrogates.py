"""Public networks that an attacker has in hand, weighted for each image."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch

from assay.access import Ledger, WhiteBox
from assay.catalogue.curated import Loadable, curated
from assay.targets.target import Target


def public_networks(target: Target, most: int) -> list[Loadable]:
    """Networks of the catalogue for the target's data set and input, the most accurate first, at most so many.

    None that has the target's name; one that has its weights is for the caller to leave out, once it is loaded. The
    data set of a target that is not in the catalogue itself is told by the name of its test images.
    """
    own, part = curated().get(target.name), target.splits.non_members
    dataset = own.dataset if own is not None else part.name.split()[0] if part is not None else ""
    fitting = [
        entry
        for entry in curated().values()
        if entry.dataset == dataset
        and entry.id != target.name
        and entry.input_shape == target.input_shape
        and entry.num_classes == target.num_classes
    ]
    return sorted(fitting, key=lambda entry: (-accuracy(entry), entry.id))[:most]


def accuracy(entry: Loadable) -> float:
    """An entry's accuracy in [0, 1], measured or else claimed; 0 where nobody says."""
    return entry.measured_accuracy or entry.claimed.get("accuracy", 0.0)


class Committee(WhiteBox):
    """Several networks for the same images, their log-probabilities averaged with the same or with given weights.

    Each member counts its own gradients, which are all counted here too.
    """

    def __init__(self, members: Sequence[WhiteBox]) -> None:
        """One network or more, which take the same images and tell the same classes apart.

        Raises:
            ValueError: if there is none, or they do not.
        """
        kinds = {(member.input_shape, member.num_classes) for member in members}
        if len(kinds) != 1:
            raise ValueError("a committee is one network or more, all of one shape and number of classes")
        self.__dict__.update(copy.copy(members[0]).__dict__)
        self.members = tuple(members)
        self.ledger = Ledger()

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Mean log-probabilities (n, classes)."""
        return torch.stack([member.logits(images).log_softmax(dim=1) for member in self.members]).mean(dim=0)

    def gradient(
        self, images: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The members' mean gradient (n, c, h, w) of the loss of log-probabilities, and the mean of these."""
        weights = torch.full((len(images), len(self.members)), 1 / len(self.members))
        return self.weighted(images, weights, loss)

    def weighted(
        self, images: torch.Tensor, weights: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `gradient`, with weights (n, members) of each image's own.

        A member is asked only about the images for which it counts.
        """
        gradients = torch.zeros_like(images)
        answers = torch.zeros((len(images), self.num_classes))
        for number, member in enumerate(self.members):
            rows = torch.nonzero(weights[:, number])[:, 0]
            if not len(rows):
                continue
            chosen = rows

            def of_all(logits: torch.Tensor, chosen: torch.Tensor = chosen) -> torch.Tensor:
                # The loss is one of all images: rows that this member is not asked about are filled with zeros.
                whole = torch.zeros((len(images), self.num_classes), device=logits.device)
                return loss(whole.index_copy(0, chosen.to(logits.device), logits.log_softmax(dim=1)))[
                    chosen.to(logits.device)
                ]

            slopes, logits = member.gradient(images[rows], of_all)
            self.ledger.gradients += len(rows)
            weight = weights[rows, number]
            gradients[rows] += weight[:, None, None, None] * slopes
            answers[rows] += weight[:, None] * logits.log_softmax(dim=1)
        return gradients, answers
