"""Signs that a network withstands an attack because its gradients mislead, not because it is hard to fool.

Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018, section 3.1; Carlini et
al., "On evaluating adversarial robustness", 2019, section 5. They are looked for where an attack found little, on a few
of the images that it left standing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay.base.intervals import clopper_pearson
from assay.methods.evasion.results import LOW_SUCCESS
from assay.methods.finding import Metric, Verdict
from assay.methods.measures import percent, proportion

SHARE = 0.05
"""The share of them above which something is a sign."""

UNBOUNDED = 0.95
"""An attack that may change an image into any other must succeed on this share of them."""

Bools = NDArray[np.bool_]


class Checks(NamedTuple):
    """What was seen on k standing images, each bool (k,); None where it was not looked at.

    ``vanished``: the margin has no gradient. ``varying``: two answers differ. ``unbounded``: fooled when any change is
    allowed. ``stronger``, ``black_box``: fooled by another attack, with gradients and without. ``beaten_by_noise`` is
    over all images attacked. ``flat``: the posteriors do not change at all when the image does.
    """

    vanished: Bools | None = None
    varying: Bools | None = None
    unbounded: Bools | None = None
    stronger: Bools | None = None
    black_box: Bools | None = None
    beaten_by_noise: Bools | None = None
    flat: Bools | None = None


LABELS = {
    "vanished": "Standing images without a gradient of the margin",
    "varying": "Standing images answered differently when asked twice",
    "unbounded": "Standing images fooled when any change is allowed",
    "stronger": "Standing images that APGD fools",
    "black_box": "Standing images that the Square Attack fools",
    "flat": "Standing images whose posteriors stay the same under noise",
    "beaten_by_noise": "Attacked images that noise fools and the attack does not",
}


def check_metrics(checks: Checks) -> list[Metric]:
    """``check_*``, one for each thing that was looked at."""
    return [
        proportion(f"check_{name}", LABELS[name], seen) for name, seen in checks._asdict().items() if seen is not None
    ]


class Sign(NamedTuple):
    """What speaks against a low success rate: a field of `Checks`, and a clause."""

    name: str
    words: str


def signs(checks: Checks) -> list[Sign]:
    """What speaks against a low success rate; empty if nothing does."""
    found = []

    def share(seen: Bools | None) -> float:
        return 0.0 if seen is None else float(seen.mean())

    def several(seen: Bools | None, least: float = SHARE) -> bool:
        # One image may fall to any attack by chance of its random start: two of them, and one in twenty, do not.
        return seen is not None and int(seen.sum()) >= 2 and float(seen.mean()) > least

    if share(checks.vanished) > SHARE:
        text = f"the gradient vanishes on {percent(share(checks.vanished))} of the images that stand"
        found.append(Sign("vanished", text))
    if share(checks.varying) > SHARE:
        found.append(Sign("varying", "the answers vary from one question to the next"))
    if checks.unbounded is not None and share(checks.unbounded) < UNBOUNDED:
        text = f"with any change allowed only {percent(share(checks.unbounded))} of the standing images fall"
        found.append(Sign("unbounded", text))
    if share(checks.flat) > SHARE:
        text = f"on {percent(share(checks.flat))} of the images that stand the posteriors do not change with the image"
        found.append(Sign("flat", text))
    if several(checks.stronger):
        found.append(Sign("stronger", f"APGD fools {percent(share(checks.stronger))} of the images that stand"))
    if several(checks.black_box):
        text = f"the Square Attack, without gradients, fools {percent(share(checks.black_box))} of what gradients left"
        found.append(Sign("black_box", text))
    if several(checks.beaten_by_noise, SHARE * LOW_SUCCESS):
        text = f"random noise fools {percent(share(checks.beaten_by_noise))} of the images, and the attack does not"
        found.append(Sign("beaten_by_noise", text))
    return found


def what_decides(against: list[Sign], ensemble: bool) -> str:
    """The attack that would decide, given the signs; ``ensemble`` says that AutoAttack is what was run."""
    names = {sign.name for sign in against}
    if "flat" in names:
        return "evasion.hop_skip_jump, which needs labels alone,"
    if "vanished" in names:
        return (
            "The Square Attack with 5,000 questions an image, or gradients through a differentiable replacement of the "
            "step that has none,"
        )
    if ensemble and "varying" in names:
        return "Averaging over more answers than AutoAttack's ten"
    if ensemble and names:
        return "The Square Attack with more questions, or an attack made for this network,"
    return "evasion.autoattack"


def chance_sign(right: Bools, classes: int) -> list[Sign]:
    """A sign where predictions (n,) may be right no more often than by guessing among so many classes."""
    if clopper_pearson(int(right.sum()), len(right)).low > 1 / classes:
        return []
    return [Sign("chance", "without any attack the model is right no more often than by guessing")]


def earned(verdict: Verdict, against: list[Sign], decides: bool, decider: str) -> Verdict:
    """A verdict with what its low success rate is worth.

    *Low* stays only if the attack ``decides`` (it is the strongest that the access allows) and nothing speaks
    ``against`` it. With signs the verdict is *undecided*. A weaker attack that finds little is *undecided* too, and
    weak (`Verdict.weak`): it is for ``decider`` to say.
    """
    if verdict.level not in ("low", "undecided"):
        return verdict
    if against:
        listed = "; ".join(sign.words for sign in against)
        sentence = f"{verdict.sentence} That is no robustness shown: {listed}. {decider} would decide."
        return verdict.model_copy(update={"level": "undecided", "sentence": sentence})
    if decides:
        return verdict
    sentence = f"{verdict.sentence} Stronger attacks may find more: {decider} would decide."
    return verdict.model_copy(update={"level": "undecided", "sentence": sentence, "weak": True})
