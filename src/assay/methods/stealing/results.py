"""What a stolen copy amounts to: metrics, pictures and the verdict. Shared by all stealing attacks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.access import Spent
from assay.base.intervals import clopper_pearson
from assay.data.images import Images
from assay.methods.finding import Gallery, Level, Lines, Metric, Scale, Series, Table, Verdict
from assay.methods.in_words import in_words
from assay.methods.measures import class_name, more_to_decide, percent, proportion, resampled, within
from assay.methods.method import Context
from assay.methods.pictures import save_png
from assay.methods.stealing.scores import agreement, kl_divergence
from assay.training import Log

HIGH_AGREEMENT = 0.85
"""A copy that agrees on more than this (lower bound) is as good as the target for most purposes."""

LOW_AGREEMENT = 0.60
"""A copy that agrees on less than this (upper bound) is a poor substitute."""

NEVER = 0.1
"""How far beyond 1 ``high`` lies where the target always answers the same: no agreement means anything then."""


class Compared(NamedTuple):
    """Both networks on n test images: true ``labels`` (n,), the target's posteriors, the copy's logits (n, classes)."""

    labels: NDArray[np.int64]
    target: NDArray[np.float32]
    surrogate: NDArray[np.float32]

    @property
    def target_labels(self) -> NDArray[np.int64]:
        """What the target predicts (n,)."""
        return _argmax(self.target)

    @property
    def surrogate_labels(self) -> NDArray[np.int64]:
        """What the copy predicts (n,)."""
        return _argmax(self.surrogate)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Where both predict the same (n,)."""
        return agreement(self.target_labels, self.surrogate_labels)

    @property
    def divergence(self) -> NDArray[np.float64]:
        """KL(target || surrogate) in nats (n,)."""
        return kl_divergence(self.target, self.surrogate)


def agreement_scale(target_labels: NDArray[np.int64]) -> Scale:
    """What agreement with these answers (n,) is judged by; chance is the share of the commonest answer.

    Where one answer prevails, agreement is cheap: ``low`` is at least chance, and ``high`` at least half way from
    chance to 1.
    """
    chance = float(np.bincount(target_labels).max() / len(target_labels))
    if chance == 1.0:
        return Scale(risk="up", chance=1.0, high=1.0 + NEVER, low=1.0)
    return Scale(risk="up", chance=chance, high=max(HIGH_AGREEMENT, (1 + chance) / 2), low=max(LOW_AGREEMENT, chance))


def stealing_metrics(compared: Compared, spent: Spent, context: Context, *, divergence: bool = True) -> list[Metric]:
    """``agreement`` first, then accuracies, their ratio, divergence if it can be told, queries and price."""
    same, right = compared.same, compared.target_labels == compared.labels
    commonest = np.bincount(compared.target_labels).argmax()
    scale = agreement_scale(compared.target_labels)
    name = class_name(context.class_names, int(commonest))
    copy_right = compared.surrogate_labels == compared.labels
    metrics = [
        proportion(
            "agreement",
            "Agreement of surrogate and target",
            same,
            f"Always answering {name} would agree on {percent(scale.chance)}.",
        ).judged_by(scale),
        proportion("surrogate_accuracy", "Accuracy of the surrogate", copy_right),
        proportion("target_accuracy", "Accuracy of the target", right),
    ]
    if right.any():
        ratio = resampled(
            "relative_accuracy",
            "Accuracy of the surrogate, relative to the target's",
            lambda copy, target: copy.mean(1) / np.maximum(target.mean(1), 1e-9),
            copy_right,
            right,
            seed=context.seed,
        )
        metrics.append(ratio)
    if divergence:
        nats = resampled(
            "kl_divergence",
            "KL divergence, target from surrogate",
            lambda drawn: drawn.mean(1),
            compared.divergence,
            seed=context.seed,
            unit="nats",
        )
        metrics.append(nats)
    exact = "Counted exactly."
    return [
        *metrics,
        Metric(name="queries", label="Images asked", value=spent.images, unit="images", note=exact),
        Metric(name="price", label="Price of the questions", value=spent.price, unit="US$", note=exact),
    ]


