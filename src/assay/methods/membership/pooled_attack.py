"""An attack that pools signals: a classifier over them that has seen nothing but shadow models."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier

from assay.base.intervals import Floats
from assay.methods.about import About
from assay.methods.membership.calibration import balanced
from assay.methods.membership.lira import lira_offline, lira_online
from assay.methods.membership.logits import scaled_logit, softmax_confidence
from assay.methods.membership.rmia import online, rmia
from assay.methods.membership.shadow_attack import SHADOW_THREAT, ShadowAttack, Shadowed, ShadowScores
from assay.methods.membership.shadows import Bools
from assay.methods.membership.signals import FLOOR, SIGNALS
from assay.methods.method import Context, method

POOLED = ("confidence", "entropy", "modified_entropy", "log_odds")
"""Signals of the answer itself; correctness follows from them, and loss is the logarithm of confidence."""


@method
class Pooled(ShadowAttack):
    """Gradient boosting over signals, LiRA online and offline with a fixed variance, and RMIA online.

    Each shadow model plays the target against all others, so that its features are what the target's will be, and its
    members are known. The classifier is trained on every other shadow model, and thresholds come from the rest.
    """

    name = "membership.pooled"
    about = About(
        title="Pooled membership inference",
        summary="Pools signals, LiRA and RMIA by a classifier that is trained on shadow models only.",
        paper="Song and Mittal, Systematic Evaluation of Privacy Risks of Machine Learning Models, 2021 (signals); "
        "Carlini et al., S&P 2022 (LiRA); Zarifzadeh, Liu and Shokri, ICML 2024 (RMIA); pooling as in Shokri et al., "
        "S&P 2017",
        threat_model=SHADOW_THREAT,
    )

    rows: int = Field(default=200_000, ge=100, description="At most so many samples of shadow models to train on.")

    def scored(self, known: Shadowed, context: Context) -> ShadowScores:
        """See `ShadowAttack.scored`."""
        features = _Features(known)
        models = np.arange(len(known.inside))
        taught, calibrating = models[::2], models[1::2]
        generator = np.random.default_rng(np.random.SeedSequence([context.seed, len(models)]))
        share = self.rows // len(taught)
        x, y = [], []
        with context.progress.step("pooling signals", len(models)) as step:
            for model in taught:
                chosen = generator.permutation(len(known.labels))[:share]
                x.append(features.of_shadow(int(model))[chosen])
                y.append(known.inside[model, chosen])
                step.advance()
            learner = HistGradientBoostingClassifier(early_stopping=False, random_state=0)
            learner.fit(np.concatenate(x), np.concatenate(y))
            shadow_scores = []
            for model in calibrating:
                shadow_scores.append(learner.decision_function(features.of_shadow(int(model))))
                step.advance()
        scores = {"pooled": np.asarray(learner.decision_function(features.of_target()))}
        return ShadowScores(known, scores, "pooled", (np.stack(shadow_scores), known.inside[calibrating]))


class _Features:
    """Features float64 (n, width) of the target, and of shadow models in its place."""

    def __init__(self, known: Shadowed) -> None:
        self.known = known
        self.odds = known.values(scaled_logit)
        confidences = known.values(partial(softmax_confidence, temperature=2.0))
        self.confidence = tuple(np.maximum(values, FLOOR).mean(axis=-1) for values in confidences)

    def of_target(self) -> Floats:
        everything = np.ones(len(self.known.inside), bool)
        return self._features(self.known.posteriors, self.odds[0], self.confidence[0], everything)

    def of_shadow(self, model: int) -> Floats:
        others = np.arange(len(self.known.inside)) != model
        posteriors = self.known.shadows[model].transpose(1, 0, 2)
        return self._features(posteriors, self.odds[1][model], self.confidence[1][model], others)

    def _features(self, posteriors: NDArray[np.float32], odds: Floats, confidence: Floats, others: Bools) -> Floats:
        """Of posteriors (n, queries, classes), scaled logits (n, queries) and mean confidences (n,) of one model."""
        labels = self.known.labels
        shadows, inside = balanced(self.odds[1][others], self.known.inside[others])
        likelihood = online(confidence, *balanced(self.confidence[1][others], self.known.inside[others]))
        return np.column_stack(
            [
                *(SIGNALS[name](posteriors[:, 0], labels) for name in POOLED),
                odds.mean(axis=1),
                lira_online(odds, shadows, inside, fixed_variance=True),
                lira_offline(odds, shadows, inside, fixed_variance=True),
                rmia(likelihood, likelihood),
            ]
        )
