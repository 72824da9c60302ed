"""SimBA on an oracle."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from assay.access import WhiteBox
from assay.methods.evasion.greedy import SimbaOptions, simba
from assay.methods.evasion.queries import Ask, QueryResult
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.method import Preset, method


@method
class Simba(QueryMethod, SimbaOptions):
    """SimBA: one basis vector after the other, there and back."""

    name: ClassVar[str] = "evasion.simba"
    title: ClassVar[str] = "SimBA"
    summary: ClassVar[str] = (
        "Adds or takes away one cosine or pixel at a time and keeps what helps; success and questions."
    )
    paper: ClassVar[str] = "Guo et al., Simple black-box adversarial attacks, 2019"
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"full": {"max_images": 1000}}

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """See `QueryMethod.attack`."""
        return simba(ask, images, labels, self, generator)
