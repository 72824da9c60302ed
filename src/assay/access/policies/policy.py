"""The response policy as a type, and its registry."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from assay.access.store import Keys
from assay.base.errors import UsageError
from assay.base.registry import Registry

Posteriors = NDArray[np.float32]


class Policy(BaseModel):
    """A pure function on posteriors; each row depends on that row and its image alone.

    ``keeps_argmax`` says that the most probable class stays the most probable one (two classes that float32 can hardly
    tell apart may become equal).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    keeps_argmax: ClassVar[bool]

    def __call__(self, posteriors: Posteriors, keys: Keys) -> Posteriors:
        """Posteriors float32 (n, classes) whose rows sum to 1, and the image keys (n,), to the same shape."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Name and parameters, for identities and reports."""
        return {"name": self.name, **self.model_dump()}


POLICIES: Registry[type[Policy]] = Registry("policy", "assay.access.policies")


def parse_policy(text: str) -> Policy:
    """A policy from ``name`` or ``name=value``, where value is the policy's first parameter.

    Raises:
        UsageError: if the name is unknown or the value does not fit.
    """
    name, _, value = text.partition("=")
    kind = POLICIES.get(name)
    fields = list(kind.model_fields)
    if value and not fields:
        raise UsageError(f"The policy {name!r} takes no value.")
    try:
        return kind.model_validate({fields[0]: value} if value else {})
    except ValidationError as error:
        raise UsageError(f"The policy {text!r} is not valid: {error.errors()[0]['msg']}.") from None


def normalised(posteriors: Posteriors) -> Posteriors:
    """Rows divided by their sums."""
    rows: Posteriors = (posteriors / posteriors.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows
