"""A pair side by side: everything that `similarity` measures, with intervals."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.data.images import drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import Ball, Norm
from assay.methods.evasion.results import judged, size_in_words
from assay.methods.finding import Family, Finding, Interval, Metric, Table
from assay.methods.measures import proportion, resampled, within
from assay.methods.method import Context, Method, Need, Preset, method, require_white_box
from assay.methods.siblings.options import SIBLING, SiblingText
from assay.methods.siblings.similarity import (
    GROUPS,
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


def similarity_metrics(pair: Pair, ball: Ball, seed: int) -> tuple[list[Metric], dict[str, np.ndarray[Any, Any]]]:
    """All measures, and the columns per image that they come from.

    Answers and features are compared on all images; gradients, and adversarial images carried over either way, on those
    that both networks classify correctly.

    Raises:
        DataError: if there is no such image.
    """
    logits = [torch.cat([box.logits(part) for part in _parts(pair.images)]) for box in (pair.target, pair.sibling)]
    right = (logits[0].argmax(1) == pair.labels) & (logits[1].argmax(1) == pair.labels)
    if not right.any():
        raise DataError("No image is classified correctly by both the model and its sibling.")
    images, labels = pair.images[right], pair.labels[right]
    same, nats = agreement(*logits), divergence(*logits)
    alike = cosines(*(margin_gradients(box, images, labels) for box in (pair.target, pair.sibling)))
    carried = {
        "transfer_to_target": _fooled(pair.sibling, pair.target, images, labels, ball),
        "transfer_from_target": _fooled(pair.target, pair.sibling, images, labels, ball),
    }
    metrics = [
        proportion("agreement", "Agreement of the labels", same),
        resampled("divergence", "Divergence of the posteriors", _mean, nats, seed=seed, unit="nats"),
        resampled("gradient_cosine", "Cosine of the input gradients, mean", _mean, alike, seed=seed),
        *(_quantile(share, alike, seed) for share in QUANTILES),
        _cka(pair),
        proportion(
            "transfer_to_target", "Sibling's adversarial images that fool the model", carried["transfer_to_target"]
        ),
        proportion(
            "transfer_from_target", "Model's adversarial images that fool the sibling", carried["transfer_from_target"]
        ),
        proportion("sibling_accuracy", "Accuracy of the sibling", (logits[1].argmax(1) == pair.labels).numpy()),
    ]
    both = right.numpy()
    return metrics, {
        "agrees": same,
        "divergence": nats,
        "gradient_cosine": _scattered(both, alike),
        **{name: _scattered(both, fooled.astype(np.float64)) for name, fooled in carried.items()},
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


def _mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(values.mean(axis=-1))


def _quantile(share: float, values: np.ndarray[Any, Any], seed: int) -> Metric:
    return resampled(
        f"gradient_cosine_q{100 * share:.0f}",
        f"Cosine of the input gradients, {100 * share:.0f} % quantile",
        lambda rows: np.quantile(rows, share, axis=-1),
        values,
        seed=seed,
    )


def _cka(pair: Pair) -> Metric:
    name, label = "cka", "Alignment of the features (linear CKA)"
    try:
        features = [penultimate(box, pair.images) for box in (pair.target, pair.sibling)]
    except DataError as error:
        return Metric(name=name, label=label, value=None, note=str(error))
    if len(pair.images) < GROUPS:
        note = f"At least {GROUPS} images are needed."
        return Metric(name=name, label=label, value=None, note=note)
    bounds = cka_bounds(features[0], features[1])
    value = linear_cka(features[0], features[1])
    return Metric(name=name, label=label, value=value, interval=Interval(**bounds._asdict()), n=len(pair.images))


def _fooled(
    source: WhiteBox, victim: WhiteBox, images: torch.Tensor, labels: torch.Tensor, ball: Ball
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    moved = ascend(source, images, labels, ball)
    found = torch.cat([victim.logits(part) for part in _parts(moved)]).argmax(dim=1)
    fooled: np.ndarray[Any, np.dtype[np.bool_]] = (found != labels).numpy()
    return fooled


def _parts(images: torch.Tensor, size: int = 256) -> list[torch.Tensor]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def _scattered(where: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    whole = np.full(len(where), np.nan)
    whole[where] = values
    return whole


@method
class Similarity(Method):
    """The owner compares the model with a sibling: labels, posteriors, input gradients, features, and transfer."""

    name: ClassVar[str] = "siblings.similarity"
    family: ClassVar[Family] = "siblings"
    needs: ClassVar[Need] = "white-box"
    title: ClassVar[str] = "Similarity of a sibling"
    summary: ClassVar[str] = "Compares the model with its sibling: labels, input gradients, features, transfer."
    threat_model: ClassVar[str] = (
        "White box of both. The owner asks before anybody attacks: what fools the sibling, which everybody may open, "
        "will it fool the model too?"
    )
    paper: ClassVar[str] = (
        "After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), whose own formulas of similarity are not known here; alignment by Kornblith et al., ICML 2019"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0043.002",)
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    uses: ClassVar[tuple[str, ...]] = ("members", "auxiliary")
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"standard": {}, "full": {"max_images": 2000}}

    sibling: SiblingText = SIBLING
    max_images: int = Field(default=500, ge=1, description="At most so many test images, drawn at random.")
    norm: Norm = Field(default="l2", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilon: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="The largest change that adversarial images may have, pixels in [0, 1]; none: the usual one.",
    )

    def companions(self) -> dict[str, str]:
        """The sibling."""
        return {"sibling": self.sibling}

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly by both.
        """
        box, sibling = require_white_box(access), context.companions["sibling"]
        if data.non_members is None:
            raise DataError("Similarity needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator("similarity: images"))
        images, labels = test.take(np.arange(len(test))), torch.from_numpy(test.labels)
        ball = Ball.around(box.input_shape, self.norm, self.epsilon)
        context.progress.say(f"comparing with {sibling.name}")
        metrics, samples = similarity_metrics(Pair(box, sibling, images, labels), ball, context.seed)
        named = {metric.name: metric for metric in metrics}
        transfer = named["transfer_to_target"]
        sentence = (
            f"Of the images that both classify correctly, {within(transfer)} fool the model once an attack that "
            f"{size_in_words(ball.norm, ball.epsilon)} fooled its sibling; they agree on {within(named['agreement'])}."
        )
        return Finding(
            metrics=metrics,
            verdict=judged(transfer, sentence),
            figures=[similarity_table({sibling.name: metrics})],
            samples={"row": test.rows, "label": test.labels, **samples},
        )
