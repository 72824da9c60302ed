"""A likelihood ratio with a variance for each example that is drawn towards what examples have in common.

LiRA estimates the variance of each example's answers alone, which few shadow models cannot support, or takes one for
all (`lira`), which is wrong for those who matter most. Here the variances of all examples come from one scaled inverse
chi-squared distribution, whose two parameters are estimated from all of them (empirical Bayes), and an answer is judged
by the Student distribution that follows. With few models that is close to one variance for all, with many close to one
for each. BaVarIA (arXiv 2603.11799) has such a prior on variances too; its formulas are not taken from there: moments
are those of Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004), section 6.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from assay.base.intervals import Floats
from assay.methods.membership.shadows import TRAINED, UNTRAINED, Bools, Values, chosen_values, with_queries

LEAST_VARIANCE = 1e-12
"""Variances below this count as this."""

MOST_FREEDOM = 1e6
"""The prior's degrees of freedom where examples do not differ in variance at all."""


class Prior(NamedTuple):
    """Variances are ``freedom`` x ``scale`` / a chi-squared number of ``freedom`` degrees of freedom."""

    freedom: float
    scale: float


class Student(NamedTuple):
    """Of each example and query: a Student distribution of ``freedom`` around ``centre``, its scale as a variance."""

    centre: Floats
    scale: Floats
    freedom: Floats

    def log_density(self, values: Floats) -> Floats:
        """The logarithm of the density, (examples, queries)."""
        half = (self.freedom + 1) / 2
        constant = gammaln(half) - gammaln(self.freedom / 2) - 0.5 * np.log(np.pi * self.freedom * self.scale)
        return np.asarray(constant - half * np.log1p((values - self.centre) ** 2 / (self.freedom * self.scale)))


def lira_shrunken(target: Values, shadows: Values, inside: Bools) -> Floats:
    """The log of the ratio of predictive densities under IN and OUT, averaged over queries, (examples,).

    Of n models of a kind with mean m and variance v (n - 1 degrees of freedom), a further model's answer is Student
    distributed around m with d0 + n - 1 degrees of freedom and scale (1 + 1 / n) (d0 s0 + (n - 1) v) / (d0 + n - 1),
    where d0 and s0 are the `Prior`'s, one for each kind.

    Raises:
        DataError: if shapes disagree, values are not finite, or an example has fewer than two models of a kind.
    """
    one, many = with_queries(target, shadows, inside)
    trained, untrained = _fit(many, inside, TRAINED), _fit(many, ~inside, UNTRAINED)
    return np.asarray((trained.log_density(one) - untrained.log_density(one)).mean(axis=1))


def prior_of(variances: Floats, freedom: Floats) -> Prior:
    """The prior from sample variances and their degrees of freedom, both (n,), by the moments of their logarithms."""
    logs = np.log(np.maximum(variances, LEAST_VARIANCE)) - digamma(freedom / 2) + np.log(freedom / 2)
    middle = float(logs.mean())
    spread = float(logs.var() - polygamma(1, freedom / 2).mean())
    if spread <= 2 / MOST_FREEDOM:
        return Prior(MOST_FREEDOM, float(np.exp(middle)))
    half = _inverse_trigamma(spread)
    return Prior(2 * half, float(np.exp(middle + digamma(half) - np.log(half))))


def _inverse_trigamma(value: float) -> float:
    """X > 0 with trigamma(x) = value > 0: Newton's method on 1 / trigamma, which is nearly a straight line."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def _fit(shadows: Floats, chosen: Bools, kind: str) -> Student:
    centre, variance = np.empty(shadows.shape[1:]), np.empty(shadows.shape[1:])
    count = np.broadcast_to(chosen.sum(axis=0)[:, None], shadows.shape[1:]).astype(np.float64)
    for rows, values in chosen_values(shadows, chosen, 2, kind):
        centre[rows], variance[rows] = values.mean(axis=-1), values.var(axis=-1, ddof=1)
    prior = prior_of(variance.ravel(), count.ravel() - 1)
    freedom = prior.freedom + count - 1
    scale = (prior.freedom * prior.scale + (count - 1) * variance) / freedom * (1 + 1 / count)
    return Student(centre, np.maximum(scale, LEAST_VARIANCE), freedom)
