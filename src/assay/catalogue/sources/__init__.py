"""The sources of the packaged catalogue, one module per source, all read offline from packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assay.catalogue.entry import Listing
from assay.catalogue.sources import kecam, openmmlab, pytorchcv, robustbench, timm, torchvision

SOURCES: dict[str, Callable[[Path | None], Listing]] = {
    "torchvision": torchvision.entries,
    "timm": timm.entries,
    "pytorchcv": pytorchcv.entries,
    "mmpretrain": openmmlab.mmpretrain,
    "mmcls": openmmlab.mmcls,
    "robustbench": robustbench.entries,
    "kecam": kecam.entries,
}
"""Readers of the packages, most exact first; each takes a folder of wheels for what is not installed."""
