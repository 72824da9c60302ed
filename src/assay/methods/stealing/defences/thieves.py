"""Thieves who meet a policy: one who believes what he is told, and one who knows the policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Oracle, Serving
from assay.access.policies import Policy
from assay.data.images import Images, Subset
from assay.methods.method import Context
from assay.methods.stealing.defences.adaptive import Lesson, lesson
from assay.methods.stealing.surrogate import reduced, resizing
from assay.methods.stealing.transfer import Unlabelled
from assay.training import Recipe, fit, predict, seeded_build


class School(NamedTuple):
    """What all thieves have in common: questions, architecture, largest side of its images, recipe, test images."""

    questions: Images
    architecture: str
    largest_side: int
    recipe: Recipe
    test: Images
    context: Context


def served(oracle: Oracle, text: str) -> Oracle:
    """The same target behind one policy instead of its own, with the budget and price that it has."""
    own = oracle.serving
    return oracle.serving_as(Serving(policies=(text,), price_per_1000=own.price_per_1000, budget=oracle.budget))


def naive(oracle: Oracle, school: School) -> NDArray[np.int64]:
    """Ask, and learn the answers as they are; the copy's labels (n,) of the test images."""
    answers = oracle.ask_all(school.questions).require_posteriors()
    return _copied(oracle, Lesson(np.arange(len(answers)), answers), school)


def adaptive(oracle: Oracle, policy: Policy, school: School) -> NDArray[np.int64]:
    """Ask, and learn what `adaptive.lesson` makes of the answers; the copy's labels (n,) of the test images."""
    answers = oracle.ask_all(school.questions).require_posteriors()
    return _copied(oracle, lesson(policy, answers, school.context.seed), school)


def _copied(oracle: Oracle, learned: Lesson, school: School) -> NDArray[np.int64]:
    context = school.context
    size = reduced(oracle.input_shape, school.largest_side)
    network = seeded_build(school.architecture, oracle.num_classes, (oracle.input_shape[0], *size), context.seed)
    module = resizing(network, size)
    fit(
        module,
        Unlabelled(Subset(school.questions, learned.rows)),
        torch.from_numpy(learned.taught),
        school.recipe,
        seed=context.seed,
        device=context.device,
        progress=context.progress,
        label="training a thief's copy",
    )
    labels: NDArray[np.int64] = predict(module, school.test, context.device).argmax(dim=1).numpy()
    return labels
