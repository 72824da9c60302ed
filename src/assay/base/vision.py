"""torchvision and timm, imported so that they also work beside a torch without CUDA."""

from __future__ import annotations

import importlib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


def prepare_torchvision() -> None:
    """Make ``import torchvision`` work in whatever code imports it later: a user's factory, timm, transformers.

    Builds of torchvision for CUDA cannot load their compiled operators beside a torch for CPUs. Then the import itself
    fails, because torchvision attaches shape functions to two detection operators that do not exist. Only in that case
    their schemas are declared here, without an implementation; classifiers call neither. No-op if torchvision is not
    installed, or its operators load. Does not import torchvision.
    """
    global _library
    if _library is not None or hasattr(torch.ops.torchvision, "nms"):
        return
    found = find_spec("torchvision")
    if (
        found is None
        or not found.submodule_search_locations
        or _operators_load(Path(*found.submodule_search_locations))
    ):
        return
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)  # type: ignore[no-untyped-call]


def _operators_load(package: Path) -> bool:
    """Whether the compiled operators of torchvision can be loaded; they are loaded then."""
    for file in (package / f"_C{suffix}" for suffix in EXTENSION_SUFFIXES):
        if file.is_file():
            try:
                torch.ops.load_library(str(file))  # type: ignore[no-untyped-call]
            except OSError:
                return False
            return True
    return False


def import_torchvision() -> ModuleType:
    """torchvision, after `prepare_torchvision`."""
    prepare_torchvision()
    return importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """timm, which imports torchvision."""
    import_torchvision()
    return importlib.import_module("timm")
