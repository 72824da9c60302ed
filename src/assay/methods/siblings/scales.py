"""What the family's verdicts are judged by."""

from __future__ import annotations

from assay.methods.evasion.results import HIGH_SUCCESS, LOW_SUCCESS
from assay.methods.finding import Scale

HIGH_SAVING = 5.0
"""A sibling that makes an attack more than so many times cheaper (lower bound) gives away much."""

LOW_SAVING = 1.5
"""One that makes it at most so many times cheaper (upper bound) gives away little."""

SAVING = Scale(risk="up", chance=1.0, high=HIGH_SAVING, low=LOW_SAVING, log=True)
"""Ratios of questions. A sibling that says nothing leaves an attack as dear as it was."""

TRANSFER = Scale(risk="up", chance=0.0, high=HIGH_SUCCESS, low=LOW_SUCCESS)
"""Shares of images that are misclassified."""
