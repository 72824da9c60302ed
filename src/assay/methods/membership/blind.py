"""Members told from non-members without the model: where that succeeds, the data differ, and no leak need be behind it.

Two sets from different sources, years or pipelines differ in their inputs. Every attack on a model's answers then finds
a difference too, whatever the model has learned. A classifier that sees inputs and labels alone measures how much of
that there is. (Where both sets are one pool that was split at random, it errs to below 0.5: a half that has more
members of a kind leaves fewer to the other. That names no shift.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from assay.base.digests import digest_json
from assay.base.intervals import Bounds, auc_bounds, delong_auc
from assay.data.images import Images, Subset
from assay.methods.membership.roc import Scores, roc_curve, tpr_bounds, unsupported
from assay.methods.method import Context
from assay.targets.target import Modality

MOST = 3000
"""Samples of each kind that are compared, at most, drawn at random."""

FEWEST = 50
"""Samples of each kind without which the classifier learns nothing."""

NAMED = 0.99
"""The level of the interval whose lower bound, above 0.5, names a shift: 1 in 200 pairs of like sets is named."""

SIDES = {1: 8}
"""Cells per side of the coarse picture that the classifier sees, by channels; `SIDE` for others."""

SIDE = 5


class Blind(NamedTuple):
    """Out-of-fold scores of members and of non-members, higher for members, by a classifier without the model."""

    scores: Scores

    @property
    def auc(self) -> Bounds:
        """The 95 % interval of its AUC."""
        return auc_bounds(delong_auc(*self.scores))

    @property
    def value(self) -> float:
        """Its AUC."""
        return delong_auc(*self.scores).value

    @property
    def named(self) -> bool:
        """Whether members and non-members surely differ by their inputs."""
        return auc_bounds(delong_auc(*self.scores), NAMED).low > 0.5

    def share(self, alarms: float) -> float:
        """The upper bound of its true-positive rate at a false-positive rate; that rate itself if unsupported."""
        roc = roc_curve(*self.scores)
        return alarms if unsupported(roc, alarms) else tpr_bounds(roc, alarms).high


def blind(members: Subset, non_members: Subset, context: Context) -> Blind | None:
    """Learn on one half of each, judge the other, and the other way round; None if there are fewer than `FEWEST`.

    What was found is kept in the context's shared folder, for all methods that judge the same samples.
    """
    if min(len(members), len(non_members)) < FEWEST:
        return None
    name = digest_json({"blind": [members.digest, non_members.digest], "seed": context.seed})
    kept = context.shared / f"blind-{name[:32]}.npz"
    if kept.exists():
        with np.load(kept) as stored:
            return Blind((stored["members"], stored["non_members"]))
    parts = []
    for part, role in ((members, "members"), (non_members, "non-members")):
        order = torch.randperm(len(part), generator=context.generator(f"blind: {role}")).numpy()[:MOST]
        parts.append(described(Subset(part, order), context.modality))
    found = _judged(parts[0], parts[1])
    partial = kept.with_suffix(".partial.npz")
    np.savez(partial, members=found.scores[0], non_members=found.scores[1])
    partial.replace(kept)
    return found


def described(images: Images, modality: Modality) -> NDArray[np.float32]:
    """What the classifier sees of each sample, (n, width): a coarse picture and how it was made, bytes, or features.

    Of pictures: means over cells, mean, deviation, least and largest value of each channel, the shares of black and of
    white, and how much neighbours differ. Of texts: length, and how often each byte occurs. The label comes last.
    """
    batches = (np.arange(start, min(start + 1024, len(images))) for start in range(0, len(images), 1024))
    seen = torch.cat([SEEN[modality](images.take(rows)) for rows in batches])
    return np.column_stack([seen.numpy(), images.labels]).astype(np.float32)


def _of_pictures(pixels: torch.Tensor) -> torch.Tensor:
    side = SIDES.get(pixels.shape[1], SIDE)
    cells = adaptive_avg_pool2d(pixels, (min(side, pixels.shape[2]), min(side, pixels.shape[3]))).flatten(1)
    flat = pixels.flatten(2)
    made = [flat.mean(2), flat.std(2, correction=0), flat.amin(2), flat.amax(2)]
    made += [(flat == bound).float().mean(2) for bound in (0, 1)]
    made += [pixels.diff(dim=axis).abs().mean((2, 3)) for axis in (2, 3) if pixels.shape[axis] > 1]
    return torch.cat([cells, *made], dim=1)


def _of_texts(pixels: torch.Tensor) -> torch.Tensor:
    codes = (pixels.flatten(1) * 255).round().long().clamp(0, 255)
    counts = torch.zeros(len(codes), 256).scatter_add_(1, codes, torch.ones(codes.shape))
    counts[:, 0] = codes.shape[1] - counts[:, 0]
    return counts


def _of_vectors(rows: torch.Tensor) -> torch.Tensor:
    return rows.flatten(1)


SEEN: dict[Modality, Callable[[torch.Tensor], torch.Tensor]] = {
    "image": _of_pictures,
    "text": _of_texts,
    "vector": _of_vectors,
}


def _judged(members: NDArray[np.float32], non_members: NDArray[np.float32]) -> Blind:
    from sklearn.ensemble import HistGradientBoostingClassifier

    scores = (np.empty(len(members)), np.empty(len(non_members)))
    for half in (0, 1):
        learned = [part[1 - half :: 2] for part in (members, non_members)]
        learner = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=15, early_stopping=False, random_state=0)
        # No weights, though one part may be larger: an order of scores does not depend on a prior, and scikit-learn
        # bins weighted samples a hundred times as slowly.
        learner.fit(np.concatenate(learned), np.repeat([1, 0], list(map(len, learned))))
        for part, found in zip((members, non_members), scores, strict=True):
            found[half::2] = learner.decision_function(part[half::2])
    return Blind(scores)
