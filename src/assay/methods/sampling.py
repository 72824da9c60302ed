"""Random parts of an image set."""

from __future__ import annotations

import torch

from assay.data.images import Images, Subset


def drawn(images: Images, most: int, generator: torch.Generator) -> Subset:
    """At most so many images, drawn without replacement, in their original order."""
    order = torch.randperm(len(images), generator=generator)
    return Subset(images, order[:most].sort().values.numpy())
