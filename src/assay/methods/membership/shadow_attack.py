"""What the attacks with shadow models begin with: the models, and everybody's answers to all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Answers, Oracle
from assay.base.digests import digest_json
from assay.base.errors import DataError, UsageError
from assay.base.intervals import Floats
from assay.data.images import Images, Joined, Subset
from assay.data.splits import Splits
from assay.methods.finding import Figure, Finding, Metric, Table
from assay.methods.membership.attack import MembershipMethod, Population
from assay.methods.membership.calibration import calibrate, calibrated_metrics
from assay.methods.membership.imitation import Imitation, least_answer, log_posteriors
from assay.methods.membership.results import (
    auc_metric,
    blind_metrics,
    most_exposed,
    of_members,
    of_non_members,
    roc_figure,
    samples_of,
    true_positive_rates,
)
from assay.methods.membership.roc import Scores
from assay.methods.membership.shadows import Bools
from assay.methods.membership.verdict import verdict
from assay.methods.membership.vulnerability import class_table
from assay.methods.method import Context
from assay.methods.work import Sizes, Work
from assay.targets.target import Modality
from assay.training.recipe import Recipe
from assay.training.shadow import MIRRORED, PLAIN, Query, ShadowPlan, ask_moved, shadow_digest, train_shadows

LogitSignal = Callable[[NDArray[np.floating[Any]], NDArray[np.int64]], Floats]
"""From logits (..., classes), and labels that broadcast to the leading shape, to values of that shape (`logits`)."""


SHADOW_THREAT = (
    "Black box with data. The attacker has samples with their true labels, the judged ones among them, and trains "
    "shadow models on random halves of them; it gets the target's answer for every judged sample, once for each query. "
    "It knows what the service does to its answers, but for keys and networks that are the owner's secret. It knows "
    "neither the target's weights nor how it was trained: architecture and recipe of the shadow models are options, "
    "and an attacker who knows the target's own would do better."
)
"""The threat model of the attacks with shadow models."""


class Shadowed(NamedTuple):
    """Everybody, n samples, members first: how the target and the shadow models answered.

    ``labels`` int64 (n,); ``posteriors`` of the target float32 (n, queries, classes), and ``shadows`` of the shadow
    models, served alike (`imitation`), float32 (models, queries, n, classes); ``inside`` bool (models, n), which
    samples each was trained on.
    """

    people: Population
    images: Joined
    labels: NDArray[np.int64]
    posteriors: NDArray[np.float32]
    shadows: NDArray[np.float32]
    inside: Bools

    def values(self, signal: LogitSignal) -> tuple[Floats, Floats]:
        """A signal of the target (n, queries) and of the shadow models (models, n, queries).

        Logits are taken as the logarithms of posteriors, which differ from them by a constant.
        """
        labels = self.labels[:, None]
        least = least_answer(self.shadows)
        target = signal(log_posteriors(self.posteriors, least), labels)
        answers = (log_posteriors(answers.transpose(1, 0, 2), least) for answers in self.shadows)
        return target, np.stack([signal(logits, labels) for logits in answers])

    def parted(self, scores: Floats) -> Scores:
        """Scores (n,) of members and of non-members."""
        count = len(self.people.members.rows)
        return scores[:count], scores[count:]


class ShadowScores(NamedTuple):
    """What an attack with shadow models measured: scores (n,) of everybody in ``known``, by variant.

    ``deciding`` names the variant that everything but the AUCs and the comparison rests on. ``calibrating`` holds its
    scores (models, n) of shadow models in the target's place, and what those were trained on, bool (models, n).
    ``columns`` (n,) are added to the samples.
    """

    known: Shadowed
    variants: Mapping[str, Floats]
    deciding: str
    calibrating: tuple[Floats, Bools]
    columns: Mapping[str, Floats] = {}


class ShadowAttack(MembershipMethod[ShadowScores]):
    """Base of the attacks with shadow models.

    Shadow models are trained on random halves of the samples that are judged, each sample in exactly half of them, and
    are kept in the workspace: attacks with the same options, target data and seed share them, and an interrupted
    training goes on where it was. They are what the attack costs: ``models`` trainings of ``epochs`` epochs on half of
    the samples. The preset ``quick`` leaves these attacks out for that reason. Shadow models answer through the
    target's own serving, as far as an attacker can know it (`imitation`); of labels alone, posteriors are one-hot.
    """

    needs = "label"
    novel_inputs = True
    presets = {"standard": {"max_members": 5_000, "max_non_members": 5_000}, "full": {"models": 64, "epochs": 50}}
    modalities = ("image", "text", "vector")
    suited = {
        "text": {"architecture": "text:cnn", "optimiser": "adam", "learning_rate": 0.002},
        "vector": {"architecture": "vector:mlp", "optimiser": "adam", "learning_rate": 0.002, "epochs": 50},
    }
    fewest: ClassVar[int] = 4
    """Shadow models without which, one left out to play the target, an example has none of a kind."""

    models: int = Field(default=16, ge=2, description="Shadow models to train.")
    architecture: str = Field(default="small-cnn", description="The shadow models' architecture.")
    epochs: int = Field(default=20, ge=1, description="Passes of each shadow model over its half of the samples.")
    batch_size: int = Field(default=128, ge=1, description="Images per training step.")
    optimiser: Literal["sgd", "adam", "adamw", "lion"] = Field(
        default="sgd", description="sgd has a momentum of 0.9; the learning rate falls to 0 along a cosine."
    )
    learning_rate: float = Field(default=0.05, gt=0.0, description="The learning rate to begin with.")
    weight_decay: float = Field(default=5e-4, ge=0.0, description="The pull of the weights towards 0.")
    shift: int = Field(default=0, ge=0, description="Pixels by which training images are moved at random.")
    flip: bool = Field(default=False, description="Whether training images are mirrored at random.")
    mirror: bool = Field(
        default=False,
        description="Whether every sample is asked about a second time, mirrored: of use where the target was trained "
        "on mirrored images, and harmful where it was not.",
    )

    def work(self, sizes: Sizes) -> Work | None:
        """The shadow models' training, on half of the samples each, and their answers about all in two ways."""
        known = super().work(sizes)
        if known is None:
            return None
        samples = known.members + known.non_members
        steps = self.models * samples * (self.epochs / 2 + 2 / 3)  # an answer is a third of a training step
        moved = samples * (len(self.queries) - 1)
        return known._replace(forwards=moved, training=steps, trains=self.architecture, shared=True)

    @property
    def queries(self) -> tuple[Query, ...]:
        """How the target is asked about every sample. The shadow models are asked in both ways, whatever is used."""
        return (PLAIN, MIRRORED) if self.mirror else (PLAIN,)

    def plan(self, seed: int, modality: Modality = "image") -> ShadowPlan:
        """The shadow models as the training room knows them. Texts and vectors are not asked about mirrored.

        Raises:
            UsageError: if architecture or options are not for this modality.
        """
        odd = [name for name in ("shift", "flip", "mirror") if getattr(self, name)]
        usual = {"text": "text:cnn", "vector": "vector:mlp"}.get(modality)
        if usual and (odd or not self.architecture.startswith(f"{modality}:")):
            what = f"option {odd[0]}" if odd else f"architecture {self.architecture}"
            raise UsageError(
                f"The {what} is for images, and the target reads {modality}s: {usual} trains shadow models."
            )
        recipe = Recipe(
            epochs=self.epochs, batch_size=self.batch_size, optimiser=self.optimiser, learning_rate=self.learning_rate,
            weight_decay=self.weight_decay, shift=self.shift, flip=self.flip,
        )  # fmt: skip
        queries = (PLAIN, MIRRORED) if modality == "image" else (PLAIN,)
        return ShadowPlan(models=self.models, architecture=self.architecture, recipe=recipe, seed=seed, queries=queries)

    def shadow(self, oracle: Oracle, data: Splits, context: Context) -> Shadowed:
        """Ask the target, train what is missing of the shadow models, and read their answers.

        Raises:
            DataError: if there are fewer shadow models than the attack needs, or as `MembershipMethod.ask`.
            BudgetError: as `MembershipMethod.ask`.
        """
        if self.models < self.fewest:
            raise DataError(
                f"{self.about.title} needs at least {self.fewest} shadow models; {self.models} are asked for."
            )
        people = self.ask(oracle, data, context, len(self.queries))
        images = Joined(_chosen(data.members, people.members.rows), _chosen(data.non_members, people.non_members.rows))
        answers = [np.concatenate([_posteriors(part.answers, oracle.num_classes) for part in people.parts])]
        for query in self.queries[1:]:
            moved = oracle.ask_all(Shown(images, query), context.progress, "asking about mirrored images")
            answers.append(_posteriors(moved, oracle.num_classes))
        plan = self.plan(context.seed, context.modality)
        folder = context.shared / shadow_digest(images, oracle.num_classes, plan)
        shadows = train_shadows(
            images, oracle.num_classes, plan, folder, device=context.device, progress=context.progress
        )
        imitation = Imitation(oracle.serving, oracle.num_classes, context.seed)
        served = imitation.answers(shadows.logits[:, : len(self.queries)], images, self.queries)
        target = np.stack([imitation.undone(answer) for answer in answers], axis=1)
        return Shadowed(people, images, images.labels, target, served, shadows.inside)

    def measure(self, access: Oracle, data: Splits, context: Context) -> ShadowScores:
        """Scores of everybody, from the target's answers and those of shadow models.

        Raises:
            DataError: as `shadow`.
            BudgetError: as `shadow`.
        """
        return self.scored(self.shadow(access, data, context), context)

    def scored(self, known: Shadowed, context: Context) -> ShadowScores:
        """Scores of everybody, from answers that are there."""
        raise NotImplementedError

    def account(self, result: ShadowScores, context: Context) -> Finding:
        return shadow_finding(result, context)


