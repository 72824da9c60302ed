"""The response policy as a type, and its registry."""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from assay.access.store import Keys
from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.base.registry import Registry

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
    """A policy from ``name``, ``name=value`` (its first parameter) or ``name:parameter=value,parameter=value``.

    Raises:
        UsageError: if the name or a parameter is unknown, or a value does not fit.
    """
    head, colon, named = text.partition(":")
    name, equals, value = head.partition("=")
    kind = POLICIES.get(name)
    fields = _parameters(kind)
    values = {fields[0]: value} if value and fields else {}
    if value and not fields:
        raise UsageError(f"The policy {name!r} takes no value.")
    for pair in re.split(r",(?=\w+=)", named) if colon else []:
        parameter, equals, value = pair.partition("=")
        if not equals or parameter in values:
            raise UsageError(f"{text!r} is not of the form {name}:parameter=value,parameter=value, each given once.")
        if parameter not in fields:
            raise UsageError(f"The policy {name!r} has no parameter {parameter!r}: {nearest(parameter, fields)}")
        values[parameter] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"The policy {text!r} is not valid: {error.errors()[0]['msg']}.") from None


def _parameters(kind: type[Policy]) -> list[str]:
    """A policy's parameters, those of its own class before those of its bases."""
    declared = (name for base in kind.__mro__ for name in vars(base).get("__annotations__", {}))
    return [name for name in dict.fromkeys(declared) if name in kind.model_fields]


def normalised(posteriors: NDArray[Any]) -> Posteriors:
    """Rows divided by their sums."""
    rows: Posteriors = (posteriors / posteriors.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


def one_hot(posteriors: Posteriors) -> Posteriors:
    """1 at each row's own argmax (the first of equals), 0 elsewhere."""
    hot = np.zeros_like(posteriors)
    hot[np.arange(len(posteriors)), posteriors.argmax(axis=1)] = 1.0
    return hot
