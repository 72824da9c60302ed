"""From a finished inversion to a finding."""

from __future__ import annotations

import numpy as np

from assay.access import WhiteBox
from assay.methods.backdoor.inversion.rules import Arms
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.null import judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import FEWEST_LABELS, Floats, anomaly_indices, leads
from assay.methods.backdoor.models.results import (
    Tried,
    held_out_success,
    inversion_metrics,
    inversion_verdict,
    label_columns,
    label_table,
    trigger_gallery,
)
from assay.methods.finding import Finding
from assay.methods.method import Context

SMALLEST = 1e-3
"""Pixels as which a smaller trigger counts, so that its logarithm stays finite."""


def finding_of(
    detector: str,
    box: WhiteBox,
    search: Search,
    sizes: Floats,
    clean: Clean,
    context: Context,
    unit: str,
    arms: Arms | None = None,
) -> Finding:
    """What a ``search`` found, its triggers' ``sizes`` (all arms,) counted in pixels of the ``unit``.

    Only the finished ``arms`` count, all if None: unfinished triggers are too large, and would make others outliers.
    """
    area = box.input_shape[1] * box.input_shape[2]
    finished = np.arange(len(sizes)) if arms is None else arms
    sizes = sizes[finished]
    tried = Tried(search, finished, sizes, leads(sizes.clip(min=SMALLEST)), anomaly_indices(sizes), unit, area)
    judged = judge(detector, {"lead": float(tried.leads.max())}, kind_of(box), shipped_nulls(), context.weights)
    success = held_out_success(tried, clean, context.class_names)
    enough = len(sizes) >= FEWEST_LABELS
    return Finding(
        metrics=inversion_metrics(tried, success, judged, box),
        verdict=inversion_verdict(tried, success, judged, context.class_names, enough),
        figures=[trigger_gallery(tried, clean, context), label_table(tried, context.class_names)],
        samples=label_columns(tried),
    )
