"""A model is looked at before it is judged.

An attack on a network that guesses finds nothing, and nothing found must not read as safe. So the accuracy is measured
first, beside what guessing and the most frequent class would reach and beside what was expected; where it is in doubt,
the usual causes are tried.
"""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from assay.base.digests import digest_json
from assay.base.files import write_text
from assay.base.intervals import wilson
from assay.data.images import is_labelled
from assay.studies.sanity import Cause, Sanity, Share
from assay.studies.usual_causes import Asked, ask, explain
from assay.studies.workspace import Workspace, reported
from assay.targets.target import Target

VERSION = 2
"""Goes up when the same model and data would be judged otherwise."""
FEWEST = 30
"""Images below which no accuracy is held against a model."""
SLIGHT = 0.2
"""Cohen's kappa below which answers and labels agree by chance: Landis and Koch, Biometrics 33 (1977) 159, call less
than 0.2 slight. An untrained network reaches more than 0, since classes differ in brightness."""
SHORT = 0.05
"""How far below the expected accuracy the upper end of the interval may lie."""


def look(target: Target, workspace: Workspace | None = None) -> Sanity | None:
    """The accuracy of a model, and whether it is in doubt; from the workspace where it was measured before.

    None where that would cost (a service) or cannot be (no labelled images, or too few; it does not answer).
    The forward passes are the evaluator's: no method is charged, and the posterior store is left as it is, so that the
    answers of every method are those that it would have had without.
    """
    parts = {"non_members": target.splits.non_members, "members": target.splits.members}
    known = {name: part for name, part in parts.items() if part is not None and is_labelled(part)}
    labelled = {name: part for name, part in known.items() if len(part) >= FEWEST}
    if target.answers != "logits" or not labelled:
        return None
    expected = target.facts.get("expected_accuracy")
    what = {
        "version": VERSION,
        "target": target.digest,
        "parts": {name: part.digest for name, part in labelled.items()},
        "expected": expected,
    }
    file = None if workspace is None else workspace.path / "shared" / "sanity" / f"{digest_json(what)}.json"
    if file is not None and file.exists():
        with contextlib.suppress(ValidationError, OSError):  # a damaged file is measured again
            return Sanity.model_validate_json(file.read_bytes())
    try:
        found = _judge(target, {name: ask(target, part) for name, part in labelled.items()}, expected)
    except Exception:  # whatever keeps it from answering, the first method says it better
        return None
    if file is not None and workspace is not None:
        with reported(workspace.path):
            file.parent.mkdir(exist_ok=True)
            write_text(file, found.model_dump_json(indent=1) + "\n")
    return found


def kappa(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    """Cohen's kappa: agreement beyond that of answers that have nothing to do with the labels.

    1 if all labels are the same: then nothing can be said.
    Cohen, Educational and Psychological Measurement 20 (1960) 37: ``(p_o - p_e) / (1 - p_e)``.
    """
    classes = int(max(labels.max(), answers.max())) + 1
    by_chance = (
        float(np.bincount(labels, minlength=classes) @ np.bincount(answers, minlength=classes)) / len(labels) ** 2
    )
    if len(np.unique(labels)) == 1 or by_chance == 1.0:
        return 1.0
    return (float((labels == answers).mean()) - by_chance) / (1.0 - by_chance)


def _judge(target: Target, asked: dict[str, Asked], expected: float | None) -> Sanity:
    shares = {name: _share(part.right) for name, part in asked.items()}
    first = next(iter(asked.values()))  # non-members, where there are any: what an accuracy is quoted on
    share = next(iter(shares.values()))
    found = Sanity(
        accuracy=shares,
        majority=float(np.bincount(first.labels).max() / len(first.labels)),
        chance=1.0 / target.num_classes,
        expected=expected,
    )
    cause: Cause | None = None
    if all(kappa(part.labels, part.answers) < SLIGHT for part in asked.values()):
        cause = "chance"
    elif expected is not None and share.high < expected - SHORT:
        cause = "expected"
    named = explain(target, first, cause is not None)
    if cause is None and named is None:
        return found
    sentence = _sentence(found, share, first is asked.get("non_members"))
    if named is None:
        ask = "is the model trained, and is its preprocessing right?"
        return found.model_copy(update={"cause": cause, "doubt": f"{sentence}: {ask}"})
    update = {"cause": named.cause, "doubt": f"{sentence}. {named.sentence}", "preprocessing": named.preprocessing}
    return found.model_copy(update=update)


def _share(right: NDArray[np.bool_]) -> Share:
    bounds = wilson(int(right.sum()), len(right))
    return Share(value=float(right.mean()), low=bounds.low, high=bounds.high, n=len(right))


def _sentence(found: Sanity, share: Share, unseen: bool) -> str:
    images = "non-members" if unseen else "members"
    text = f"The model is right on {share.value:.1%} of {share.n} {images}"
    if found.expected is not None:
        return f"{text}, where {found.expected:.1%} was expected"
    return f"{text}, where guessing reaches {found.chance:.1%} and the most frequent class {found.majority:.1%}"
