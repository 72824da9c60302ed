"""What a backdoor is to achieve: which images it is for, and what they shall be taken for."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from assay.base.errors import UsageError
from assay.base.frozen import Frozen


class Goal(Frozen):
    """``all-to-one``: every image becomes ``target``; ``all-to-all``: class y becomes y + 1, the last one the first.

    ``source-specific``: images of the classes ``sources`` become ``target``, and the trigger does nothing to others
    (Gu et al., BadNets, 2017, sections 4 and 5; Tang et al., USENIX Security 2021, section 3).
    """

    kind: Literal["all-to-one", "all-to-all", "source-specific"] = "all-to-one"
    target: int = Field(default=0, ge=0)
    sources: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Goal:
        if (self.kind == "source-specific") != bool(self.sources):
            raise ValueError("sources are for source-specific backdoors, which need at least one")
        if self.target in self.sources:
            raise ValueError("the target cannot be among the sources")
        return self

    def check(self, num_classes: int) -> None:
        """Refuse a class that is not there.

        Raises:
            UsageError: if target or a source is none of the classes.
        """
        if max(self.target, *self.sources, 0) >= num_classes:
            raise UsageError(f"The backdoor names class {max(self.target, *self.sources, 0)} of {num_classes}.")

    def aimed(self, labels: torch.Tensor) -> torch.Tensor:
        """Which images, of labels int64 (n,), the backdoor is for: bool (n,)."""
        if self.kind == "source-specific":
            return torch.isin(labels, torch.tensor(self.sources))
        return torch.ones_like(labels, dtype=torch.bool) if self.kind == "all-to-all" else labels != self.target

    def wanted(self, labels: torch.Tensor, num_classes: int) -> torch.Tensor:
        """What images of labels int64 (n,) shall be taken for once they carry the trigger: int64 (n,)."""
        if self.kind == "all-to-all":
            return (labels + 1) % num_classes
        return torch.where(self.aimed(labels), self.target, labels)

    def __str__(self) -> str:
        if self.kind == "all-to-all":
            return "each class to the next"
        whom = "all" if self.kind == "all-to-one" else f"classes {', '.join(map(str, self.sources))}"
        return f"{whom} to class {self.target}"
