"""What detectors find in clean networks: the null distributions that verdicts rest on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field, TypeAdapter, ValidationError
from scipy.stats import t as student

from assay.access import WhiteBox
from assay.base.errors import DataError, LoadError
from assay.base.frozen import Frozen
from assay.base.intervals import Floats
from assay.methods.backdoor.models.layers import running_means
from assay.methods.finding import Scale

SHIPPED = "null.json"
ALPHA = 0.05
"""The share of clean networks that may be flagged."""

P_VALUE = Scale(risk="down", chance=0.5, high=ALPHA, log=True)
"""What a p-value among clean networks is judged by."""

FEWEST_MODELS = 19
"""Clean networks below which no p-value can reach `ALPHA`: the smallest is 1 / (n + 1)."""

FEWEST_ALIKE = 10
"""Clean networks from which a mean and a deviation are taken."""


class Kind(Frozen):
    """What a null depends on: labels, channels, pixels along an image's shorter side, and the architecture.

    ``normalised`` is whether there is batch normalisation, None where that is not known.
    """

    labels: int = Field(ge=2)
    channels: int = Field(ge=1)
    side: int = Field(ge=1)
    transformer: bool = False
    normalised: bool | None = None

    def like(self, other: Kind) -> bool:
        """Whether a clean network of the other kind tells about this one: labels and side within a factor of 2."""
        pairs = ((self.labels, other.labels), (self.side, other.side))
        return all(max(pair) <= 2 * min(pair) for pair in pairs)


class CleanModel(Frozen):
    """What one detector found in one clean network: statistics by name, larger ones more suspicious.

    A statistic that does not apply to the network is missing. ``weights`` is the digest of the network's weights, where
    it is one that may be judged itself.
    """

    model: str
    kind: Kind
    statistics: dict[str, float]
    weights: str = ""


Nulls = dict[str, list[CleanModel]]
"""Detector name to what it found in clean networks."""

_NULLS = TypeAdapter(Nulls)


class Judged(NamedTuple):
    """A p-value against ``models`` clean networks described by ``of``; None if there are too few of them.

    ``z_scores`` says of each statistic how many standard deviations of the clean networks it lies above their mean.
    """

    p_value: float | None
    models: int
    of: str
    z_scores: dict[str, float]

    @property
    def alarm(self) -> bool:
        """Whether the p-value is at most `ALPHA`."""
        return self.p_value is not None and self.p_value <= ALPHA


def kind_of(box: WhiteBox) -> Kind:
    """The kind of a network; one with layer normalisation or attention counts as a transformer."""
    layers = (torch.nn.LayerNorm, torch.nn.MultiheadAttention)
    return Kind(
        labels=box.num_classes,
        channels=box.input_shape[0],
        side=min(box.input_shape[1:]),
        transformer=any(isinstance(module, layers) for module in box.module.modules()),
        normalised=bool(running_means(box)),
    )


def calibrate(clean: Iterable[CleanModel], optional: Iterable[str] = ()) -> list[CleanModel]:
    """A null of one detector, from what it found in clean networks with one set of options.

    Statistics that are ``optional`` need not apply to every network.

    Raises:
        DataError: if they are fewer than `FEWEST_MODELS`, differ in their statistics, or one is not finite.
    """
    models = sorted(clean, key=lambda model: model.model)
    if len(models) < FEWEST_MODELS:
        raise DataError(f"A null takes at least {FEWEST_MODELS} clean networks; these are {len(models)}.")
    needed = set(models[0].statistics) - set(optional)
    for model in models:
        if set(model.statistics) - set(optional) != needed or not np.isfinite([*model.statistics.values()]).all():
            raise DataError(f"What was found in {model.model} is not finite, or differs from {models[0].model}.")
    return models


def save_nulls(nulls: Nulls, path: Path) -> None:
    """Write nulls as JSON, one network a line."""
    listed = [
        f"{json.dumps(name)}: [\n" + ",\n".join(model.model_dump_json() for model in models) + "\n]"
        for name, models in sorted(nulls.items())
    ]
    path.write_text("{\n" + ",\n".join(listed) + "\n}\n")


def load_nulls(path: Path) -> Nulls:
    """Nulls that `save_nulls` wrote.

    Raises:
        LoadError: if the file is missing or damaged.
    """
    try:
        return _NULLS.validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        raise LoadError(f"{path} holds no null distributions: {error}") from error


@cache
def shipped_nulls() -> Nulls:
    """The nulls of this package, from networks trained for the purpose and public ones, as docs/benchmarks say."""
    return _NULLS.validate_json((files("assay.methods.backdoor.models") / SHIPPED).read_text("utf-8"))


def judge(detector: str, statistics: Mapping[str, float], kind: Kind, nulls: Nulls, weights: str = "") -> Judged:
    """The p-value of what a detector found, among clean networks with like numbers of labels and pixels.

    Only clean networks that have all ``statistics`` count, and of theirs only these. Each statistic is standardised by
    mean and deviation over the clean networks that are most alike, and the largest counts. Every clean network's own is
    standardised by those most like it, itself left out, so that it has no advantage; the p-value is taken among them
    all. A network with the digest ``weights`` is left out: it is the one that is judged.
    """
    others = [model for model in nulls.get(detector, []) if not weights or model.weights != weights]
    near = [model for model in others if kind.like(model.kind) and statistics.keys() <= model.statistics.keys()]
    if len(near) < FEWEST_MODELS:
        return Judged(None, len(near), f"{len(near)} clean networks with like numbers of labels and pixels", {})
    words, models = most_alike(kind, near)
    z_scores = _z_scores(statistics, statistics, models)
    rest = [
        _z_scores(model.statistics, statistics, most_alike(model.kind, [m for m in near if m is not model])[1]).max()
        for model in near
    ]
    of = f"{len(near)} clean networks, measured by those of {words}"
    named = dict(zip(statistics, z_scores.tolist(), strict=True))
    return Judged(p_value(float(z_scores.max()), np.array(rest)), len(near), of, named)


def most_alike(kind: Kind, models: list[CleanModel]) -> tuple[str, list[CleanModel]]:
    """The narrowest group of at least `FEWEST_ALIKE` models that a kind belongs to, and what they share with it."""
    channels = [m for m in models if m.kind.channels == kind.channels]
    transformer = [m for m in models if m.kind.transformer == kind.transformer]
    normalised = [m for m in transformer if kind.normalised is not None and m.kind.normalised == kind.normalised]
    groups = {
        "the same channels, architecture and normalisation": [m for m in normalised if m in channels],
        "the same channels and architecture": [m for m in channels if m.kind.transformer == kind.transformer],
        "the same channels": channels,
        "the same architecture": transformer,
        "any channels and architecture": models,
    }
    large = [(words, alike) for words, alike in groups.items() if len(alike) >= FEWEST_ALIKE]
    return large[0] if large else ("any channels and architecture", models)


def _z_scores(row: Mapping[str, float], names: Iterable[str], models: list[CleanModel]) -> Floats:
    """Statistics by their names (k,), standardised by models."""
    wanted = list(names)
    values = np.array([[model.statistics[name] for name in wanted] for model in models])
    return standardised(np.array([row[name] for name in wanted]), values)


def standardised(row: Floats, values: Floats) -> Floats:
    """A row (k,) less the mean of ``values`` (n, k), over their standard deviation (0 where they do not vary)."""
    spread = values.std(0, ddof=1)
    z_scores: Floats = np.divide(row - values.mean(0), spread, out=np.zeros_like(row), where=spread > 0)
    return z_scores


def p_value(statistic: float, clean: Floats) -> float:
    """The larger of two p-values, so that it errs on the side of no alarm.

    The rank ``(1 + how many clean networks reach it) / (n + 1)``, which holds whatever the distribution, and Student's
    prediction for one more draw from a normal distribution fitted to the clean ones (n,).
    """
    rank = (1 + int((clean >= statistic).sum())) / (len(clean) + 1)
    spread = clean.std(ddof=1) * np.sqrt(1 + 1 / len(clean))
    if spread == 0:
        return rank
    return max(rank, float(student.sf((statistic - clean.mean()) / spread, len(clean) - 1)))
