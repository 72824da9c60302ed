"""Measure how stealable, leaky, backdoored and evadable a machine-learning model is, before you publish it.

    target = assay.Target.from_module(model, input_shape=(3, 32, 32), num_classes=10, splits=splits)
    assay.audit(target, preset="quick").write("report")

Names are imported when they are first used, so that ``import assay`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.base.cores import wait_passively
from assay.base.lazy import lazily

wait_passively()

if TYPE_CHECKING:
    from assay.access import Serving
    from assay.api import Audit, audit
    from assay.base.errors import AssayError
    from assay.data.formats import load_dataset
    from assay.data.images import ArrayImages
    from assay.data.splits import Splits, make_splits
    from assay.studies import Outcome, Workspace
    from assay.targets.reference import load_target
    from assay.targets.target import Target

__getattr__ = lazily(
    __name__,
    {
        "ArrayImages": "assay.data.images",
        "AssayError": "assay.base.errors",
        "Audit": "assay.api",
        "Outcome": "assay.studies",
        "Serving": "assay.access",
        "Splits": "assay.data.splits",
        "Target": "assay.targets.target",
        "Workspace": "assay.studies",
        "audit": "assay.api",
        "load_dataset": "assay.data.formats",
        "load_target": "assay.targets.reference",
        "make_splits": "assay.data.splits",
    },
)

__all__ = [
    "ArrayImages",
    "AssayError",
    "Audit",
    "Outcome",
    "Serving",
    "Splits",
    "Target",
    "Workspace",
    "audit",
    "load_dataset",
    "load_target",
    "make_splits",
]
