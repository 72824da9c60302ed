"""A pair of networks side by side: what is measured of each image, and the metrics that it amounts to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.results import SUCCESS
from assay.methods.finding import Interval, Metric, Table
from assay.methods.measures import proportion, resampled
from assay.methods.siblings.similarity_measures import (
    GROUPS,
    Flags,
    agreement,
    ascend,
    cka_bounds,
    cosines,
    divergence,
    linear_cka,
    margin_gradients,
    penultimate,
)

QUANTILES = (0.1, 0.5, 0.9)


class Pair(NamedTuple):
    """Two networks, test images float32 (n, c, h, w) and their true labels int64 (n,)."""

    target: WhiteBox
    sibling: WhiteBox
    images: torch.Tensor
    labels: torch.Tensor


class Compared(NamedTuple):
    """What two networks did with n images, m of which both classify correctly.

    ``agrees`` bool (n,), ``divergence`` float64 (n,) in nats, ``sibling_right`` bool (n,). ``both`` bool (n,) marks the
    m images that the other columns are about: ``cosine`` float64 (m,) of input gradients, ``to_target`` and
    ``from_target`` bool (m,): what fools one network fools the other. ``features`` are those of the two networks' last
    layers, float32 (n, d) and (n, e), or why there are none.
    """

    agrees: Flags
    divergence: Floats
    sibling_right: Flags
    both: Flags
    cosine: Floats
    to_target: Flags
    from_target: Flags
    features: tuple[torch.Tensor, torch.Tensor] | str


def compare(pair: Pair, ball: Ball) -> Compared:
    """Answers and features on all images; gradients and transfer on those that both networks classify correctly.

    Raises:
        DataError: if there is no such image.
    """
    logits = [torch.cat([box.logits(part) for part in _parts(pair.images)]) for box in (pair.target, pair.sibling)]
    right = [answers.argmax(1) == pair.labels for answers in logits]
    both = right[0] & right[1]
    if not both.any():
        raise DataError("No image is classified correctly by both the model and its sibling.")
    images, labels = pair.images[both], pair.labels[both]
    return Compared(
        agrees=agreement(*logits),
        divergence=divergence(*logits),
        sibling_right=right[1].numpy(),
        both=both.numpy(),
        cosine=cosines(*(margin_gradients(box, images, labels) for box in (pair.target, pair.sibling))),
        to_target=_fooled(pair.sibling, pair.target, images, labels, ball),
        from_target=_fooled(pair.target, pair.sibling, images, labels, ball),
        features=_features(pair),
    )


def similarity_metrics(compared: Compared, seed: int) -> list[Metric]:
    """All measures, with intervals over images. ``transfer_to_target`` has the scale that a pair is judged by."""
    alike, (to, back) = compared.cosine, (compared.to_target, compared.from_target)
    transfer = proportion("transfer_to_target", "Sibling's adversarial images that fool the model", to)
    return [
        proportion("agreement", "Agreement of the labels", compared.agrees),
        resampled("divergence", "Divergence of the posteriors", _mean, compared.divergence, seed=seed, unit="nats"),
        resampled("gradient_cosine", "Cosine of the input gradients, mean", _mean, alike, seed=seed),
        *(_quantile(share, alike, seed) for share in QUANTILES),
        _cka(compared),
        transfer.judged_by(SUCCESS),
        proportion("transfer_from_target", "Model's adversarial images that fool the sibling", back),
        proportion("sibling_accuracy", "Accuracy of the sibling", compared.sibling_right),
    ]


def similarity_outcomes(compared: Compared) -> dict[str, Floats]:
    """Columns (n,) whose means are the metrics of their names; NaN where an image does not count."""
    return {
        "agreement": compared.agrees.astype(np.float64),
        "divergence": compared.divergence,
        "gradient_cosine": scattered(compared.both, compared.cosine),
        "transfer_to_target": scattered(compared.both, compared.to_target),
        "transfer_from_target": scattered(compared.both, compared.from_target),
        "sibling_accuracy": compared.sibling_right.astype(np.float64),
    }


def similarity_table(rows: dict[str, list[Metric]]) -> Table:
    """One row a sibling, one column a measure."""
    names = list(next(iter(rows.values())))
    return Table(
        title="How alike the sibling is",
        caption="Gradients and adversarial images are compared where both classify correctly. A transfer-prior attack "
        "follows the sibling's input gradients, so their cosine says most about what the sibling gives away.",
        columns=["sibling", *(metric.label for metric in names)],
        rows=[[name, *(metric.value for metric in metrics)] for name, metrics in rows.items()],
    )


def scattered(where: Flags, values: NDArray[Any]) -> Floats:
    """``values`` (m,) at the m places that ``where`` (n,) marks, NaN at the others."""
    whole = np.full(len(where), np.nan)
    whole[where] = values
    return whole


def _mean(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=-1))


def _quantile(share: float, values: Floats, seed: int) -> Metric:
    return resampled(
        f"gradient_cosine_q{100 * share:.0f}",
        f"Cosine of the input gradients, {100 * share:.0f} % quantile",
        lambda rows: np.quantile(rows, share, axis=-1),
        values,
        seed=seed,
    )


def _features(pair: Pair) -> tuple[torch.Tensor, torch.Tensor] | str:
    try:
        return penultimate(pair.target, pair.images), penultimate(pair.sibling, pair.images)
    except DataError as error:
        return str(error)


def _cka(compared: Compared) -> Metric:
    name, label = "cka", "Alignment of the features (linear CKA)"
    if isinstance(compared.features, str):
        return Metric(name=name, label=label, value=None, note=compared.features)
    first, second = compared.features
    if len(first) < GROUPS:
        return Metric(name=name, label=label, value=None, note=f"At least {GROUPS} images are needed.")
    interval = Interval(**cka_bounds(first, second)._asdict())
    return Metric(name=name, label=label, value=linear_cka(first, second), interval=interval, n=len(first))


def _fooled(source: WhiteBox, victim: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball) -> Flags:
    moved = ascend(source, images, labels, ball)
    found = torch.cat([victim.logits(part) for part in _parts(moved)]).argmax(dim=1)
    fooled: Flags = (found != labels).numpy()
    return fooled


def _parts(images: torch.Tensor, size: int = 256) -> list[torch.Tensor]:
    return [images[start : start + size] for start in range(0, len(images), size)]
