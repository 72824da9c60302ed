"""What a model and its compressed versions together say of their training data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle, Published
from assay.base.errors import BudgetError, DataError
from assay.base.intervals import Floats, auc_bounds, delong_auc
from assay.data.images import Images, batches, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Interval, Metric, Samples, Scale, Table, Verdict
from assay.methods.method import Context, OracleMethod, method
from assay.methods.siblings.leakage_scores import apart, auc_difference, cross_fitted, features, set_features
from assay.methods.siblings.options import Siblings
from assay.methods.siblings.risk_report import judged
from assay.methods.siblings.similarity_measures import Flags

AUC_GAINED = Scale(risk="up", chance=0.0, high=0.05, low=0.01)
"""Differences of areas under the ROC curve; the limits are Assay's own."""

FEWEST = 50
"""Members, and non-members, below which nothing is taught on part of them."""

ROLE = "sibling"


class LeakageResult(NamedTuple):
    """Posteriors (n, classes) of the model, then of its siblings, on n samples: members, then non-members.

    ``names`` are what the networks are called, ``rows`` and ``labels`` (n,) those of the samples.
    """

    names: list[str]
    answers: list[NDArray[np.float32]]
    members: Flags
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


@method
class ReleaseLeakage(OracleMethod[LeakageResult]):
    """Membership from a model together with its published siblings, beside membership from each alone.

    Siblings were trained on the same data and err differently: what one hides another may show. The attacker knows of
    some samples whether they were members, teaches a logistic regression on the signals of all versions (log-odds of
    the label, modified entropy, and how far each sibling's log-odds lie from the model's), and judges the rest; the
    same regression on one version alone is what the set is compared with. Every sample is asked about once.
    """

    name = "siblings.leakage"
    about = About(
        title="Leakage of a release set",
        summary="Infers membership from a model and its siblings together, and compares with each of them alone.",
        paper="The question is that of CompLeak, USENIX Security 2026, whose formulas are not known here; the signals "
        "are those of Carlini et al., S&P 2022, and of Song and Mittal, USENIX Security 2021",
        threat_model="Black box, with siblings in hand. The attacker has samples with their true labels, asks the "
        "model about each and runs its published compressed versions on them; of some other samples he knows whether "
        "they were in the training set.",
        atlas=("AML.T0024.000",),
    )
    parts = ("members", "non_members")
    uses = ("auxiliary",)
    novel_inputs = False
    presets = {"standard": {}, "full": {"max_samples": 10_000}}

    siblings: Siblings = Field(
        default=("int8", "prune=0.5"),
        description="The siblings, joined by commas: published ones, or compressions of the target, such as int8, int4 "
        "or prune=0.5+tune.",
    )
    max_samples: int = Field(default=2000, ge=FEWEST, description="Members at most, and as many non-members.")
    folds: int = Field(default=5, ge=2, le=20, description="Parts that are judged by what the others teach.")

    def companions(self) -> dict[str, str]:
        """The siblings."""
        return {f"{ROLE} {n}" if n > 1 else ROLE: text for n, text in enumerate(self.siblings, start=1)}

    def measure(self, access: Oracle, data: Splits, context: Context) -> LeakageResult:
        """Ask all versions about members and non-members.

        Raises:
            DataError: if there are fewer than `FEWEST` of either.
            BudgetError: if the oracle does not allow so many questions.
        """
        if data.members is None or data.non_members is None:
            raise DataError("Leakage is measured on members and non-members together.")
        each = min(self.max_samples, len(data.members), len(data.non_members))
        if access.remaining is not None and access.remaining < 2 * each:
            each = access.remaining // 2
            if each < FEWEST:
                raise BudgetError(f"{2 * FEWEST} questions are needed, and the budget leaves {access.remaining}.")
        if each < FEWEST:
            raise DataError(f"{FEWEST} members and non-members are needed at least; these are {each}.")
        generator = context.generator("leakage: samples")
        groups = [drawn(part, each, generator) for part in (data.members, data.non_members)]
        asked = [access.ask_all(group, context.progress).require_posteriors() for group in groups]
        boxes = list(context.companions.values())
        context.progress.say(f"running {len(boxes)} siblings")
        beside = [np.concatenate([_posteriors(box, group) for group in groups]) for box in boxes]
        return LeakageResult(
            ["the model", *(box.name for box in boxes)],
            [np.concatenate(asked), *beside],
            np.arange(2 * each) < each,
            np.concatenate([group.rows for group in groups]),
            np.concatenate([group.labels for group in groups]),
        )

    def account(self, result: LeakageResult, context: Context) -> Finding:
        """Areas under the ROC curve of the set and of each version; judged is what the set has over the best one."""
        members, labels, seed = result.members, result.labels, context.seed
        alone = {
            f"auc_{'model' if number == 0 else f'sibling_{number}'}": cross_fitted(
                features(answers, labels), members, self.folds, seed
            )
            for number, answers in enumerate(result.answers)
        }
        together = cross_fitted(set_features(result.answers, labels), members, self.folds, seed)
        singles = [
            _auc(name, f"AUC, {called} alone", scores, members)
            for (name, scores), called in zip(alone.items(), result.names, strict=True)
        ]
        whole = _auc("auc_set", "AUC, all versions together", together, members)
        best = max(range(len(singles)), key=lambda number: singles[number].value or 0.0)
        gained = _gained(together, alone[singles[best].name], members)
        differences = {
            f"auc_apart_{number}": apart(result.answers[0], answers, labels)
            for number, answers in enumerate(result.answers[1:], start=1)
        }
        moved = [
            _auc(name, f"AUC, distance from {result.names[number]}", scores, members)
            for number, (name, scores) in enumerate(differences.items(), start=1)
        ]
        sentence = _sentence(gained, whole, singles[best], result.names[best])
        return Finding(
            metrics=[gained, whole, *singles, *moved],
            verdict=Verdict(level=judged(gained), metric=gained.name, sentence=sentence, answers=False),
            figures=[_table(result.names, singles, moved, whole)],
            samples=Samples(
                result.rows,
                np.where(members, "members", "non_members"),
                scores={"auc_set": together, **alone, **differences},
                positive=members,
                columns={"label": labels},
            ),
        )


