"""SurFree: the nearest misclassified image in L2, from labels alone, along circles instead of estimated gradients."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.fft import dctn, idctn

from assay.access import Oracle
from assay.base.intervals import Floats
from assay.data.images import Subset
from assay.methods.about import About
from assay.methods.evasion.label_only import Ask, LabelOnly
from assay.methods.evasion.results import Labels
from assay.methods.hop_skip_jump import BISECTIONS, nearest_of_another_label
from assay.methods.method import Context, method

ANGLE, WIDEST = math.radians(30), math.radians(60)
"""The angle that is tried first, and the largest that it may grow to."""

RHO = 0.95
"""What the angle is multiplied by after a direction in vain, and divided by after one that helped."""

HALVINGS, GAIN = 7, 0.01
"""Bisections of an angle at most, and the difference of cosines at which they end."""

REMEMBERED, FLOATS = 100, 2**28
"""Directions that the next one is orthogonal to, and the most numbers that those of all images may take together."""

Asking = Generator[torch.Tensor, bool, None]
"""Yields points (c, h, w) to ask about, and is told whether each is misclassified."""


class Circles:
    """Walks side by side: one question about each image a round.

    ``radius`` float64 (n,) is the smallest L2 distance at which a point was misclassified; ``spent`` int64 (n,) the
    questions about each.
    """

    def __init__(
        self, ask: Ask, images: torch.Tensor, labels: Labels, starts: torch.Tensor, cap: int, enough: float, seed: int
    ) -> None:
        """Images float32 (n, c, h, w) with labels (n,) to be left, and points (n, c, h, w) known to be misclassified.

        ``cap`` questions at most about each, and a distance that is small enough.
        """
        self._ask, self.images, self.labels, self.cap, self.enough = ask, images, labels, cap, enough
        self.radius = (starts - images).flatten(1).norm(dim=1).double().numpy()
        self.spent = np.zeros(len(images), np.int64)
        # Nothing is orthogonal to as many directions as an image has pixels.
        remembered = max(2, min(REMEMBERED, FLOATS // max(images.numel(), 1), images[:1].numel() // 2))
        self._walks = [
            walk(image, start, remembered, np.random.default_rng([seed, row]))
            for row, (image, start) in enumerate(zip(images, starts, strict=True))
        ]

    def open(self) -> NDArray[np.int64]:
        """Rows whose walk goes on."""
        return np.flatnonzero((self.spent < self.cap) & (self.radius > self.enough))

    def rounds(self) -> Iterator[int]:
        """Ask once about every open image, until none is; how many that were, round by round."""
        waiting = {int(row): next(self._walks[row]) for row in self.open()}
        while waiting:
            rows, points = np.array(list(waiting)), torch.stack(list(waiting.values()))
            wrong = self._ask(points) != self.labels[rows]
            self.spent[rows] += 1
            size = (points - self.images[rows]).flatten(1).norm(dim=1).double().numpy()
            self.radius[rows[wrong]] = np.minimum(self.radius[rows[wrong]], size[wrong])
            told = dict(zip(rows.tolist(), wrong.tolist(), strict=True))
            waiting = {int(row): self._walks[row].send(told[row]) for row in self.open()}
            yield len(rows)


def walk(image: torch.Tensor, start: torch.Tensor, remembered: int, random: np.random.Generator) -> Asking:
    """The walk of one image (c, h, w) from a misclassified point, without end.

    Maho, Furon and Le Merrer, "SurFree: a fast surrogate-free black-box attack", CVPR 2021, section 3. In the plane of
    the best point's direction u and a random one v that is orthogonal to it, the points x + d cos(a) (cos(a) u +
    sin(a) v) lie on a circle through the best point, at distance d cos(a) from the image x: every misclassified one is
    nearer. Angles a and -a are asked about; from one that is misclassified the angle grows by as much as long as that
    goes well, and a bisection ends the line search. Differs from the authors' code: v is orthogonal to the present u,
    where theirs keeps the first one, no angle is taken without asking, and pixels are not rounded.
    """
    away = yield from _bisected(image, start - image)
    angle, spectrum = ANGLE, _spectrum(image)
    earlier: deque[torch.Tensor] = deque(maxlen=remembered - 1)
    while True:
        across = _orthogonal(spectrum, [away / away.norm().clamp_min(1e-12), *earlier], random)
        earlier.append(across)
        turned = partial(_turned, image, away, across)
        found = 0.0
        for by in (angle, -angle):
            if (yield turned(by)):
                found = by
                break
        if not found:
            angle *= RHO
            continue
        beyond = found + math.copysign(angle, found)
        while abs(beyond) < math.pi / 2 and (yield turned(beyond)):
            found, beyond = beyond, beyond + math.copysign(angle, found)
        beyond = math.copysign(min(abs(beyond), math.pi / 2), beyond)
        for _ in range(HALVINGS):
            if abs(math.cos(found) - math.cos(beyond)) <= GAIN:
                break
            middle = (found + beyond) / 2
            if (yield turned(middle)):
                found = middle
            else:
                beyond = middle
        away, angle = turned(found) - image, min(angle / RHO, WIDEST)


def _turned(image: torch.Tensor, away: torch.Tensor, across: torch.Tensor, by: float) -> torch.Tensor:
    """The point of the circle at an angle; clipping to [0, 1] brings it nearer to the image, if anything."""
    change = math.cos(by) * away + math.sin(by) * away.norm() * across
    point: torch.Tensor = (image + math.cos(by) * change).clamp(0.0, 1.0)
    return point


def _bisected(image: torch.Tensor, away: torch.Tensor) -> Generator[torch.Tensor, bool, torch.Tensor]:
    """The shortest multiple of a change (c, h, w) that is still misclassified."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if (yield image + middle * away):
            high = middle
        else:
            low = middle
    return high * away


