"""The learner as a type, and its registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from assay.access import Answers
from assay.base.digests import digest_json
from assay.base.errors import AccessError, DataError
from assay.base.frozen import Frozen
from assay.base.progress import Progress
from assay.base.registry import Registry
from assay.base.settings import parse_setting
from assay.data.images import Images, shape_text
from assay.methods.stealing.surrogates.probe import LinearProbe
from assay.training import Log, Loss, Recipe, SemiSupervised, Steps, fit

SUM_TOLERANCE = 1e-3
"""How far a row of posteriors may be from summing to 1 (services round their answers)."""


class Going:
    """The optimiser of a network that is trained again and again, as it was left."""

    def __init__(self) -> None:
        self._steps: Steps | None = None

    def of(self, student: torch.nn.Module, loss: Loss | SemiSupervised, recipe: Recipe, device: torch.device) -> Steps:
        """The steps of a network: those before, if it was this network's turn then, else its first."""
        if self._steps is None or self._steps.module is not student:
            plain = recipe.model_copy(update={"ema": 0.0})
            self._steps = Steps(student, plain, device, loss=loss)
        return self._steps


class Learner(Frozen):
    """How a network is taught by a target's answers; its fields are its options.

    ``needs`` is the least that the target must answer. ``semi_supervised`` learners use unlabelled images as well.
    ``ema`` is the decay of an average of the weights that the copy ends with, where the recipe names none.
    ``mixes`` says that images are altered beyond the recipe's shift and flip, so that features cannot be computed
    once and for all.
    """

    name: ClassVar[str]
    needs: ClassVar[Literal["label", "posteriors"]] = "label"
    semi_supervised: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    ema: ClassVar[float] = 0.0

    def loss(self, recipe: Recipe, unlabelled: Images | None) -> Loss | SemiSupervised:
        """What the engine minimises. ``unlabelled`` is there for ``semi_supervised`` learners."""
        raise NotImplementedError

    def targets(self, answers: Answers) -> torch.Tensor:
        """What is learned of n answers: posteriors float32 (n, classes) where there are any, else labels int64 (n,).

        Raises:
            AccessError: if the learner needs posteriors, and only labels were answered.
            DataError: if posteriors are no distributions.
        """
        if answers.posteriors is not None:
            return torch.from_numpy(_distributions(answers.posteriors))
        if self.needs == "posteriors":
            raise AccessError(
                f"The learner {self.name!r} learns from posteriors, and the target answers with labels only; "
                "'hard' learns from labels."
            )
        return torch.from_numpy(answers.labels)

    def fit(
        self,
        module: torch.nn.Module,
        images: Images,
        answers: Answers,
        unlabelled: Images | None,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        progress: Progress | None = None,
        label: str = "training the surrogate",
        judge: Callable[[], float] | None = None,
        checkpoint: Path | None = None,
        going: Going | None = None,
    ) -> Log:
        """Train a surrogate in place on n images and what the target answered about them; see `assay.training.fit`.

        ``unlabelled`` are images that were not asked about, or any others of that shape; learners that are not
        ``semi_supervised`` pass them over. A `LinearProbe` is trained on features computed once, wherever the images
        are not altered on the way. With ``going`` the optimiser that it holds is gone on with, and no average is kept.

        Raises:
            AccessError, DataError: see `targets`; or unlabelled images are needed and missing, or of another shape.
            TrainingError: if training diverges.
        """
        targets = self.targets(answers)
        if self.ema and not recipe.ema and going is None:
            recipe = recipe.model_copy(update={"ema": self.ema})
        if self.semi_supervised:
            if unlabelled is None:
                raise DataError(f"The learner {self.name!r} needs unlabelled images besides those asked about.")
            if unlabelled.shape != images.shape:
                raise DataError(
                    f"Unlabelled images are {shape_text(unlabelled.shape)}, and those asked about "
                    f"{shape_text(images.shape)}."
                )
        student: torch.nn.Module = module
        lesson: Images | torch.Tensor = images
        if isinstance(module, LinearProbe) and not (self.mixes or moving(recipe)):
            student, lesson = module.head, module.features(images, device, progress)
        steps = None if going is None else going.of(student, self.loss(recipe, unlabelled), recipe, device)
        log = fit(
            student,
            lesson,
            targets,
            recipe,
            seed=seed,
            device=device,
            progress=progress,
            label=label,
            loss=self.loss(recipe, unlabelled),
            loss_name=digest_json({**self.describe(), "judged": judge is not None}),
            judge=judge,
            checkpoint=checkpoint,
            going=steps,
        )
        module.eval()
        return log

    def describe(self) -> dict[str, Any]:
        """Name and parameters, for identities and reports."""
        return {"name": self.name, **self.model_dump()}


def moving(recipe: Recipe) -> bool:
    """Whether a recipe alters images."""
    turned = recipe.rotate or recipe.crop < 1 or recipe.auto_augment
    return bool(recipe.shift or recipe.flip or recipe.cutout or turned)


LEARNERS: Registry[type[Learner]] = Registry("learner", "assay.methods.stealing.learners")


def parse_learner(text: str) -> Learner:
    """A learner from ``name``, ``name=value`` or ``name:option=value,...``; see `assay.base.settings.parse_setting`."""
    return parse_setting(LEARNERS, text)


def _distributions(posteriors: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    sums = posteriors.sum(axis=1)
    wrong = ~(np.abs(sums - 1.0) <= SUM_TOLERANCE) | (posteriors < 0).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{int(wrong.sum())} of {len(sums)} answers are no distributions over classes: the posteriors of "
            f"number {row} sum to {sums[row]:g}, with {posteriors[row].min():g} as the smallest."
        )
    return posteriors
