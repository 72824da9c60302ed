"""Whether the owner could prove that a copy is his."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import AccessError, DataError
from assay.base.intervals import bootstrap
from assay.base.progress import Step
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Interval, Level, Lines, Metric, Samples, Scale, Series, Verdict
from assay.methods.method import Context, Method, OracleMethod, method
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.defences.blind_walk import KINDS, Labels, blind_walk
from assay.methods.stealing.defences.inference import FEWEST, Regressor, Scores, Walked, p_by_size
from assay.methods.stealing.surrogate import load_surrogate
from assay.training import Recipe, fit, predict, seeded_build

SIGNIFICANT = 0.01
"""A p-value below this claims a model."""

CLAIM = Scale(risk="up", chance=0.5, high=1.0, low=SIGNIFICANT, log=True)
"""Of p-values on the owner's model and on copies: the larger, the less can be claimed."""

FALSE_CLAIM = Scale(risk="down", chance=0.5, high=SIGNIFICANT, log=True)
"""Of the p-value on an independent model: the smaller, the less a claim is worth."""

RECIPE = Recipe(epochs=20, batch_size=64, optimiser="adam", learning_rate=0.002)
"""How the independent model is trained."""

DRAWS = 100
"""Random draws of each size in the picture, as in the paper."""


class Tested(NamedTuple):
    """Scores by model, and the rows of the members (m,) and non-members (n,) that have them.

    The models are ``own``, ``copy`` and, where there are images to train it on, ``independent``.
    """

    judged: dict[str, Scores]
    members: NDArray[np.int64]
    non_members: NDArray[np.int64]


