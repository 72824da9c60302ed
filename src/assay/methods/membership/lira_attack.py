"""LiRA as a method: shadow models, four likelihood-ratio tests, and thresholds from the shadow models."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import DataError, UsageError
from assay.base.intervals import Floats
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Histogram
from assay.methods.membership.calibration import Score, in_turn
from assay.methods.membership.lira import lira_offline, lira_online
from assay.methods.membership.logits import scaled_logit
from assay.methods.membership.shadow_attack import SHADOW_THREAT, ShadowAttack, Shadowed, ShadowScores, shadow_finding
from assay.methods.membership.shadows import Bools
from assay.methods.membership.shrunken import lira_shrunken
from assay.methods.membership.vulnerability import exposure
from assay.methods.method import Context, method

MANY = 64
"""With fewer shadow models a variance fixed for all examples is better (Carlini et al., S&P 2022, section VI-B)."""

FEWEST_PER_EXAMPLE = 6
"""Shadow models that leave each example two of a kind when one plays the target."""

VARIANTS: dict[str, Score] = {
    "lira_online_fixed": partial(lira_online, fixed_variance=True),
    "lira_online_per_example": lira_online,
    "lira_online_shrunken": lira_shrunken,
    "lira_offline_fixed": partial(lira_offline, fixed_variance=True),
    "lira_offline_per_example": lira_offline,
}


@method
class Lira(ShadowAttack):
    """The likelihood-ratio attack with scaled logits, online and offline, with three kinds of variance.

    All variants are reported from the same shadow models. The verdict rests on the one that the options name, by
    default online with a fixed variance below 64 shadow models and a per-example one from there on. ``exposure`` in the
    samples is what shadow models alone say of each example (`vulnerability.exposure`).
    """

    name = "membership.lira"
    about = About(
        title="Likelihood-ratio attack (LiRA)",
        summary="Compares the target's answer with those of shadow models that were, and were not, trained on the "
        "sample.",
        paper="Carlini et al., Membership Inference Attacks From First Principles, S&P 2022",
        threat_model=SHADOW_THREAT,
    )

    online: bool = Field(
        default=True,
        description="Whether the verdict rests on the test that also uses shadow models trained on the sample.",
    )
    variance: Literal["auto", "fixed", "per-example", "shrunken"] = Field(
        default="auto",
        description="The variance that the verdict rests on; auto: fixed below 64 shadow models, and one for each "
        "example from there on. Shrunken is between the two, and needs the online test.",
    )

    @property
    def deciding(self) -> str:
        """The variant that the verdict rests on."""
        variance = self.variance.replace("-", "_")
        if variance == "auto":
            variance = "fixed" if self.models < MANY else "per_example"
        return f"lira_{'online' if self.online else 'offline'}_{variance}"

    def measure(self, access: Oracle, data: Splits, context: Context) -> ShadowScores:
        """Scores of the variants, and scaled logits.

        Raises:
            UsageError: if a shrunken variance is asked for offline.
            DataError: if there are too few shadow models for a variance of each example, or as `ShadowAttack.shadow`.
            BudgetError: as `ShadowAttack.shadow`.
        """
        if self.deciding not in VARIANTS:
            raise UsageError("A shrunken variance is for the online test: take online=true, or another variance.")
        if not self.deciding.endswith("fixed") and self.models < FEWEST_PER_EXAMPLE:
            raise DataError(
                f"A variance for each example needs at least {FEWEST_PER_EXAMPLE} shadow models; {self.models} are "
                "asked for. Train more, or take variance=fixed."
            )
        return super().measure(access, data, context)

    def scored(self, known: Shadowed, context: Context) -> ShadowScores:
        """See `ShadowAttack.scored`."""
        target, shadows = known.values(scaled_logit)
        scores = {name: score(target, shadows, known.inside) for name, score in VARIANTS.items()}
        calibrating = in_turn(VARIANTS[self.deciding], shadows, known.inside)
        columns = {"log_odds": target.mean(axis=1), "exposure": exposure(shadows, known.inside)}
        return ShadowScores(known, scores, self.deciding, (calibrating, known.inside), columns)

    def account(self, result: ShadowScores, context: Context) -> Finding:
        """What `shadow_finding` says, and whether the target is like its shadow models."""
        found = shadow_finding(result, context)
        found.figures.append(_likeness(*result.known.values(scaled_logit), result.known.inside))
        return found


def _likeness(target: Floats, shadows: Floats, inside: Bools) -> Histogram:
    low, high = np.quantile(np.concatenate([target.ravel(), shadows.ravel()]), [0.001, 0.999]).tolist()
    edges = np.linspace(low, high if high > low else low + 1, 41)
    parts = {"target": target, "shadow models, trained on it": shadows[inside], "shadow models, not": shadows[~inside]}
    return Histogram(
        title="Is the target like its shadow models?",
        caption="The target's curve should lie among those of models trained on a sample and models not. Where it "
        "does not, the shadow models were trained unlike the target, and another recipe would find more.",
        x_label="Scaled logit of the true label",
        edges=edges.tolist(),
        counts={name: (np.histogram(part, edges)[0] / part.size).tolist() for name, part in parts.items()},
    )
