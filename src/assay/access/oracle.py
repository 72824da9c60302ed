"""Black-box access: images in, answers out, every one counted, and never more than the budget."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from assay.access.ledger import Ledger
from assay.access.policies import Asked
from assay.access.policies.basic import Top
from assay.access.retrying import patiently
from assay.access.serving import Serving
from assay.access.store import Keys, PosteriorStore, image_keys
from assay.base.errors import AccessError, BudgetError, DataError
from assay.base.progress import Progress, silent
from assay.data.images import Images, Shape, to_pixels
from assay.targets.target import Modality, Target

CHUNK = 256
"""Images per forward pass, and the most that a crash can lose."""


class Answers(NamedTuple):
    """What came back. ``labels`` int64 (n,).

    ``posteriors`` float32 (n, classes), rows summing to 1: in top-k mode zero beyond the k, None in label mode.
    """

    labels: NDArray[np.int64]
    posteriors: NDArray[np.float32] | None

    def require_posteriors(self) -> NDArray[np.float32]:
        """The posteriors.

        Raises:
            AccessError: if only labels were answered.
        """
        if self.posteriors is None:
            raise AccessError("This method needs posteriors, and the target answers with labels only.")
        return self.posteriors


Listener = Callable[[torch.Tensor, Answers], object]
"""Called with images float32 (n, channels, height, width) in [0, 1] and the answers to them."""


class Oracle:
    """A target as an attacker sees it.

    An image asked twice by one oracle is charged once: an attacker keeps notes. Answers that the posterior store holds
    are charged as any other, but cost no forward pass. Where the target fails for the moment it is asked again (see
    `assay.access.retrying`); what it did not answer is not charged.
    """

    def __init__(self, target: Target, serving: Serving, store: PosteriorStore, budget: int | None = None) -> None:
        """Put a target behind an oracle; ``budget`` (images) tightens the serving's own."""
        limits = [limit for limit in (budget, serving.budget) if limit is not None]
        self.budget = min(limits) if limits else None
        self.ledger = Ledger(price_per_1000=serving.price_per_1000)
        self.input_shape: Shape = target.input_shape
        self.num_classes = target.num_classes
        self.modality: Modality = target.modality
        self.serving = serving
        self._logits = target.logits
        self._kind = target.answers
        self._policies = serving.build_policies()
        self._store = store
        self._asked: set[bytes] = set()
        self._work = self.ledger
        self._listener: Listener | None = None

    def evaluator(self) -> Oracle:
        """The same target for whoever measures the attack: full posteriors, no policies, no budget, its own ledger.

        What the evaluator asks is not charged to the attack. The forward passes that it causes are counted where all
        others are, in this oracle's ledger.
        """
        return self.serving_as(Serving())

    def serving_as(self, serving: Serving, listener: Listener | None = None) -> Oracle:
        """The same target, served otherwise to somebody else: a budget, notes and a ledger of their own.

        What is asked there is charged there. The forward passes that it causes are counted where all others are, in
        this oracle's ledger. ``listener`` hears every question with its answer, as a detector beside a service does.

        Raises:
            UsageError: if a policy is unknown or not valid.
        """
        sibling = copy.copy(self)
        sibling.serving = serving
        sibling.budget = serving.budget
        sibling.ledger = Ledger(price_per_1000=serving.price_per_1000)
        sibling._policies = serving.build_policies()
        sibling._asked = set()
        sibling._listener = listener
        return sibling

    @property
    def complete(self) -> bool:
        """Whether the evaluator's posteriors are whole; a service may give nobody more than labels or a top-k."""
        return self._kind in ("logits", "posteriors")

    @property
    def remaining(self) -> int | None:
        """Images that may still be asked; None without a budget."""
        return None if self.budget is None else self.budget - self.ledger.images

    def ask(self, images: torch.Tensor) -> Answers:
        """Answers to images, uint8 or float32 in [0, 1], (n, channels, height, width).

        Raises:
            DataError: if the images do not fit the target's input.
            BudgetError: if they would exceed the budget; none of them is asked then.
            AccessError: if the target keeps failing; what it answered is charged and kept.
        """
        if tuple(images.shape[1:]) != self.input_shape:
            raise DataError(
                f"The target takes images of {'x'.join(map(str, self.input_shape))} (channels x height x width); "
                f"these are {'x'.join(map(str, images.shape[1:]))}."
            )
        pixels = to_pixels(images.detach().cpu())
        keys = image_keys(pixels)
        self._check(self._fresh(keys))
        try:
            logits = self._answer(pixels, keys)
        finally:
            self._charge(keys)
        answers = self._serve(logits, Asked(pixels, keys))
        if self._listener is not None:
            self._listener(pixels, answers)
        return answers

    def ask_all(self, images: Images, progress: Progress | None = None, label: str = "asking the target") -> Answers:
        """Answers to a whole set, in order; see `ask`. Nothing is asked if the whole would exceed the budget."""
        parts = [np.arange(start, min(start + 4 * CHUNK, len(images))) for start in range(0, len(images), 4 * CHUNK)]
        if self.remaining is not None and len(images) > self.remaining:
            self._check(set().union(*(self._fresh(image_keys(images.take(rows))) for rows in parts)))
        answers = []
        with (progress or silent()).step(label, len(images)) as step:
            for rows in parts:
                answers.append(self.ask(images.take(rows)))
                step.advance(len(rows))
        posteriors = [answer.posteriors for answer in answers if answer.posteriors is not None]
        return Answers(
            np.concatenate([answer.labels for answer in answers]), np.concatenate(posteriors) if posteriors else None
        )

    def _fresh(self, keys: Keys) -> set[bytes]:
        return {name for key in keys if (name := key.tobytes()) not in self._asked}

    def _check(self, fresh: set[bytes]) -> None:
        if self.remaining is not None and len(fresh) > self.remaining:
            raise BudgetError(
                f"The budget is {self.budget} images, {self.ledger.images} are spent; {len(fresh)} more are refused."
            )

    def _charge(self, keys: Keys) -> None:
        unanswered = {key.tobytes() for key in keys[self._store.missing(keys)]}
        answered = [name for key in keys if (name := key.tobytes()) not in unanswered]
        fresh = set(answered) - self._asked
        self._asked |= fresh
        self.ledger.images += len(fresh)
        self.ledger.duplicates += len(answered) - len(fresh)
        self.ledger.calls += 1

    def _answer(self, pixels: torch.Tensor, keys: Keys) -> NDArray[np.float32]:
        missing = self._store.missing(keys)
        for start in range(0, len(missing), CHUNK):
            rows = missing[start : start + CHUNK]
            logits = patiently(self._logits, pixels[rows]).numpy()
            if not np.isfinite(logits).all():
                raise DataError("The target answered with NaN or infinity.")
            self._store.put(keys[rows], logits)
            self._work.forwards += len(rows)
        return self._store.get(keys)

    def _serve(self, logits: NDArray[np.float32], asked: Asked) -> Answers:
        posteriors = softmax(logits, axis=1) if self._kind == "logits" else logits
        for policy in self._policies:
            posteriors = policy(posteriors, asked)
        labels = posteriors.argmax(axis=1)
        if self.serving.output == "label":
            return Answers(labels, None)
        if self.serving.output == "top-k" and self.serving.top_k < self.num_classes:
            posteriors = Top(k=self.serving.top_k)(posteriors, asked)
        return Answers(labels, posteriors)