def shadow_finding(result: ShadowScores, context: Context) -> Finding:
    """What attacks with shadow models report of their scores."""
    known, variants, deciding, calibrating, columns = result
    scores = {name: known.parted(values) for name, values in variants.items()}
    judged = scores[deciding]
    thresholds = calibrate(*calibrating)
    aucs = {name: auc_metric(name, pair, known.people.note) for name, pair in scores.items()}
    labels = (known.people.members.labels, known.people.non_members.labels)
    count = len(known.people.members.rows)
    flags = (judged[0] >= thresholds.alarms, judged[1] >= thresholds.alarms)
    flagged = {"calibrated_tpr": of_members(flags), "calibrated_fpr": of_non_members(flags)}
    figures: list[Figure] = [
        roc_figure(scores),
        class_table(judged, labels, thresholds.alarms, context.class_names),
        most_exposed(known.images, np.arange(count), judged[0], context),
    ]
    if len(variants) > 1:
        figures.insert(1, comparison(scores))
    return Finding(
        metrics=[
            *aucs.values(),
            *true_positive_rates(judged),
            *calibrated_metrics(judged, thresholds, len(calibrating[0])),
            *blind_metrics(known.people.blind),
        ],
        verdict=verdict(aucs[deciding], judged, known.people.blind),
        figures=figures,
        samples=samples_of(known.people, scores, flagged, columns),
    )


