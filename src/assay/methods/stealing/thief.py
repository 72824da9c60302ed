"""The thief: asks, keeps within a budget, and trains copies; what a query strategy drives."""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import Answers, Oracle
from assay.access.store import image_keys
from assay.base.errors import DataError
from assay.base.progress import Step
from assay.data.images import Images, Shape, Subset, to_pixels
from assay.methods.method import Context
from assay.methods.stealing.transfer import MADE, Notes, Transfer, Unlabelled
from assay.targets.module import Preprocessed
from assay.training import Log, Loss, Recipe, Steps, predict

CHUNK = 1024
"""Images asked about at a time."""


class OutOfQuestions(Exception):
    """The budget is spent, and all that it paid for is noted. It ends a strategy, and is no error."""


class Trainer(Protocol):
    """How copies are made: the learner, the surrogate and the recipe of one theft."""

    def prepare(self) -> Preprocessed:
        """An untrained copy, the same every time; it takes pixels in [0, 1] of the target's input shape."""
        ...

    def fit(
        self,
        module: Preprocessed,
        transfer: Transfer,
        pool: Images | None,
        *,
        epochs: int | None = None,
        fresh: bool = True,
        label: str = "training the surrogate",
    ) -> Log:
        """Train a copy in place, for the theft's epochs unless told otherwise.

        One that is not ``fresh`` goes on at a constant rate, with the optimiser that it was last left with.
        """
        ...


