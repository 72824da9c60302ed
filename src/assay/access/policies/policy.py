"""The response policy as a type, and its registry."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access.store import Keys
from assay.base.frozen import Frozen
from assay.base.registry import Registry
from assay.base.settings import parse_setting

Posteriors = NDArray[np.float32]


class Asked(NamedTuple):
    """What was asked: ``images`` float32 (n, channels, height, width) in [0, 1], and their ``keys`` (n,)."""

    images: torch.Tensor
    keys: Keys


class Policy(Frozen):
    """A pure function on posteriors; each row depends on that row and its image alone.

    ``keeps_argmax`` says that the most probable class stays the most probable one (two classes that float32 can hardly
    tell apart may become equal).
    """

    name: ClassVar[str]
    keeps_argmax: ClassVar[bool]

    def __call__(self, posteriors: Posteriors, asked: Asked) -> Posteriors:
        """Posteriors float32 (n, classes) whose rows sum to 1, and what they answer, to the same shape."""
        raise NotImplementedError

    def imitated(self, seed: int) -> Policy:
        """The policy as an attacker has it who knows what the service does, and not its secrets.

        Keys of noise and networks of the owner are the attacker's own, drawn from ``seed``.
        """
        return self

    def undone(self, posteriors: Posteriors) -> Posteriors | None:
        """The posteriors that such answers were made from, both (n, classes); None where several would do."""
        return None

    def describe(self) -> dict[str, Any]:
        """Name and parameters, for identities and reports."""
        return {"name": self.name, **self.model_dump()}


POLICIES: Registry[type[Policy]] = Registry("policy", "assay.access.policies")


def parse_policy(text: str) -> Policy:
    """A policy from ``name``, ``name=value`` or ``name:parameter=value,...``; see `assay.base.settings.parse_setting`.

    Raises:
        UsageError: if the name or a parameter is unknown, or a value does not fit.
    """
    return parse_setting(POLICIES, text)


def normalised(posteriors: NDArray[Any]) -> Posteriors:
    """Rows divided by their sums."""
    rows: Posteriors = (posteriors / posteriors.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


def one_hot(posteriors: Posteriors) -> Posteriors:
    """1 at each row's own argmax (the first of equals), 0 elsewhere."""
    hot = np.zeros_like(posteriors)
    hot[np.arange(len(posteriors)), posteriors.argmax(axis=1)] = 1.0
    return hot
