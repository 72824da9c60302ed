"""The search for triggers: gradient steps for several labels at once, each with a state of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.base.intervals import Floats
from assay.methods.backdoor.inversion.forms import Form, Variables
from assay.methods.backdoor.inversion.rules import Arms, Flags, Rule, Weights

AT_ONCE = 1 << 19
"""Pixel values of stamped images in one pass through the network: 170 images of 3x32x32."""

DENOMINATOR = 1e-7
"""Added to the root of Adam's second moment; the reference's value."""


class Search:
    """A trigger of one form for each of some labels.

    An arm is the search for one label. Arms do not influence each other: searched together or one after another, they
    find the same (but for rounding in the network). ``labels`` int64 (arms,); ``variables`` are the current triggers,
    ``best`` those of the smallest successful round (the current ones before any succeeded). Of an arm's last round,
    ``success`` (arms,) is the success rate and ``loss`` the mean cross-entropy; ``rounds`` (arms,) is how many rounds
    it had, ``improvements`` how many of them found a smaller trigger.
    """

    def __init__(
        self, box: WhiteBox, form: Form, labels: NDArray[np.int64], rule: Rule, generator: torch.Generator
    ) -> None:
        self.box, self.form, self.rule, self.labels = box, form, rule, labels
        self.variables = form.start(len(labels), generator)
        self.best = tuple(v.clone() for v in self.variables)
        self.weights = Weights(len(labels), rule)
        self.success, self.loss = np.zeros(len(labels)), np.zeros(len(labels))
        self.rounds, self.improvements = (np.zeros(len(labels), dtype=np.int64) for _ in range(2))
        self._mean = tuple(torch.zeros_like(v) for v in self.variables)
        self._square = tuple(torch.zeros_like(v) for v in self.variables)
        self._updates = torch.zeros(len(labels))

    @property
    def active(self) -> Arms:
        """Arms that have not stopped."""
        return np.flatnonzero(~self.weights.stopped)

    @property
    def found(self) -> Flags:
        """Which arms had a successful round."""
        found: Flags = np.isfinite(self.weights.best)
        return found

    def round(self, batches: Sequence[torch.Tensor], arms: Arms) -> Flags:
        """One gradient step of some ``arms`` (k,) on each batch of images (n, c, h, w), then their weights' turn.

        Says which arms (k,) found a smaller trigger. Success rate, loss and size are means over the round, each taken
        before the step; the trigger kept is the one after the last step.

        Raises:
            AccessError: if a gradient is not finite.
        """
        seen = sum(map(len, batches))
        hits, losses, sizes = (np.zeros(len(arms)) for _ in range(3))
        for images in batches:
            right, loss, size = self._step(images, arms)
            hits += right / seen
            losses += loss / seen
            sizes += size / len(batches)
        rows = torch.from_numpy(arms)
        extent = self.form.extent(self._of(self.variables, rows), torch.from_numpy(sizes)).numpy()
        better = self.weights.update(arms, hits, extent)
        self.success[arms], self.loss[arms] = hits, losses
        self.rounds[arms] += 1
        self.improvements[arms] += better
        self._keep(rows, torch.from_numpy(better))
        return better

    def stamped(self, images: torch.Tensor, arm: int) -> torch.Tensor:
        """Images (n, c, h, w) under the best trigger of an arm."""
        return self.form.stamp(self._of(self.best, torch.tensor([arm])), images)[0]

    def mask(self, arm: int) -> torch.Tensor:
        """Where the best trigger of an arm acts, (1, h, w) in [0, 1]."""
        return self.form.mask(self._of(self.best, torch.tensor([arm])))[0]

    def moved(self, images: torch.Tensor, arm: int) -> Flags:
        """Which of some images (n, c, h, w) the network calls by the arm's label under its best trigger, (n,)."""
        step = max(1, AT_ONCE // images[0].numel())
        answers = torch.cat([self.box.logits(part) for part in torch.split(self.stamped(images, arm), step)])
        moved: Flags = (answers.argmax(1) == int(self.labels[arm])).numpy()
        return moved

    @staticmethod
    def _of(variables: Variables, rows: torch.Tensor) -> Variables:
        return tuple(v[rows] for v in variables)

    def _keep(self, rows: torch.Tensor, better: torch.Tensor) -> None:
        fresh = rows[better]
        tidied = self.form.tidied(self._of(self.variables, fresh))
        for variable, best, value in zip(self.variables, self.best, tidied, strict=True):
            variable[fresh] = value
            best[fresh] = value
        lost = rows[torch.from_numpy(~self.found)[rows]]
        for variable, best in zip(self.variables, self.best, strict=True):
            best[lost] = variable[lost]

    def _step(self, images: torch.Tensor, arms: Arms) -> tuple[Floats, Floats, Floats]:
        """Hits, summed cross-entropy and size (k,) before a step of Adam."""
        right, loss, size = np.zeros(len(arms)), np.zeros(len(arms)), np.zeros(len(arms))
        together = max(1, AT_ONCE // images.numel())
        for start in range(0, len(arms), together):
            part = slice(start, start + together)
            right[part], loss[part], size[part] = self._descend(images, torch.from_numpy(arms[part]))
        return right, loss, size

    def _descend(self, images: torch.Tensor, rows: torch.Tensor) -> tuple[Floats, Floats, Floats]:
        variables = tuple(v.requires_grad_(True) for v in self._of(self.variables, rows))
        stamped = self.form.stamp(variables, images)
        size = self.form.size(variables)
        wanted = torch.from_numpy(self.labels)[rows].repeat_interleave(len(images))
        cross_entropy = torch.empty(0)

        def loss(logits: torch.Tensor) -> torch.Tensor:
            nonlocal cross_entropy
            cross_entropy = torch.nn.functional.cross_entropy(logits, wanted.to(logits.device), reduction="none")
            return cross_entropy / len(images)

        gradient, logits = self.box.gradient(stamped.detach().flatten(0, 1), loss)
        if not torch.isfinite(gradient).all():
            raise AccessError("The network's gradient is not finite, so that no trigger can be searched for.")
        weight = torch.from_numpy(self.weights.weight).to(size.dtype)[rows]
        slopes = torch.autograd.grad((stamped, size), variables, (gradient.view_as(stamped), weight))
        self._adam(rows, slopes)
        hits = (logits.argmax(1) == wanted).view(len(rows), -1).sum(1)
        losses = cross_entropy.detach().cpu().view(len(rows), -1).sum(1)
        return hits.numpy().astype(float), losses.numpy().astype(float), size.detach().numpy().astype(float)

    def _adam(self, rows: torch.Tensor, slopes: Variables) -> None:
        """Kingma and Ba, ICLR 2015, in the form at the end of their section 2; every arm counts its own updates."""
        rule = self.rule
        self._updates[rows] += 1
        count = self._updates[rows]
        rate = rule.learning_rate * (1 - rule.beta2**count).sqrt() / (1 - rule.beta1**count)
        for variable, first, second, slope in zip(self.variables, self._mean, self._square, slopes, strict=True):
            first[rows] = rule.beta1 * first[rows] + (1 - rule.beta1) * slope
            second[rows] = rule.beta2 * second[rows] + (1 - rule.beta2) * slope**2
            step = rate.view(-1, *[1] * (slope.dim() - 1)) * first[rows] / (second[rows].sqrt() + DENOMINATOR)
            variable[rows] -= step
