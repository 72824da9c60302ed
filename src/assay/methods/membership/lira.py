"""LiRA, the likelihood-ratio attack: the answer of a model that was, or was not, trained on an example.

Carlini, Chien, Nasr, Song, Terzis and Tramer, Membership Inference Attacks From First Principles, S&P 2022. Values are
scaled logits (`logits.scaled_logit`): of the target (examples,) or (examples, queries), of the shadow models with one
more leading axis; ``inside`` is bool (models, examples). Scores are float64 (examples,), higher for members.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from assay.base.intervals import Floats
from assay.methods.membership.shadows import (
    TRAINED,
    UNTRAINED,
    Bools,
    Values,
    chosen_values,
    medians,
    with_queries,
)

LEAST_DEVIATION = 1e-30
"""Added to standard deviations, as in the authors' code."""


class Gaussians(NamedTuple):
    """One normal distribution for each example and query: means (examples, queries), deviations likewise or (1, 1)."""

    mean: Floats
    deviation: Floats

    def log_density(self, values: Floats) -> Floats:
        """The log of N(value; mean, deviation^2), (examples, queries)."""
        scale = self.deviation + LEAST_DEVIATION
        return np.asarray(-0.5 * ((values - self.mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi))


def lira_online(target: Values, shadows: Values, inside: Bools, *, fixed_variance: bool = False) -> Floats:
    """The log of N(value; IN) / N(value; OUT), averaged over queries (section IV-C and algorithm 1).

    Each example has its own two distributions: median and standard deviation over the shadow models that were trained
    on it, and over those that were not. The median is from the authors' code; the paper writes the mean.
    ``fixed_variance`` pools the deviations around the examples' own medians over all examples and queries, which is
    better with fewer than 64 shadow models (section VI-B).

    Raises:
        DataError: if shapes disagree, values are not finite, or an example has fewer than two shadow models of a kind
            (one with a fixed variance).
    """
    one, many = with_queries(target, shadows, inside)
    trained, untrained = _fit(many, inside, fixed_variance, TRAINED), _fit(many, ~inside, fixed_variance, UNTRAINED)
    return np.asarray((trained.log_density(one) - untrained.log_density(one)).mean(axis=1))


def lira_offline(target: Values, shadows: Values, inside: Bools, *, fixed_variance: bool = False) -> Floats:
    """The one-sided test of the paper, from shadow models that were not trained on the example (equation 4).

    With p = Pr[N(OUT) > value], the probability that an untrained model answers more like a member, the paper's score
    is 1 - p. This is -log p averaged over queries (Fisher's way to combine tests): of one query the same order, but
    without rounding to 1. ``fixed_variance`` as in `lira_online`.

    Raises:
        DataError: as `lira_online`, of the OUT kind.
    """
    one, many = with_queries(target, shadows, inside)
    untrained = _fit(many, ~inside, fixed_variance, UNTRAINED)
    standardised = (one - untrained.mean) / (untrained.deviation + LEAST_DEVIATION)
    return np.asarray(-log_ndtr(-standardised).mean(axis=1))


def lira_carlini_code(
    target: Values, shadows: Values, inside: Bools, *, online: bool = True, fixed_variance: bool = False
) -> Floats:
    """What the authors' released code computes, for comparison with published numbers.

    It differs from the paper: the offline score is minus the density under OUT, which calls a value far below OUT a
    member too; a fixed variance is taken around one mean of all examples, online for both distributions from IN; and
    of each kind only so many models are used, the first ones, as every example has.

    Raises:
        DataError: as `lira_online`.
    """
    one, many = with_queries(target, shadows, inside)
    fewest = 1 if fixed_variance else 2
    parts = []
    for kind, chosen in ((UNTRAINED, ~inside), (TRAINED, inside))[: 1 + online]:
        first = chosen & (np.cumsum(chosen, axis=0) <= chosen.sum(axis=0).min())
        values = np.concatenate([values for _, values in chosen_values(many, first, fewest, kind)])
        parts.append((medians(values), values.std(axis=-1), values.std(keepdims=True)[0]))
    pooled = parts[-1][2]
    out, *trained = (Gaussians(mean, pooled if fixed_variance else deviation) for mean, deviation, _ in parts)
    density = -out.log_density(one)
    for gaussians in trained:
        density += gaussians.log_density(one)
    return np.asarray(density.mean(axis=1))


def _fit(shadows: Floats, chosen: Bools, fixed_variance: bool, kind: str) -> Gaussians:
    mean, deviation = np.empty(shadows.shape[1:]), np.empty(shadows.shape[1:])
    residuals = []
    for rows, values in chosen_values(shadows, chosen, 1 if fixed_variance else 2, kind):
        mean[rows] = medians(values)
        if fixed_variance:
            residuals.append((values - mean[rows][..., None]).ravel())
        else:
            deviation[rows] = values.std(axis=-1)
    if fixed_variance:
        deviation = np.concatenate(residuals).std(keepdims=True)[None]
    return Gaussians(mean, deviation)
