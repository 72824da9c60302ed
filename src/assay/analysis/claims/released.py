"""SecurityNet's released table as evidence: every recomputed quantity, so that claims can be judged without it."""

from __future__ import annotations

from typing import Any

from assay.analysis.claims.evidence import Evidence, Number
from assay.analysis.securitynet import TITLES, Analysis
from assay.catalogue.importers.securitynet import Tables

RELEASED = "2024-10-31"
COMMIT = "ffc8f38"


def securitynet_evidence(analysis: Analysis, tables: Tables) -> Evidence:
    """Tables by claim (D1 to D20), rows by label; and the leverage of the weakest victims by data set.

    Metrics: value (with interval), rho, p, holm (Holm's p over all correlations).
    """
    found: dict[str, dict[str, dict[str, Number]]] = {}
    for quantity in analysis.quantities:
        if quantity.value is None:
            continue
        bounds: dict[str, Any] = {}
        if quantity.interval is not None:
            bounds = {"low": quantity.interval.low, "high": quantity.interval.high, "how": quantity.interval.method}
        row = {"value": Number(value=quantity.value, n=quantity.n, **bounds)}
        others = {"rho": quantity.rho, "p": quantity.p, "holm": quantity.holm}
        row |= {name: Number(value=value) for name, value in others.items() if value is not None}
        found.setdefault(quantity.claim, {})[quantity.label] = row
    found["leverage"] = {
        TITLES[name]: {f"without {step.k}": Number(value=step.r, n=step.n) for step in steps}
        for name, steps in analysis.leverage.items()
    }
    return Evidence(
        study="securitynet",
        origin="released-table",
        date=RELEASED,
        source=f"SecurityNet's Database/README.MD at {COMMIT}",
        configuration=f"{len(tables.benchmark)} benchmark and {len(tables.security)} security models of the paper's "
        "910; recomputed by `assay analysis correlate`; bootstrap over models, or exact intervals of shares",
        tables=found,
    )
