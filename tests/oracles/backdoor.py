"""Slow, obviously right references for STRIP: one class, one overlay, one image at a time."""

from __future__ import annotations

import math


def entropy_bits(posteriors):
    """STRIP's entropy of each input: posteriors[input][overlay][class] to bits[input]."""
    answers = []
    for of_input in posteriors:
        total = 0.0
        for of_overlay in of_input:
            for p in of_overlay:
                if p > 0:
                    total -= float(p) * math.log2(float(p))
        answers.append(total / len(of_input))
    return answers


def blended(image, other):
    """The mean of two images, pixel by pixel (nested lists of channels, rows, columns)."""
    return [
        [[(a + b) / 2 for a, b in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
        for planes in zip(image, other, strict=True)
    ]


def added(image, other):
    """The sum of two images, clipped at 1, pixel by pixel."""
    return [
        [[min(a + b, 1.0) for a, b in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
        for planes in zip(image, other, strict=True)
    ]


def moved_share(before, after, label):
    """The share of images not of a class before that are of it after; None if all were of it."""
    others = [b for b in zip(before, after, strict=True) if b[0] != label]
    return sum(b[1] == label for b in others) / len(others) if others else None
