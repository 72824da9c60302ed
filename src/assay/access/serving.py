"""How a target is put before the world: what it answers, after which policies, at what price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import Field, ValidationError

from assay.access.policies import Policy, parse_policy
from assay.base.errors import UsageError
from assay.base.frozen import Frozen
from assay.targets.target import Target

Output = Literal["posteriors", "top-k", "label"]
OUTPUT_ORDER: tuple[Output, ...] = ("label", "top-k", "posteriors")
"""From the least that an oracle may answer to the most."""


class Serving(Frozen):
    """The service's side of black-box access.

    ``output`` is the most that a caller gets; ``top_k`` counts when that is ``top-k``. ``policies`` are texts such as
    ``rounding=2`` or ``noise:scale=0.1,seed=7`` (see `assay.access.policies`), applied in order to full posteriors
    before the output mode cuts them.
    ``price_per_1000`` is in US dollars per 1,000 images. ``budget`` caps what one attack may ask, in images.
    """

    output: Output = "posteriors"
    top_k: int = Field(default=3, ge=1)
    policies: tuple[str, ...] = ()
    price_per_1000: float = Field(default=0.0, ge=0.0)
    budget: int | None = Field(default=None, ge=1)

    @classmethod
    def of(cls, target: Target, changes: Mapping[str, Any] | None = None) -> Serving:
        """The serving that a target's owner described, with changes.

        Raises:
            UsageError: if it is not valid.
        """
        try:
            serving = cls.model_validate({**target.serving, **(changes or {})})
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(map(str, wrong["loc"]))
            raise UsageError(f"The serving of {target.name} is wrong: {place}: {wrong['msg']}.") from None
        serving.build_policies()
        return serving

    def within(self, target: Target) -> Serving:
        """The same, where the target itself gives enough for it.

        Raises:
            UsageError: if it is a service that answers with less.
        """
        partial = target.answers in ("top-k", "label")
        if partial and OUTPUT_ORDER.index(self.output) > OUTPUT_ORDER.index(cast(Output, target.answers)):
            raise UsageError(f"{target.name} answers with {target.answers} only; its output cannot be {self.output}.")
        return self

    def build_policies(self) -> list[Policy]:
        """The policies, made.

        Raises:
            UsageError: if one is unknown or not valid.
        """
        return [parse_policy(text) for text in self.policies]

    def describe(self) -> dict[str, Any]:
        """The resolved settings, for identities and reports."""
        return {**self.model_dump(), "policies": [policy.describe() for policy in self.build_policies()]}
