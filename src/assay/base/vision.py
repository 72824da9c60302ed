"""torchvision and timm, imported so that they also work beside a torch without CUDA."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_MISSING_OPERATOR = "torchvision::nms"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


def import_torchvision() -> ModuleType:
    """torchvision, whose compiled operators may be unable to load.

    Builds of torchvision for CUDA cannot load their operators beside a torch for CPUs, and then even the import fails,
    because the two detection operators that the package describes to torch are unknown. Only in that case they are
    declared here, without a body; classifiers need neither.
    """
    global _library
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _library is not None or _MISSING_OPERATOR not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)  # type: ignore[no-untyped-call]
    return importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """timm, which imports torchvision."""
    import_torchvision()
    return importlib.import_module("timm")