def _posteriors(box: Published, images: Images) -> NDArray[np.float32]:
    parts = [box.logits(batch.images).softmax(dim=1) for batch in batches(images)]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def _auc(name: str, label: str, scores: Floats, members: Flags) -> Metric:
    area = delong_auc(scores[members], scores[~members])
    return Metric(
        name=name, label=label, value=area.value, interval=Interval(**auc_bounds(area)._asdict()), n=len(members)
    )


def _gained(together: Floats, best: Floats, members: Flags) -> Metric:
    value, bounds = auc_difference(together, best, members)
    return Metric(
        name="auc_gained",
        label="AUC that the set adds to its leakiest version",
        value=value,
        interval=Interval(**bounds._asdict()),
        n=len(members),
        scale=AUC_GAINED,
        note="The leakiest version is chosen on the same samples, so that the gain errs downwards.",
    )


def _sentence(gained: Metric, whole: Metric, best: Metric, called: str) -> str:
    assert gained.interval is not None, "auc_difference gives one"
    text = (
        f"From all versions together an attacker tells members from others with an AUC of {whole.value:.3f}, from "
        f"{called} alone, the leakiest, with {best.value:.3f}: publishing the set adds {gained.value:+.3f} (95 % "
        f"interval {gained.interval.low:+.3f} to {gained.interval.high:+.3f})."
    )
    if judged(gained) == "undecided":
        text += f" The interval holds {AUC_GAINED.low:g}, where low ends: more samples would decide."
    return text


def _table(names: list[str], singles: list[Metric], moved: list[Metric], whole: Metric) -> Table:
    rows: list[list[str | float | None]] = [
        [name, single.value, moved[number - 1].value if number else None]
        for number, (name, single) in enumerate(zip(names, singles, strict=True))
    ]
    return Table(
        title="What each version leaks",
        caption="Areas under the ROC curve of one regression, taught on one version or on all. The distance from the "
        "model is an attack of its own, without a regression: how far the log-odds of the label moved.",
        columns=["version", "AUC alone", "AUC of the distance from the model"],
        rows=[*rows, ["all together", whole.value, None]],
    )
