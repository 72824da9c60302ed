"""What the methods that invert a trigger for every label share: their result, and how it is accounted for."""

from __future__ import annotations

import numpy as np

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.methods.backdoor.inversion.rules import Arms
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.null import judge, kind_of, shipped_nulls
from assay.methods.backdoor.models.outliers import FEWEST_LABELS, anomaly_indices, leads
from assay.methods.backdoor.models.results import (
    Inverted,
    held_out_success,
    inversion_metrics,
    inversion_samples,
    inversion_verdict,
    label_table,
    trigger_gallery,
)
from assay.methods.finding import Finding
from assay.methods.method import Context, WhiteBoxMethod

SMALLEST = 1e-3
"""Pixels as which a smaller trigger counts, so that its logarithm stays finite."""


class InversionMethod(WhiteBoxMethod[Inverted]):
    """A method whose `measure` hands back a finished search; see `inverted`."""

    parts = ("non_members",)

    def account(self, result: Inverted, context: Context) -> Finding:
        """The smallest trigger, judged against clean networks."""
        statistics = {"lead": float(result.leads.max())}
        judged = judge(self.name, statistics, result.kind, shipped_nulls(), context.weights)
        success = held_out_success(result, context.class_names)
        enough = len(result.sizes) >= FEWEST_LABELS
        return Finding(
            metrics=inversion_metrics(result, success, judged),
            verdict=inversion_verdict(result, success, judged, context.class_names, enough),
            figures=[trigger_gallery(result, context), label_table(result, context.class_names)],
            samples=inversion_samples(result),
        )


def inverted(
    box: WhiteBox, search: Search, sizes: Floats, clean: Clean, unit: str, finished: Arms | None = None
) -> Inverted:
    """What a ``search`` found, with its triggers' ``sizes`` (all arms,) in pixels of the ``unit``, tried held out.

    Only the ``finished`` arms count, all if None: unfinished triggers are too large, and would make others outliers.
    """
    arms = np.arange(len(sizes)) if finished is None else finished
    sizes = sizes[arms]
    best = int(arms[sizes.argmin()])
    others = clean.held_out[clean.others(int(search.labels[best]))]
    return Inverted(
        search=search,
        arms=arms,
        sizes=sizes,
        leads=leads(sizes.clip(min=SMALLEST)),
        indices=anomaly_indices(sizes),
        unit=unit,
        area=box.input_shape[1] * box.input_shape[2],
        moved=search.moved(others, best),
        clean=clean,
        kind=kind_of(box),
        gradients=box.ledger.gradients,
    )
