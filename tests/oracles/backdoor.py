"""Slow, obviously right references: STRIP by one class, overlay and image at a time, p-values by loops."""

from __future__ import annotations

import math

from scipy.stats import t


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


def p_value_among_clean(row, clean):
    """The p-value of a network's statistics (a dict) among clean ones of one kind: loops, and nobody measures himself.

    Of every network the largest statistic counts, in standard deviations of the clean networks but itself.
    """

    def furthest(own, others):
        places = []
        for name in own:
            values = [other[name] for other in others]
            mean = sum(values) / len(values)
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
            places.append((own[name] - mean) / deviation)
        return max(places)

    found = furthest(row, clean)
    null = [furthest(own, clean[:place] + clean[place + 1 :]) for place, own in enumerate(clean)]
    rank = (1 + sum(value >= found for value in null)) / (len(null) + 1)
    mean = sum(null) / len(null)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in null) / (len(null) - 1))
    return max(rank, t.sf((found - mean) / (deviation * math.sqrt(1 + 1 / len(null))), len(null) - 1))
