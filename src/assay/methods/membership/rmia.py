"""RMIA, the robust membership inference attack: an example against a population, pair by pair.

Zarifzadeh, Liu and Shokri, Low-Cost High-Power Membership Inference Attacks, ICML 2024. Signals are probabilities of
the label in (0, 1] (`logits.softmax_confidence` or `logits.soft_margin_taylor`): of the target (examples,), of the
shadow models (models, examples); ``inside`` is bool (models, examples). Scores are float64 (examples,) in [0, 1],
higher for members.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Floats, delong_auc
from assay.methods.membership.shadows import TRAINED, UNTRAINED, Bools, Values, chosen_values, with_queries

GRID = tuple(step / 10 for step in range(11))
"""The values of ``a`` that `tuned_a` tries."""

BLOCK = 1 << 22
"""Pairs held at a time by `rmia_vote`."""


class Likelihood(NamedTuple):
    """p(x | target) and the marginal p(x), each (examples,) or (examples, queries)."""

    given_target: Floats
    marginal: Floats

    @property
    def ratio(self) -> Floats:
        """p(x | target) / p(x)."""
        return np.asarray(self.given_target / self.marginal)


def offline(target: Values, shadows: Values, inside: Bools, a: float, trim: float = 0.0) -> Likelihood:
    """The likelihoods of examples from shadow models that were not trained on them.

    p(x) = ((1 + a) mean of OUT + (1 - a)) / 2: ``a`` in [0, 1] says how well OUT
    models foretell IN models; the authors take 0.3 for CIFAR-10, 0.6 for CIFAR-100, and `tuned_a` finds one. ``trim``,
    below 0.5, is the share of models left out at either end of the mean (0.2 in the authors' code).

    Raises:
        DataError: if shapes disagree, values are not finite and positive, or an example has no OUT model.
    """
    one, many = _positive(target, shadows, inside)
    return _shaped(target, one, ((1 + a) * _means(many, ~inside, trim, UNTRAINED) + (1 - a)) / 2)


def online(target: Values, shadows: Values, inside: Bools) -> Likelihood:
    """The likelihoods of examples with p(x) half the mean of IN models and half the mean of OUT models.

    Raises:
        DataError: as `offline`; an IN and an OUT model are needed.
    """
    one, many = _positive(target, shadows, inside)
    return _shaped(target, one, (_means(many, inside, 0.0, TRAINED) + _means(many, ~inside, 0.0, UNTRAINED)) / 2)


def rmia(x: Likelihood, z: Likelihood, gamma: float = 2.0) -> Floats:
    """The share of the population (z) that each example (x) dominates: ratio(x) / ratio(z) > gamma.

    Exact, in O((n + m) log m) and without the pairs: the population's ratios are sorted once. ``gamma`` is 2 in the
    paper and 1 in the authors' library.
    """
    ordered = np.sort(z.ratio)
    return np.asarray(np.searchsorted(ordered, x.ratio / gamma, "left") / len(ordered))


def rmia_vote(x: Likelihood, z: Likelihood, gamma: float = 2.0) -> Floats:
    """`rmia` of several queries, (examples, queries): a pair counts where more than half of the queries say so.

    The authors' way to use augmentations. Pairs must be looked at one by one, in blocks of bounded memory.
    """
    bar, queries = gamma * z.ratio, x.ratio.shape[1]
    step = max(1, BLOCK // len(bar))
    scores = np.empty(len(x.ratio))
    for start in range(0, len(scores), step):
        block = x.ratio[start : start + step]
        votes = np.zeros((len(block), len(bar)), np.int16)
        for query in range(queries):
            votes += block[:, query, None] > bar[None, :, query]
        scores[start : start + step] = (2 * votes > queries).mean(axis=1)
    return scores


def tuned_a(
    x: tuple[Values, Values, Bools], z: tuple[Values, Values, Bools], members: NDArray[np.bool_], gamma: float = 2.0
) -> float:
    """The ``a`` of `GRID` with the best AUC against a model whose ``members`` (examples,) are known (a shadow model).

    ``x`` and ``z`` are (its signals, other models' signals, other models' memberships) of examples and population.

    Raises:
        DataError: as `offline`, or if the members are all or none.
    """
    best, best_auc = 0.0, 0.0
    known_x, known_z = offline(*x, a=1.0), offline(*z, a=1.0)
    for a in GRID:
        scores = rmia(_blended(known_x, a), _blended(known_z, a), gamma)
        auc = delong_auc(scores[members], scores[~members]).value
        if auc > best_auc:
            best, best_auc = a, auc
    return best


def _blended(known: Likelihood, a: float) -> Likelihood:
    return Likelihood(known.given_target, ((1 + a) * known.marginal + (1 - a)) / 2)


def _means(shadows: Floats, chosen: Bools, trim: float, kind: str) -> Floats:
    means = np.empty(shadows.shape[1:])
    for rows, values in chosen_values(shadows, chosen, 1, kind):
        count = values.shape[-1]
        cut = int(trim * count)
        means[rows] = np.sort(values, axis=-1)[..., cut : count - cut].mean(axis=-1)
    return means


def _positive(target: Values, shadows: Values, inside: Bools) -> tuple[Floats, Floats]:
    one, many = with_queries(target, shadows, inside)
    if not (one.min() > 0 and many.min() > 0):
        raise DataError("RMIA compares probabilities by their ratios, and some are zero or negative.")
    return one, many


def _shaped(target: Values, one: Floats, marginal: Floats) -> Likelihood:
    return Likelihood(one.reshape(target.shape), marginal.reshape(target.shape))