@method
class Ownership(OracleMethod[Tested]):
    """Dataset inference: whether a stolen copy, asked for labels, betrays whose training set is behind it.

    The owner has members and non-members, asks a model by `blind_walk` how far each lies from where its label changes,
    and compares the two by a regressor trained on his own model (`inference`). Half of the images train the regressor,
    the other half are tested. Three models are tested: the owner's own, which must be claimed; the copy that
    stealing.basic has made; and an independent one, trained on those non-members that are not tested with their true
    labels, which must not be claimed.
    """

    name = "stealing.ownership"
    version = 2
    needs = "label"
    about = About(
        "Proof of ownership (dataset inference)",
        "Tests whether a stolen copy can be claimed by how it treats the owner's training images.",
        "Maini et al., Dataset Inference: Ownership Resolution in Machine Learning, ICLR 2021",
        "The owner asks a suspected service for labels, many for each image. He has his training images, and others of "
        "the same kind that were never in a training set.",
    )
    parts = ("members", "non_members", "auxiliary")
    presets = {"full": {"samples": 1000, "surrogate": BasicStealing.presets["full"]}}

    samples: int = Field(
        default=200, ge=2 * FEWEST, description="Members, and as many non-members, at most; half train the regressor."
    )
    directions: int = Field(default=10, ge=1, description="Random directions for each of the three norms.")
    steps: int = Field(default=50, ge=1, description="Steps along a direction, at most.")
    architecture: str = Field(default="small-cnn", description="The independent model's architecture.")
    surrogate: BasicStealing = Field(default=BasicStealing(), description="How the copy is stolen beforehand.")

    def requires(self) -> Method:
        """The theft."""
        return self.surrogate

    def measure(self, access: Oracle, data: Splits, context: Context) -> Tested:
        """Walk from members and non-members on every model, and score the walks by the owner's regressor.

        Raises:
            DataError: if members or non-members are missing or too few.
            AccessError: if no surrogate was stolen beforehand.
            BudgetError: if the walk needs more questions than are allowed.
        """
        if data.members is None or data.non_members is None:
            raise DataError("Ownership is tested with members and non-members; one of them is missing.")
        if context.provided is None:
            raise AccessError("Ownership needs a stolen copy to test; run stealing.basic before it.")
        members, tested, spare = self._samples(data.members, data.non_members, context)
        copy, _ = load_surrogate(context.provided)
        suspects: dict[str, Labels] = {"own": lambda images: access.ask(images).labels, "copy": _of(copy, context)}
        if len(spare):
            suspects["independent"] = _of(self._independent(access, Subset(data.non_members, spare), context), context)
        each = (len(members) + len(tested)) * self.directions * len(KINDS)
        judged: dict[str, Scores] = {}
        with context.progress.step("walking blindly", each * len(suspects)) as step:
            for name, suspect in suspects.items():
                known, rest = self._walked(suspect, members, tested, context, step).halves()
                if name == "own":
                    regressor = Regressor(known, context)
                judged[name] = regressor.judged(rest)
        return Tested(judged, *(part.rows[len(part) // 2 :] for part in (members, tested)))

    def account(self, result: Tested, context: Context) -> Finding:
        judged = result.judged
        metrics = [metric for name, scores in judged.items() for metric in _metrics(name, scores, context.seed)]
        if "independent" not in judged:
            note = "All non-members are tested, so that none is left to train an independent model on."
            metrics.append(Metric(name="p_independent", label=LABELS["independent"], value=None, note=note))
        return Finding(
            metrics=metrics,
            verdict=verdict(judged),
            figures=[picture(judged, context.seed)],
            samples=_samples(result),
        )

    def _walked(self, suspect: Labels, members: Subset, others: Subset, context: Context, step: Step) -> Walked:
        """How far members and non-members lie from where a model's labels change."""
        features = [
            blind_walk(
                suspect,
                part.take(np.arange(len(part))),
                part.labels,
                directions=self.directions,
                steps=self.steps,
                generator=context.generator(f"ownership: {kind}"),
                progress=step,
            )
            for kind, part in (("members", members), ("non-members", others))
        ]
        return Walked(*features)

    def _samples(
        self, members: Images, non_members: Images, context: Context
    ) -> tuple[Subset, Subset, NDArray[np.int64]]:
        """Members and non-members to walk from, in random order, and the rows of non-members that are left."""
        orders = [
            torch.randperm(len(part), generator=context.generator(f"ownership: {number}")).numpy()
            for number, part in enumerate((members, non_members))
        ]
        chosen = [order[: self.samples] for order in orders]
        return Subset(members, chosen[0]), Subset(non_members, chosen[1]), np.sort(orders[1][self.samples :])

    def _independent(self, oracle: Oracle, images: Subset, context: Context) -> torch.nn.Module:
        module = seeded_build(self.architecture, oracle.num_classes, oracle.input_shape, context.seed)
        images = drawn(images, 10_000, context.generator("ownership: the independent model's images"))
        fit(
            module,
            images,
            torch.from_numpy(images.labels),
            RECIPE,
            seed=context.seed,
            device=context.device,
            progress=context.progress,
            label="training an independent model",
        )
        return module


def _of(module: torch.nn.Module, context: Context) -> Labels:
    return lambda images: predict(module, images, context.device).argmax(dim=1).numpy()


LABELS = {
    "own": "p-value on the owner's own model",
    "copy": "p-value on the stolen copy",
    "independent": "p-value on an independent model",
}


def _metrics(name: str, scores: Scores, seed: int) -> list[Metric]:
    """The p-value, and the difference of mean scores with a bootstrap interval."""
    count = min(len(scores.members), len(scores.non_members))
    paired = [scores.members[:count], scores.non_members[:count]]
    bounds = bootstrap(lambda inside, outside: outside.mean(1) - inside.mean(1), *paired, seed=seed)
    difference = float(paired[1].mean() - paired[0].mean())
    return [
        Metric(
            name=f"p_{name}",
            label=LABELS[name],
            value=scores.p_value,
            n=2 * count,
            note="Welch's t-test.",
            scale=FALSE_CLAIM if name == "independent" else CLAIM,
        ),
        Metric(
            name=f"effect_{name}",
            label=LABELS[name].replace("p-value on", "Score of non-members above members,"),
            value=difference,
            interval=Interval(**bounds._asdict()),
            n=2 * count,
        ),
    ]


def verdict(judged: dict[str, Scores]) -> Verdict:
    """``low`` if the copy is claimed, ``elevated`` if it is not; ``undecided`` where the test itself fails.

    A copy that can be claimed has been stolen all the same, so that this does not answer whether the model can be.

    It fails if it does not claim the owner's own model, or claims an independent one. The metric is the p-value that
    decided.
    """
    p = {name: scores.p_value for name, scores in judged.items()}
    level: Level = "undecided"
    decided = "copy"
    if p["own"] >= SIGNIFICANT:
        decided = "own"
        told = f"The owner's own model cannot be told from others (p = {p['own']:.2g}): its training images are not "
        told += "treated differently enough for this test."
    elif p.get("independent", 1.0) < SIGNIFICANT:
        decided = "independent"
        told = f"The test claims an independent model too (p = {p['independent']:.2g}): members and non-members differ "
        told += "by more than membership."
    elif p["copy"] < SIGNIFICANT:
        level = "low"
        told = f"A stolen copy can be claimed by its labels (p = {p['copy']:.2g}), and an independent model is not."
    else:
        level = "elevated"
        told = f"A stolen copy cannot be claimed by its labels (p = {p['copy']:.2g}), though the owner's own model can "
        told += f"(p = {p['own']:.2g})."
    return Verdict(level=level, metric=f"p_{decided}", sentence=told, answers=False)


def picture(judged: dict[str, Scores], seed: int) -> Lines:
    """p-values by the number of images of each kind that are asked about."""
    count = min(min(len(scores.members), len(scores.non_members)) for scores in judged.values())
    sizes = sorted({int(size) for size in np.geomspace(2, count, 8)})
    return Lines(
        title="How many images a claim takes",
        caption=f"Harmonic mean of the p-values of {DRAWS} random draws of so many members and non-members.",
        x_label="Images of each kind",
        y_label="p-value",
        x_log=True,
        y_log=True,
        series=[
            Series(name=name, x=[float(size) for size in sizes], y=p_by_size(scores, sizes, DRAWS, seed))
            for name, scores in judged.items()
        ],
    )


def _samples(tested: Tested) -> Samples:
    inside, outside = len(tested.members), len(tested.non_members)
    return Samples(
        np.concatenate([tested.members, tested.non_members]),
        np.repeat(["members", "non_members"], [inside, outside]),
        columns={f"score_{name}": np.concatenate(scores) for name, scores in tested.judged.items()},
    )
