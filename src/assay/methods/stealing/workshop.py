"""Where a thief's copies are made: one architecture, one start, one learner, one recipe."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sklearn.metrics import f1_score

from assay.base.digests import digest_arrays, digest_json
from assay.data.images import Images, Shape
from assay.methods.method import Context
from assay.methods.stealing.learners import Going, Learner
from assay.methods.stealing.public_start import trainable
from assay.methods.stealing.surrogates.prepare import Adaptation, prepare
from assay.methods.stealing.transfer import Transfer
from assay.targets.module import Preprocessed
from assay.training import Log, Recipe, predict


class Workshop:
    """Prepares and trains copies; see `assay.methods.stealing.thief.Trainer`.

    A training from an untrained copy is kept epoch by epoch in a file, so that a theft that is interrupted and run
    again goes on from there; `clear` removes the files.
    """

    def __init__(
        self,
        architecture: str,
        initialisation: str,
        adaptation: Adaptation,
        learner: Learner,
        recipe: Recipe,
        *,
        num_classes: int,
        shape: Shape,
        size: tuple[int, int],
        context: Context,
        start: Preprocessed | None = None,
    ) -> None:
        """Set up for a target's classes and images; ``size`` (height, width) is what the copies see.

        ``start`` is a whole network, classifier included, that copies are made of in place of what ``initialisation``
        says, which names it then.
        """
        self.num_classes, self.shape, self.size = num_classes, shape, size
        self.architecture, self.initialisation, self.adaptation = architecture, initialisation, adaptation
        self.learner, self.recipe = learner, recipe
        self._context, self._start = context, start
        self._files: set[Path] = set()
        self._going = Going()

    def prepare(self) -> Preprocessed:
        """The surrogate as training starts from it."""
        if self._start is not None:
            return trainable(self._start)
        return prepare(
            self.architecture,
            self.initialisation,
            self.adaptation,
            num_classes=self.num_classes,
            shape=self.shape,
            size=self.size,
            seed=self._context.seed,
            progress=self._context.progress,
        )

    def fit(
        self,
        module: Preprocessed,
        transfer: Transfer,
        pool: Images | None,
        *,
        epochs: int | None = None,
        fresh: bool = True,
        label: str = "training the surrogate",
        validation: Transfer | None = None,
    ) -> Log:
        """With ``validation``, the epoch with the best macro-F1 on it is kept; without, the last.

        A copy that is not ``fresh`` keeps its optimiser from one call to the next.
        """
        recipe = self.recipe if epochs is None else self.recipe.model_copy(update={"epochs": epochs})
        if not fresh:
            recipe = recipe.model_copy(update={"schedule": "constant"})
        return self.learner.fit(
            module,
            transfer.images,
            transfer.answers,
            pool,
            recipe,
            seed=self._context.seed,
            device=self._context.device,
            progress=self._context.progress,
            label=label,
            judge=None if validation is None else partial(self._score, module, validation),
            checkpoint=self._file(transfer, recipe, validation) if fresh else None,
            going=None if fresh else self._going,
        )

    def clear(self) -> None:
        """Remove the files of finished trainings."""
        for file in self._files:
            file.unlink(missing_ok=True)

    def _score(self, module: Preprocessed, validation: Transfer) -> float:
        labels = predict(module, validation.images, self._context.device).argmax(dim=1).numpy()
        return float(f1_score(validation.answers.labels, labels, average="macro", zero_division=0.0))

    def _file(self, transfer: Transfer, recipe: Recipe, validation: Transfer | None) -> Path:
        images, answers = transfer
        taught = answers.labels if answers.posteriors is None else answers.posteriors
        start = [self.architecture, self.initialisation, self.adaptation, self.size, self._context.seed]
        name = digest_json(
            {
                "images": images.digest,
                "answers": digest_arrays(taught=taught),
                "start": start,
                "learner": self.learner.describe(),
                "recipe": recipe.model_dump(mode="json"),
                "judged by": None if validation is None else validation.images.digest,
            }
        )
        file = self._context.shared / "stealing" / f"{name}.checkpoint"
        file.parent.mkdir(parents=True, exist_ok=True)
        self._files.add(file)
        return file
