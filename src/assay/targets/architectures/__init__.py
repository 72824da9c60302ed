"""Small architectures that public weights need and that timm and torchvision do not have, one family per file."""

from assay.targets.architectures.registry import ARCHITECTURES, Builder, build

__all__ = ["ARCHITECTURES", "Builder", "build"]
