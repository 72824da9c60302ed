"""Whether the owner could prove that a copy is his."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import AccessError, DataError
from assay.base.intervals import bootstrap
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.finding import Family, Finding, Interval, Level, Lines, Metric, Series, Verdict
from assay.methods.method import Context, Method, Need, Preset, method, require_oracle
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.defences.blind_walk import KINDS, Labels, blind_walk
from assay.methods.stealing.defences.inference import FEWEST, Regressor, Scores, Walked, p_by_size
from assay.methods.stealing.surrogate import load_surrogate
from assay.training import Recipe, fit, predict, seeded_build

SIGNIFICANT = 0.01
"""A p-value below this claims a model."""

RECIPE = Recipe(epochs=20, batch_size=64, optimiser="adam", learning_rate=0.002)
"""How the independent model is trained."""

DRAWS = 100
"""Random draws of each size in the picture, as in the paper."""


@method
class Ownership(Method):
    """Dataset inference: whether a stolen copy, asked for labels, betrays whose training set is behind it.

    The owner has members and non-members, asks a model by `blind_walk` how far each lies from where its label changes,
    and compares the two by a regressor trained on his own model (`inference`). Half of the images train the regressor,
    the other half are tested. Three models are tested: the owner's own, which must be claimed; the copy that
    stealing.basic has made; and an independent one, trained on those non-members that are not tested with their true
    labels, which must not be claimed.
    """

    name: ClassVar[str] = "stealing.ownership"
    version: ClassVar[int] = 2
    family: ClassVar[Family] = "stealing"
    needs: ClassVar[Need] = "label"
    title: ClassVar[str] = "Proof of ownership (dataset inference)"
    summary: ClassVar[str] = "Tests whether a stolen copy can be claimed by how it treats the owner's training images."
    threat_model: ClassVar[str] = (
        "The owner asks a suspected service for labels, many for each image. He has his training images, and others of "
        "the same kind that were never in a training set."
    )
    paper: ClassVar[str] = "Maini et al., Dataset Inference: Ownership Resolution in Machine Learning, ICLR 2021"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0024.002", "AML.T0005.001")
    parts: ClassVar[tuple[str, ...]] = ("members", "non_members", "auxiliary")
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "full": {"samples": 1000, "surrogate": BasicStealing.presets["full"]}
    }

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

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if members or non-members are missing or too few.
            AccessError: if no surrogate was stolen beforehand.
            BudgetError: if the walk needs more questions than are allowed.
        """
        oracle = require_oracle(access)
        if data.members is None or data.non_members is None:
            raise DataError("Ownership is tested with members and non-members; one of them is missing.")
        if context.provided is None:
            raise AccessError("Ownership needs a stolen copy to test; run stealing.basic before it.")
        members, tested, spare = self._samples(data.members, data.non_members, context)
        copy, _ = load_surrogate(context.provided)
        suspects: dict[str, Labels] = {"own": lambda images: oracle.ask(images).labels, "copy": _of(copy, context)}
        if len(spare):
            suspects["independent"] = _of(self._independent(oracle, Subset(data.non_members, spare), context), context)
        each = (len(members) + len(tested)) * self.directions * len(KINDS)
        judged: dict[str, Scores] = {}
        with context.progress.step("walking blindly", each * len(suspects)) as step:
            for name, suspect in suspects.items():
                walked = Walked(
                    *(
                        blind_walk(
                            suspect,
                            part.take(np.arange(len(part))),
                            part.labels,
                            directions=self.directions,
                            steps=self.steps,
                            generator=context.generator(f"ownership: {kind}"),
                            progress=step,
                        )
                        for kind, part in (("members", members), ("non-members", tested))
                    )
                )
                known, rest = walked.halves()
                if name == "own":
                    regressor = Regressor(known, context)
                judged[name] = regressor.judged(rest)
        metrics = [metric for name, scores in judged.items() for metric in _metrics(name, scores, context.seed)]
        if not len(spare):
            note = "All non-members are tested, so that none is left to train an independent model on."
            metrics.append(Metric(name="p_independent", label=LABELS["independent"], value=None, note=note))
        return Finding(
            metrics=metrics,
            verdict=verdict(judged),
            figures=[picture(judged, context.seed)],
            samples=_columns(judged),
        )

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
        Metric(name=f"p_{name}", label=LABELS[name], value=scores.p_value, n=2 * count, note="Welch's t-test."),
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

    It fails if it does not claim the owner's own model, or claims an independent one.
    """
    p = {name: scores.p_value for name, scores in judged.items()}
    level: Level = "undecided"
    if p["own"] >= SIGNIFICANT:
        told = f"The owner's own model cannot be told from others (p = {p['own']:.2g}): its training images are not "
        told += "treated differently enough for this test."
    elif p.get("independent", 1.0) < SIGNIFICANT:
        told = f"The test claims an independent model too (p = {p['independent']:.2g}): members and non-members differ "
        told += "by more than membership."
    elif p["copy"] < SIGNIFICANT:
        level = "low"
        told = f"A stolen copy can be claimed by its labels (p = {p['copy']:.2g}), and an independent model is not."
    else:
        level = "elevated"
        told = f"A stolen copy cannot be claimed by its labels (p = {p['copy']:.2g}), though the owner's own model can "
        told += f"(p = {p['own']:.2g})."
    return Verdict(level=level, metric="p_copy", sentence=told, answers=False)


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


def _columns(judged: dict[str, Scores]) -> dict[str, NDArray[Any]]:
    own = judged["own"]
    member = np.concatenate([np.ones(len(own.members), np.bool_), np.zeros(len(own.non_members), np.bool_)])
    return {"member": member, **{f"score_{name}": np.concatenate(scores) for name, scores in judged.items()}}
