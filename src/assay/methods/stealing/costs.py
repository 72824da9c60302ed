"""What a theft cost, and what it brought for how much: metrics and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assay.access import Spent
from assay.methods.finding import Interval, Lines, Metric, Series, Table
from assay.methods.measures import proportion
from assay.methods.stealing.results import Compared, agreement_scale


class Point(NamedTuple):
    """A copy trained on what a budget pays for, ``asked`` images in all, compared with the target."""

    asked: int
    compared: Compared


class Questions(NamedTuple):
    """Images asked: by the attack (of them ``held_out`` for validation), and by the evaluator at nobody's charge."""

    spent: Spent
    held_out: int
    compared: int
    adversarial: int


def cost_metrics(agreed: Metric, points: Sequence[Point], questions: Questions) -> list[Metric]:
    """Agreement per 1,000 images, agreement at the earlier points of the curve, and the evaluator's questions."""
    earlier = [
        proportion(
            f"agreement_at_{point.asked}", f"Agreement after {point.asked:,} questions", point.compared.same
        ).judged_by(agreement_scale(point.compared.target_labels))
        for point in points[:-1]
    ]
    return [
        _scaled(agreed, 1000 / questions.spent.images),
        *earlier,
        Metric(
            name="evaluator_images",
            label="Images asked to judge the copy",
            value=questions.compared + questions.adversarial,
            unit="images",
            note="Counted exactly; the evaluator's, charged to nobody.",
        ),
    ]


def _scaled(agreed: Metric, factor: float) -> Metric:
    if agreed.value is None or agreed.interval is None:
        raise ValueError("agreement must have a value and an interval")
    bounds = agreed.interval
    return Metric(
        name="agreement_per_1000",
        label="Agreement per 1,000 questions",
        value=agreed.value * factor,
        interval=Interval(low=bounds.low * factor, high=bounds.high * factor, level=bounds.level, method=bounds.method),
        n=agreed.n,
    )


def budget_curve(points: Sequence[Point]) -> Lines:
    """Agreement by the number of images asked, with its 95 % band; one point or more."""
    agreed = [proportion("agreement", "Agreement", point.compared.same) for point in points]
    bounds = [metric.interval for metric in agreed if metric.interval is not None]
    return Lines(
        title="Agreement by budget",
        caption="Every point is a copy trained anew on the first answers of the same theft; the band is its 95 % "
        "interval over test images.",
        x_label="Images asked",
        y_label="Agreement with the target",
        series=[
            Series(
                name="surrogate",
                x=[float(point.asked) for point in points],
                y=[float(point.compared.same.mean()) for point in points],
                low=[interval.low for interval in bounds],
                high=[interval.high for interval in bounds],
            )
        ],
    )


def cost_table(questions: Questions) -> Table:
    """Who asked how much."""
    spent = questions.spent
    return Table(
        title="What it cost",
        caption="One question is one image. An image asked twice is charged once; the evaluator's questions measure "
        "the result, and belong to no attack.",
        columns=["what", "count"],
        rows=[
            ["images asked to learn from", spent.images - questions.held_out],
            ["images asked for validation", questions.held_out],
            ["images asked again, at no charge", spent.duplicates],
            ["requests", spent.calls],
            ["price (US$)", round(spent.price, 4)],
            ["the evaluator's: images to compare on", questions.compared],
            ["the evaluator's: adversarial images", questions.adversarial],
        ],
    )
