"""GFCS and SimBA-ODS on an oracle, with a stolen surrogate."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from assay.access import WhiteBox
from assay.methods.evasion.greedy import GreedyOptions, gfcs, simba_ods
from assay.methods.evasion.queries import Ask, QueryResult
from assay.methods.evasion.query_method import PriorMethod
from assay.methods.method import Preset, method
from assay.methods.stealing.basic import BasicStealing


@method
class Gfcs(PriorMethod, GreedyOptions):
    """GFCS: the surrogate's gradient first, random combinations of its outputs where that fails."""

    name: ClassVar[str] = "evasion.gfcs"
    title: ClassVar[str] = "GFCS through a stolen surrogate"
    summary: ClassVar[str] = (
        "Tries a stolen surrogate's gradient, then random ones of its outputs; success and questions."
    )
    paper: ClassVar[str] = (
        "Lord et al., Attacking deep networks with surrogate-based adversarial black-box methods is easy, 2022"
    )
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "standard": {"surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 1000, "surrogate": BasicStealing.presets["full"]},
    }

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """See `QueryMethod.attack`."""
        return gfcs(ask, images, labels, prior, self, generator)


@method
class SimbaOds(PriorMethod, GreedyOptions):
    """SimBA along gradients of random combinations of the surrogate's outputs."""

    name: ClassVar[str] = "evasion.simba_ods"
    title: ClassVar[str] = "SimBA-ODS through a stolen surrogate"
    summary: ClassVar[str] = (
        "Tries gradients of random combinations of a stolen surrogate's outputs; success and questions."
    )
    paper: ClassVar[str] = (
        "Tashiro et al., Diversity can be transferred: output diversification for white- and black-box attacks, 2020"
    )
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "full": {"max_images": 1000, "surrogate": BasicStealing.presets["full"]},
    }

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """See `QueryMethod.attack`."""
        return simba_ods(ask, images, labels, prior, self, generator)
