"""Shadow models behind the target's serving: they answer as it does before any signal is taken.

The attacker knows what the service does to its posteriors: that is in its documentation, or seen from a few answers.
What it keeps secret (keys of noise, networks of the owner's) he draws anew for each shadow model. What can be undone
is undone, for the target and for shadow models alike, so that both bear the same rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from assay.access import Serving
from assay.access.policies import Asked
from assay.access.policies.basic import Label, Top
from assay.access.policies.policy import Policy, Posteriors, normalised
from assay.access.store import image_keys
from assay.base.errors import DataError
from assay.base.intervals import Floats
from assay.data.images import Images, to_pixels
from assay.training.shadow import Query, ask_moved

CHUNK = 1024
"""Images taken at a time."""


class Imitation:
    """A serving as the attacker has it, one for each shadow model."""

    def __init__(self, serving: Serving, classes: int, seed: int) -> None:
        """Imitate a serving of a target with so many classes.

        Raises:
            UsageError: if a policy is unknown or not valid.
        """
        self._policies = serving.build_policies()
        self._cut: list[Policy] = []
        if serving.output == "label":
            self._cut = [Label()]
        elif serving.output == "top-k" and serving.top_k < classes:
            self._cut = [Top(k=serving.top_k)]
        self._seed = seed

    def answers(self, logits: NDArray[np.float32], images: Images, queries: Sequence[Query]) -> NDArray[np.float32]:
        """What shadow models with such logits (models, queries, n, classes) answer about images: `undone` posteriors.

        ``queries`` is how the images were shown.

        Raises:
            DataError: if a logit is NaN or infinite.
        """
        posteriors = np.empty(logits.shape, np.float32)
        policies = [self._of_model(model) for model in range(len(logits))]
        for start in range(0, len(images), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(images)))
            for query, shown in enumerate(queries):
                asked = self._asked(images, rows, shown)
                for model, answering in enumerate(policies):
                    answered = softmax(_finite(logits[model, query, rows]), axis=1)
                    for policy in answering:
                        answered = policy(answered, asked)
                    posteriors[model, query, rows] = self.undone(answered)
        return posteriors

    def undone(self, posteriors: Posteriors) -> Posteriors:
        """Answers (n, classes) of the service, without the policies, from the last on, that can be undone."""
        for policy in reversed(self._policies):
            before = policy.undone(posteriors)
            if before is None:
                break
            posteriors = normalised(before)
        return posteriors

    def _of_model(self, model: int) -> list[Policy]:
        seeds = np.random.SeedSequence([self._seed, model]).generate_state(len(self._policies) or 1)
        drawn = [policy.imitated(int(seed)) for policy, seed in zip(self._policies, seeds, strict=False)]
        return drawn + self._cut

    def _asked(self, images: Images, rows: NDArray[np.int64], query: Query) -> Asked:
        if not self._policies:
            return Asked(images.take(rows[:0]), image_keys(images.take(rows[:0])))
        pixels = to_pixels(ask_moved(images.take(rows), query))
        return Asked(pixels, image_keys(pixels))


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        raise DataError("Logits of shadow models hold NaN or infinity.")
    return logits


def log_posteriors(posteriors: NDArray[np.floating], least: float) -> Floats:
    """Logarithms, of zeros that of ``least``: what was rounded off or cut off is some number below all answers."""
    return np.asarray(np.log(np.where(posteriors > 0, posteriors.astype(np.float64), least)))


def least_answer(posteriors: NDArray[np.float32]) -> float:
    """Half of the least positive posterior that shadow models answered with."""
    positive = posteriors[posteriors > 0]
    return float(positive.min()) / 2 if len(positive) else 1.0
