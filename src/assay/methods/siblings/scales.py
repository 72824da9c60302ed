"""What the family's verdicts are judged by."""

from __future__ import annotations

from assay.methods.finding import Scale

HIGH_SAVING = 5.0
"""A sibling that makes an attack more than so many times cheaper (lower bound) gives away much."""

LOW_SAVING = 1.5
"""One that makes it at most so many times cheaper (upper bound) gives away little."""

HIGH_GAIN = 0.20
"""A sibling with which so many more of the images fall (a share, lower bound) gives away much."""

LOW_GAIN = 0.05
"""One with which at most so many more fall (upper bound) gives away little."""

SAVING = Scale(risk="up", chance=1.0, high=HIGH_SAVING, low=LOW_SAVING, log=True)
"""Ratios of questions. A sibling that says nothing leaves an attack as dear as it was."""

GAIN = Scale(risk="up", chance=0.0, high=HIGH_GAIN, low=LOW_GAIN)
"""Differences of success within the cap."""