def _spectrum(image: torch.Tensor) -> Floats:
    """Weights (c, h, w) of the lower half of the image's cosines, in zigzag order: tanh of its own amplitudes."""
    _, height, width = image.shape
    order = np.add.outer(np.arange(height), np.arange(width)) + np.linspace(0, 0.5, width)[None]
    low = order <= np.quantile(order, 0.5)
    amplitudes = dctn(image.numpy().astype(np.float64), axes=(1, 2))
    return np.asarray(np.tanh(amplitudes) * low, dtype=np.float64)


def _orthogonal(spectrum: Floats, to: list[torch.Tensor], random: np.random.Generator) -> torch.Tensor:
    """A random direction of norm 1 (c, h, w) that is orthogonal to the first of these, and nearly to the others.

    Cosines with random signs, a third of them left out. Gaussian noise where they leave next to nothing, as in an
    image of one colour, once earlier directions are taken out.
    """
    signs = random.integers(-1, 2, spectrum.shape)
    cosines = torch.from_numpy(idctn(spectrum * signs, axes=(1, 2))).float()
    noise = torch.from_numpy(random.standard_normal(spectrum.shape)).float()
    for drawn in (cosines / cosines.norm().clamp_min(1e-12), noise / noise.norm()):
        left = drawn
        for each in reversed(to):
            left = left - (left * each).sum() * each
        if float(left.norm()) > 1e-3:
            break
    # An image of a single pixel has no such direction: noise is taken as it is.
    size = float(left.norm())
    direction: torch.Tensor = left / size if size > 1e-6 else noise / noise.norm()
    return direction


@method
class SurFree(LabelOnly):
    """Turns the change in random planes, as far as it stays misclassified; the change is measured in L2.

    Each walk starts from the nearest other test image that is answered otherwise, which the attacker asks about anyway,
    and ends where the change is small enough.
    """

    name = "evasion.surfree"
    norm = "l2"
    about = About(
        "SurFree, labels only",
        "Follows circles in random planes, from labels alone; success within a size, and the median distance.",
        "Maho, Furon and Le Merrer, SurFree: a fast surrogate-free black-box attack, CVPR 2021",
        threat_model="Black box, labels only. The attacker asks the service about changed images and sees nothing but "
        "the answered class.",
    )
    presets = {"standard": {}, "full": {"max_images": 200, "max_queries": 10_000}}

    max_queries: int = Field(
        default=1000, ge=2 + BISECTIONS, description="The most images that are asked about one image."
    )

    def walk(
        self, oracle: Oracle, test: Subset, before: Labels, epsilon: float, context: Context
    ) -> tuple[list[tuple[float, Floats]], NDArray[np.int64]]:
        """The paper's search, the unchanged image being the first question."""
        images, right = test.take(np.arange(len(test))), before == test.labels
        start, known = nearest_of_another_label(images, test.labels, before)
        rows = np.flatnonzero(right & known)
        seed = int(torch.randint(2**31, (), generator=context.generator(f"{self.name}: directions")))
        circles = Circles(
            lambda points: oracle.ask(points).labels,
            images[rows], test.labels[rows], images[start[rows]], self.max_queries - 1, epsilon, seed,
        )  # fmt: skip
        return self.recorded(circles, rows, len(test), context)