def level_of(agreed: Metric) -> Level:
    """The level by the interval of an agreement on its scale.

    ``high`` if its lower bound is above ``high``, ``elevated`` if above ``low``; ``low`` if its upper bound is below
    that; ``undecided`` if the interval holds ``low``.
    """
    interval, scale = agreed.interval, agreed.scale
    if interval is None or scale is None or scale.low is None:
        raise ValueError("agreement must have an interval and a scale")
    if interval.low > scale.low:
        return "high" if interval.low > scale.high else "elevated"
    return "low" if interval.high < scale.low else "undecided"


def verdict(agreed: Metric, spent: Spent) -> Verdict:
    """The verdict on an agreement; see `level_of`."""
    level, limit = level_of(agreed), LOW_AGREEMENT if agreed.scale is None else agreed.scale.low or LOW_AGREEMENT
    more = more_to_decide(agreed, limit, "test images") if level == "undecided" else ""
    meaning = {
        "high": "Whoever can ask so much owns a working substitute.",
        "elevated": "It is a usable though imperfect substitute, and more questions would improve it.",
        "low": "It is a poor substitute; a thief would need more questions or a better attack.",
        "undecided": f"The interval holds {percent(limit)}, where low ends: {more}.",
    }[level]
    cost = f"{spent.images:,} questions" + (f" (US$ {spent.price:,.2f})" if spent.price else "")
    sentence = f"A copy made from {cost} agrees with the target on {within(agreed)} of unseen inputs. {meaning}"
    return Verdict(level=level, metric=agreed.name, sentence=sentence)


def class_table(compared: Compared, names: tuple[str, ...], count: int = 20) -> Table:
    """Agreement among the images of each class that the target predicts, the ``count`` lowest first."""
    rows: list[tuple[float, list[str | float | None]]] = []
    for label in np.unique(compared.target_labels):
        same = compared.same[compared.target_labels == label]
        bounds = clopper_pearson(int(same.sum()), len(same))
        between = f"{percent(bounds.low)} to {percent(bounds.high)}"
        rows.append((float(same.mean()), [class_name(names, int(label)), len(same), percent(same.mean()), between]))
    rows.sort(key=lambda row: row[0])
    return Table(
        title="Agreement by class",
        caption="Among the images that the target gives each class, those that the surrogate gives the same; "
        "the lowest first.",
        columns=["class (target's answer)", "images", "agreement", "95 % interval"],
        rows=[row for _, row in rows[:count]],
    )


def training_curve(log: Log) -> Lines:
    """How well the surrogate fits the answers, by epoch."""
    epochs = [float(epoch + 1) for epoch in range(len(log))]
    return Lines(
        title="Training of the surrogate",
        caption="Share of the asked images on which the surrogate gives the target's label, while it is trained.",
        x_label="Epoch",
        y_label="Agreement on the asked images",
        series=[Series(name="surrogate", x=epochs, y=[epoch.accuracy for epoch in log])],
    )


def differences(images: Images, compared: Compared, context: Context, count: int = 6) -> Gallery | Table | None:
    """Test inputs that the two name differently, the greatest divergence first; None if there is none."""
    rows = np.flatnonzero(~compared.same)
    rows = rows[np.argsort(-compared.divergence[rows], kind="stable")][:count]
    if len(rows) == 0:
        return None
    labels = np.stack([compared.target_labels, compared.surrogate_labels, compared.labels], axis=1)[rows]
    texts = [[class_name(context.class_names, int(label)) for label in row] for row in labels]
    if (lines := in_words(images, rows, context.modality)) is not None:
        return Table(
            title="Where surrogate and target differ",
            caption=f"Test {context.modality}s that the two name differently, the greatest divergence first.",
            columns=[context.modality, "target", "surrogate", "truth"],
            rows=[[text, *names] for text, names in zip(lines, texts, strict=True)],
        )
    return Gallery(
        title="Where surrogate and target differ",
        caption="Test images that the two name differently, the greatest divergence first.",
        columns=["image"],
        rows=[f"target: {target}, surrogate: {copy}, truth: {truth}" for target, copy, truth in texts],
        files=[
            [save_png(image, context.artefacts / f"differs_{place}.png")]
            for place, image in enumerate(images.take(rows))
        ],
    )


def _argmax(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = scores.argmax(axis=1)
    return labels
