"""RGF and P-RGF on an oracle."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from assay.access import WhiteBox
from assay.methods.evasion.prior_guided import RgfOptions, p_rgf
from assay.methods.evasion.queries import Ask, QueryResult
from assay.methods.evasion.query_method import PriorMethod, QueryMethod
from assay.methods.method import Preset, method
from assay.methods.stealing.basic import BasicStealing


@method
class Rgf(QueryMethod, RgfOptions):
    """RGF: the gradient is estimated from differences along random directions."""

    name: ClassVar[str] = "evasion.rgf"
    title: ClassVar[str] = "RGF, estimated gradients"
    summary: ClassVar[str] = "Estimates the gradient from questions along random directions; success and questions."
    paper: ClassVar[str] = "Cheng et al., Improving black-box adversarial attacks with a transfer-based prior, 2019"
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
        return p_rgf(ask, images, labels, None, self, generator)


@method
class PRgf(PriorMethod, RgfOptions):
    """P-RGF: random directions lean towards the surrogate's gradient, as far as it proves right."""

    name: ClassVar[str] = "evasion.p_rgf"
    title: ClassVar[str] = "P-RGF through a stolen surrogate"
    summary: ClassVar[str] = (
        "Estimates the gradient from questions, guided by a stolen surrogate; success and questions."
    )
    paper: ClassVar[str] = "Cheng et al., Improving black-box adversarial attacks with a transfer-based prior, 2019"
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
        return p_rgf(ask, images, labels, prior, self, generator)
