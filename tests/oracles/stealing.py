"""Slow, obviously right references for stealing: one image and one class at a time."""

from __future__ import annotations

import math


def softmax(logits):
    """Posteriors of one row of logits."""
    largest = max(logits)
    powers = [math.exp(z - largest) for z in logits]
    return [power / sum(powers) for power in powers]


def first_largest(values):
    """The position of the largest value, the first of equals."""
    best = 0
    for position, value in enumerate(values):
        if value > values[best]:
            best = position
    return best


def agreement_share(target, surrogate):
    """The share of rows whose largest entries are at the same position."""
    return sum(first_largest(t) == first_largest(s) for t, s in zip(target, surrogate, strict=True)) / len(target)


def kl_divergences(target, surrogate_logits):
    """KL(target || softmax(logits)) of each row, in nats."""
    answers = []
    for posteriors, logits in zip(target, surrogate_logits, strict=True):
        nats = 0.0
        for p, q in zip(posteriors, softmax(logits), strict=True):
            if p > 0:
                nats += float(p) * (math.log(float(p)) - math.log(q))
        answers.append(nats)
    return answers
