"""Kernels and matrices of low rank: two thinner layers in place of one."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field

from assay.compression.compression import Compression, Workshop, compression, matrices


@compression
class LowRank(Compression):
    """Every kernel (out, in x height x width) and matrix is cut to a share of its rank, by its largest singular values.

    The layer keeps its form and holds the product of the two thinner layers that would be deployed (Denton et al., NIPS
    2014), so that a later step that quantises works on that product.
    """

    name: ClassVar[str] = "low-rank"

    share: float = Field(default=0.5, gt=0.0, lt=1.0, description="Share of the ranks that is kept, rounded up.")

    @torch.no_grad()
    def apply(self, network: torch.nn.Module, workshop: Workshop) -> torch.nn.Module:
        """Truncates the singular values of every kernel, flattened to (out, in x height x width)."""
        for weight in matrices(network).values():
            left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
            rank = math.ceil(self.share * len(values))
            weight.copy_(((left[:, :rank] * values[:rank]) @ right[:rank]).view_as(weight))
        return network