def comparison(scores: Mapping[str, Scores]) -> Table:
    """Variants of an attack side by side: AUC and true-positive rates, each with its interval."""
    rows: list[list[str | float | None]] = []
    for name, pair in scores.items():
        metrics = [auc_metric(name, pair), *true_positive_rates(pair)]
        rows.append([name.replace("_", " "), *(_with_interval(metric) for metric in metrics)])
    heads = [metric.label for metric in true_positive_rates(next(iter(scores.values())))]
    return Table(
        title="The variants side by side",
        caption="95 % intervals (DeLong; for rates, with the doubt about the threshold). The verdict rests on one "
        "variant, chosen beforehand.",
        columns=["variant", "AUC", *heads],
        rows=rows,
    )


def _with_interval(metric: Metric) -> str:
    if metric.value is None or metric.interval is None:
        return "too few non-members"
    return f"{metric.value:.4f} ({metric.interval.low:.4f} to {metric.interval.high:.4f})"


class Shown:
    """A set as a query shows it."""

    def __init__(self, source: Images, query: Query) -> None:
        self.source, self.query = source, query
        self.name, self.shape, self.labels = source.name, source.shape, source.labels
        self.digest = digest_json({"of": source.digest, "query": list(query)})

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The images of these rows."""
        return ask_moved(self.source.take(rows), self.query)


def _posteriors(answers: Answers, classes: int) -> NDArray[np.float32]:
    """Posteriors (n, classes) of answers, one-hot where there are labels only."""
    if answers.posteriors is not None:
        return answers.posteriors
    return np.eye(classes, dtype=np.float32)[answers.labels]


def _chosen(part: Images | None, rows: NDArray[np.int64]) -> Images:
    """A part itself where all of it is chosen, so that its shadow models do not depend on how it was drawn."""
    assert part is not None
    return part if len(rows) == len(part) else Subset(part, rows)
