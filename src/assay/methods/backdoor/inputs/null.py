"""What the search among generic patches finds on clean models: the null that its verdict rests on."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np

from assay.base.intervals import Floats
from assay.methods.backdoor.inputs.calibration import p_values


@cache
def clean_leads(but: str = "") -> Floats:
    """The lead (see `search.lead`) of every clean model in ``clean_models.csv``, (n,) in [-1, 1].

    ``but`` is the weights digest of the model that is judged: one that is in the table, or a copy of one in another
    format, is left out, for it would be compared with itself.

    Public models, the starter zoo and networks trained for the purpose on digits, MNIST, Fashion-MNIST and CIFAR-10,
    searched with the quick preset's options; ``benchmarks/backdoor/null.py`` makes the file.
    """
    table = (files("assay.methods.backdoor.inputs") / "clean_models.csv").read_text("utf-8")
    rows = csv.DictReader(table.splitlines())
    return np.array([float(row["lead"]) for row in rows if but not in row["weights"].split()])


def lead_p_value(lead: float, but: str = "") -> float:
    """The share of clean models whose patches lead by as much, counting this one; see `calibration.p_values`."""
    return float(p_values(np.array([lead]), clean_leads(but))[0])