class Thief:
    """What a strategy is given. It decides what to ask, and sees no true label.

    ``pool`` holds unlabelled images to choose from, None where there are none (its labels all read 0). ``budget`` is
    what the strategy may spend, in images; ``surrogate`` is the current copy, which takes pixels in [0, 1] of
    ``input_shape`` and gives logits (untrained before the first `train`). ``held_out`` images were asked for
    validation. When ``stops`` (budgets) are reached, the copy as it is goes into ``snapshots``.
    """

    def __init__(
        self,
        oracle: Oracle,
        pool: Images | None,
        budget: int,
        trainer: Trainer,
        context: Context,
        step: Step,
    ) -> None:
        """Set out with a budget (images); ``step`` shows how much of it is spent."""
        self.pool = None if pool is None else Unlabelled(pool)
        self.budget = budget
        self.num_classes = oracle.num_classes
        self.input_shape: Shape = oracle.input_shape
        self.device = context.device
        self.surrogate = trainer.prepare()
        self.notes = Notes(self.pool)
        self.held_out = 0
        self.stops: tuple[int, ...] = ()
        self.snapshots: dict[int, Preprocessed] = {}
        self._oracle, self._trainer, self._context, self._step = oracle, trainer, context, step
        self._known: set[bytes] = set()
        self._free = np.ones(0 if pool is None else len(pool), dtype=np.bool_)

    @property
    def spent(self) -> int:
        """Images charged so far, those held out not counted."""
        return len(self._known) - self.held_out

    @property
    def remaining(self) -> int:
        """Images that may still be asked."""
        return self.budget - self.spent

    @property
    def unasked(self) -> NDArray[np.int64]:
        """Rows of the pool that were not asked about, ascending."""
        return np.flatnonzero(self._free)

    def generator(self, purpose: str) -> torch.Generator:
        """A random generator for one purpose, by the trial's seed."""
        return self._context.generator(f"stealing: {purpose}")

    def reserve(self, rows: NDArray[np.int64]) -> None:
        """Take rows of the pool out of `unasked` without asking about them."""
        self._free[rows] = False

    def hold_out(self, count: int) -> Transfer:
        """Ask about random images of the pool for validation, before the strategy begins; its budget is the rest."""
        rows = self.unasked
        rows = np.sort(rows[torch.randperm(len(rows), generator=self.generator("validation"))[:count].numpy()])
        pool = self.require_pool()
        answers = _joined([self._ask(pool.take(part), part, keep=False) for part in _parts(rows)])
        self._free[rows] = False
        self.held_out = len(self._known)
        self.budget -= self.held_out
        return Transfer(Subset(pool, rows), answers)

    def ask(self, rows: NDArray[np.int64]) -> Answers:
        """Ask about images of the pool and note the answers.

        Raises:
            OutOfQuestions: as soon as the budget is spent; the images that it pays for are asked and noted before.
        """
        pool = self.require_pool()
        parts = []
        for part in _parts(rows):
            self._free[part] = False
            parts.append(self._ask(pool.take(part), part))
        return _joined(parts)

    def ask_about(self, images: torch.Tensor, *, keep: bool = True) -> Answers:
        """Ask about images that are not in the pool, in [0, 1], (n, *input_shape).

        With ``keep`` they and their answers join the transfer set; see `ask` for what is raised.
        """
        return _joined([self._ask(part, None, keep) for part in torch.split(images.detach().cpu(), CHUNK)])

    def train(self, epochs: int | None = None, *, fresh: bool = True, latest: int | None = None) -> Log:
        """Train the surrogate on the answers so far, or only on the ``latest`` so many.

        ``fresh`` starts from an untrained copy; otherwise the present one goes on, at a constant rate and with the
        optimiser that it was left with. ``epochs`` None takes as many as the theft does in the end.
        """
        if fresh:
            self.surrogate = self._trainer.prepare()
        count = len(self.notes)
        transfer = self.notes.transfer(0 if latest is None else max(0, count - latest), count)
        label = "training a surrogate to choose by"
        return self._trainer.fit(self.surrogate, transfer, self.pool, epochs=epochs, fresh=fresh, label=label)

    def steps(self, recipe: Recipe, loss: Loss) -> Steps:
        """Steps of the surrogate as it is, by an optimiser of its own that is kept between them, in float32."""
        return Steps(self.surrogate, recipe, self.device, loss=loss)

    def logits(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """The surrogate's logits float32 (n, classes) about images of the pool."""
        return predict(self.surrogate, Subset(self.require_pool(), rows), self.device)

    @property
    def transfer(self) -> Transfer:
        """What was answered so far."""
        return self.notes.transfer(0, len(self.notes))

    @property
    def asked_rows(self) -> NDArray[np.int64]:
        """Rows of the pool that were asked about, in that order."""
        rows = self.notes.rows()
        asked: NDArray[np.int64] = rows[rows != MADE]
        return asked

    def require_pool(self) -> Images:
        """The pool.

        Raises:
            DataError: if there is none.
        """
        if self.pool is None:
            raise DataError("This strategy chooses from a pool, and there is no auxiliary set.")
        return self.pool

    def _ask(self, images: torch.Tensor, rows: NDArray[np.int64] | None, keep: bool = True) -> Answers:
        if self.remaining == 0:
            raise OutOfQuestions
        paid = self._charges(images)
        count = len(paid)
        answers = self._oracle.ask(images[:count])
        if keep:
            self.notes.add(None if rows is None else rows[:count], images[:count], answers, paid)
        for stop in self.stops:
            if stop <= self.spent and stop not in self.snapshots:
                self.snapshots[stop] = copy.deepcopy(self.surrogate)
        if self.remaining == 0:
            raise OutOfQuestions
        return answers

    def _charges(self, images: torch.Tensor) -> NDArray[np.int64]:
        """What each image brings the charges to, for the first images that the budget pays for."""
        before, paid = self.spent, []
        for key in image_keys(to_pixels(images)):
            name = key.tobytes()
            if name not in self._known:
                if self.remaining == 0:
                    break
                self._known.add(name)
            paid.append(self.spent)
        self._step.advance(self.spent - before)
        return np.array(paid, np.int64)


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _joined(parts: list[Answers]) -> Answers:
    posteriors = [part.posteriors for part in parts if part.posteriors is not None]
    return Answers(np.concatenate([part.labels for part in parts]), np.concatenate(posteriors) if posteriors else None)
