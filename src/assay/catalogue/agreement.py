"""Agreement beyond chance between people who annotate the same models: Cohen's and Fleiss' kappa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import DataError
from assay.base.intervals import Bounds, Floats, bootstrap

Labels = NDArray[np.int64]
"""Answers as small integers, (items, codes, coders); -1 where a coder did not answer."""


class Agreement(NamedTuple):
    """Agreement on one code, or on all of them together.

    ``kappa`` is None where it has no value: everybody always gave one and the same answer, or no item was answered
    twice. ``items`` were answered by at least two coders; ``observed`` is the share of agreeing pairs of answers.
    """

    name: str
    kappa: float | None
    interval: Bounds | None
    observed: float | None
    items: int
    note: str = ""


# The kappas of scikit-learn and statsmodels take complete answers on one code, one resample a call (0.7 ms each, 2,000
# for each code); these take missing answers, many codes and all resamples at once. The tests hold them equal.
def cohen(labels: Labels) -> Floats:
    """Cohen's kappa of two coders, pooled over codes: (..., n, codes, 2) to (...).

    For one code this is Cohen's kappa (Educational and Psychological Measurement 20, 1960). For several, the observed
    and the expected agreement are averaged over codes, weighted by items, before they are compared; counting a code's
    answers as chance agreement with another code's would inflate the result.
    """
    one, other = labels[..., 0], labels[..., 1]
    both = (one >= 0) & (other >= 0)
    count = both.sum(-2)
    same = (both & (one == other)).sum(-2)
    expected = np.zeros(count.shape)
    for value in range(int(labels.max(initial=0)) + 1):
        expected += (both & (one == value)).sum(-2) * (both & (other == value)).sum(-2)
    return _kappa(same, expected / np.maximum(count, 1), count)


def fleiss(labels: Labels) -> Floats:
    """Fleiss' kappa of any number of coders, pooled over codes as in `cohen`: (..., n, codes, coders) to (...).

    Fleiss, Psychological Bulletin 76 (1971), with items that not everybody answered: an item counts for the share of
    its own pairs of answers that agree.
    """
    values = range(int(labels.max(initial=0)) + 1)
    counts = np.stack([(labels == value).sum(-1) for value in values], axis=-1)
    answers = counts.sum(-1)
    used = answers >= 2
    pairs = np.where(used, answers * (answers - 1), 1)
    agreeing = np.where(used, (counts * (counts - 1)).sum(-1) / pairs, 0.0).sum(-2)
    given = np.where(used[..., None], counts, 0).sum(-3)
    shares = given / np.maximum(given.sum(-1, keepdims=True), 1)
    count = used.sum(-2)
    return _kappa(agreeing, (shares**2).sum(-1) * count, count)


def _kappa(observed: Floats, expected: Floats, count: NDArray[Any]) -> Floats:
    """Kappa from sums over items by code; 1 where the expected agreement is 1, since the observed one is then 1 too."""
    gain = (observed - expected).sum(-1)
    room = (count - expected).sum(-1)
    return np.where(room > 1e-12, gain / np.where(room > 1e-12, room, 1.0), 1.0)


def agreement(answers: dict[str, dict[tuple[str, str], str]], seed: int = 0) -> list[Agreement]:
    """Agreement per code, in the order of their names, and then overall.

    ``answers`` maps coders to what they said: (record, code) to value. Two coders are compared by `cohen`, more by
    `fleiss`; intervals resample records.

    Raises:
        DataError: if there are fewer than two coders.
    """
    if len(answers) < 2:
        raise DataError("Agreement needs the annotations of at least two coders.")
    records = sorted({record for given in answers.values() for record, _ in given})
    codes = sorted({code for given in answers.values() for _, code in given})
    labels = _labels(answers, records, codes)
    found = [_agreement(code, labels[:, i : i + 1], seed) for i, code in enumerate(codes)]
    return [*found, _agreement("overall", labels, seed)]


def _labels(answers: dict[str, dict[tuple[str, str], str]], records: Sequence[str], codes: Sequence[str]) -> Labels:
    numbers: dict[str, dict[str, int]] = {code: {} for code in codes}
    labels = np.full((len(records), len(codes), len(answers)), -1, dtype=np.int64)
    rows = {record: i for i, record in enumerate(records)}
    columns = {code: i for i, code in enumerate(codes)}
    for place, coder in enumerate(sorted(answers)):
        for (record, code), value in sorted(answers[coder].items()):
            known = numbers[code]
            labels[rows[record], columns[code], place] = known.setdefault(value, len(known))
    return labels


def _agreement(name: str, labels: Labels, seed: int) -> Agreement:
    twice = (labels >= 0).sum(-1) >= 2
    items = int(twice.sum())
    labels = labels[twice.any(-1)]
    if items == 0:
        return Agreement(name, None, None, None, 0, "no model was annotated by two coders")
    statistic = cohen if labels.shape[-1] == 2 else fleiss
    observed = _observed(labels)
    if all(len(set(column[column >= 0])) == 1 for column in np.moveaxis(labels, 1, 0)):
        return Agreement(name, None, None, observed, items, "everybody always gave the same answer")
    kappa, bounds = float(statistic(labels)), bootstrap(statistic, labels, seed=seed)
    if bounds.low == bounds.high:
        return Agreement(name, kappa, None, observed, items, "every resample gives the same: no interval")
    return Agreement(name, kappa, bounds, observed, items)


def _observed(labels: Labels) -> float:
    """The share of pairs of answers to one item that agree, averaged over items."""
    shares = []
    for item in labels.reshape(-1, labels.shape[-1]):
        given = item[item >= 0]
        if len(given) >= 2:
            counts = np.unique(given, return_counts=True)[1]
            shares.append((counts * (counts - 1)).sum() / (len(given) * (len(given) - 1)))
    return float(np.mean(shares))
