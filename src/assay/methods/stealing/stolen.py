"""What a theft brought, and what that means: the result of `Theft.measure` and the account of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import Floats
from assay.data.images import Subset
from assay.methods.finding import Figure, Finding, Metric, Samples
from assay.methods.measures import proportion
from assay.methods.method import Context
from assay.methods.stealing.costs import Point, Questions, budget_curve, cost_metrics, cost_table
from assay.methods.stealing.fidelity import Fidelity, fidelity_metrics, fidelity_outcomes
from assay.methods.stealing.public_start import Before, start_metrics, start_sentence
from assay.methods.stealing.results import (
    Compared,
    class_table,
    differences,
    stealing_metrics,
    training_curve,
    verdict,
)
from assay.training import Log


class Stolen(NamedTuple):
    """Copies beside their target on test images, one for each of the budgets, and what they cost.

    ``complete`` says that the target answers whole posteriors, ``log`` is the training of the last copy, and
    ``validation`` (n,) is where it gives the answers that were held out, if any were. ``start`` is the public network
    of the same task that the copies started from, if they did.
    """

    test: Subset
    points: tuple[Point, ...]
    questions: Questions
    complete: bool
    log: Log
    validation: NDArray[np.bool_] | None
    fidelity: Fidelity | None
    start: Before | None = None

    @property
    def last(self) -> Compared:
        """The copy that all questions bought."""
        return self.points[-1].compared


def account(stolen: Stolen, context: Context) -> Finding:
    """Metrics, verdict, figures and samples of a theft."""
    last, spent = stolen.last, stolen.questions.spent
    metrics = stealing_metrics(last, spent, context, divergence=stolen.complete)
    metrics += cost_metrics(metrics[0], stolen.points, stolen.questions)
    if stolen.start is not None:
        metrics += start_metrics(stolen.start, last, context.seed)
    if stolen.validation is not None:
        metrics.append(_validation(stolen.validation))
    metrics += fidelity_metrics(stolen.fidelity) if stolen.fidelity else []
    figures: list[Figure] = [budget_curve(stolen.points)] if len(stolen.points) > 1 else []
    figures += [class_table(last, context.class_names), cost_table(stolen.questions)]
    figures += [training_curve(stolen.log)] if stolen.log else []
    judged = verdict(metrics[0], spent)
    if stolen.start is not None:
        added = start_sentence(stolen.start, last, spent.images)
        judged = judged.model_copy(update={"sentence": f"{judged.sentence} {added}"})
    gallery = differences(stolen.test, last, context)
    return Finding(
        metrics=metrics,
        verdict=judged,
        figures=[*figures, gallery] if gallery else figures,
        samples=_samples(stolen),
    )


def _validation(hits: NDArray[np.bool_]) -> Metric:
    """The agreement that the thief sees, on the images held out."""
    return proportion(
        "validation_agreement",
        "Agreement on the thief's own validation images",
        hits,
        "The thief's estimate, from images of its pool.",
    )


def _samples(stolen: Stolen) -> Samples:
    last, test = stolen.last, stolen.test
    outcomes: dict[str, Floats] = {
        "agreement": last.same.astype(np.float64),
        "surrogate_accuracy": (last.surrogate_labels == last.labels).astype(np.float64),
        "target_accuracy": (last.target_labels == last.labels).astype(np.float64),
    }
    if stolen.start is not None:
        outcomes["public_agreement"] = (stolen.start.labels == last.target_labels).astype(np.float64)
    if stolen.complete:
        outcomes["kl_divergence"] = last.divergence
    columns = {"label": test.labels, "target": last.target_labels, "surrogate": last.surrogate_labels}
    if stolen.fidelity is not None:
        fooled = fidelity_outcomes(stolen.fidelity)
        outcomes |= {name: column for name, column in fooled.items() if not np.isnan(column).all()}
        columns |= {name: labels for name, labels in stolen.fidelity._asdict().items() if name != "before"}
    return Samples(test.rows, outcomes=outcomes, columns=columns)
