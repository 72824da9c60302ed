"""Shadow models: many networks of one kind, each trained on its own half of a population."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn.functional import pad

from assay.base.digests import digest_json
from assay.base.errors import DataError
from assay.base.files import replacing
from assay.base.frozen import Frozen
from assay.base.progress import Progress, silent
from assay.data.images import Images, Subset, batches
from assay.training.engine import fit, predict, seeded_build
from assay.training.recipe import Recipe


class Query(NamedTuple):
    """One way of asking about an image: mirrored left to right or not, then moved by so many pixels."""

    mirror: bool = False
    down: int = 0
    right: int = 0


PLAIN = Query()
MIRRORED = Query(mirror=True)


class ShadowPlan(Frozen):
    """Which shadow models to train. ``queries`` is how each model is asked about every image of the population."""

    models: int = Field(default=16, ge=2)
    architecture: str = "small-cnn"
    recipe: Recipe = Recipe()
    queries: tuple[Query, ...] = (PLAIN, MIRRORED)
    seed: int = 0


class Shadows(NamedTuple):
    """What shadow models answered.

    ``inside`` bool (models, n) says which images each was trained on; ``logits`` float32 (models, queries, n, classes).
    """

    inside: NDArray[np.bool_]
    logits: NDArray[np.float32]


def assign(models: int, count: int, seed: int) -> NDArray[np.bool_]:
    """Membership bool (models, count): every image is in exactly half of the models (rounded down).

    Carlini et al., Membership Inference Attacks From First Principles (S&P 2022), section V: each example's shadow
    models are split evenly, so that both of its distributions are estimated equally well.

    Raises:
        DataError: if there are fewer than two models.
    """
    if models < 2:
        raise DataError(f"{models} shadow models cannot be split into halves; train at least 2.")
    draws = np.random.default_rng(seed).random((models, count))
    inside: NDArray[np.bool_] = draws.argsort(axis=0) < models // 2
    return inside


def ask_moved(images: torch.Tensor, query: Query) -> torch.Tensor:
    """Images (n, c, h, w) as a query shows them; what moves in is black."""
    if query.mirror:
        images = images.flip(-1)
    if query.down or query.right:
        height, width = images.shape[-2:]
        edge = max(abs(query.down), abs(query.right))
        padded = pad(images, (edge,) * 4)
        top, left = edge - query.down, edge - query.right
        images = padded[..., top : top + height, left : left + width]
    return images


def train_shadows(
    population: Images,
    num_classes: int,
    plan: ShadowPlan,
    folder: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> Shadows:
    """Train the shadow models of a plan, one at a time, and keep their logits in a folder.

    A model that is finished there is not trained again; an interrupted one goes on from its last epoch, on the same
    images. The folder belongs to one plan and population: its name should come from `shadow_digest`.

    Raises:
        DataError: if the folder holds another plan's models.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker, identity = folder / "plan.json", shadow_digest(population, num_classes, plan)
    if marker.exists() and marker.read_text() != identity:
        raise DataError(f"{folder} holds shadow models of another plan or population.")
    marker.write_text(identity)
    progress = progress or silent()
    inside = assign(plan.models, len(population), plan.seed)
    with progress.step("shadow models", plan.models) as bar:
        for number in range(plan.models):
            answers = folder / f"logits-{number:03d}.npy"
            if not answers.exists():
                _train_one(population, num_classes, plan, number, inside[number], answers, device, progress)
            bar.advance()
    logits = [np.load(folder / f"logits-{number:03d}.npy", mmap_mode="r") for number in range(plan.models)]
    return Shadows(inside, np.stack(logits))


def shadow_digest(population: Images, num_classes: int, plan: ShadowPlan) -> str:
    """SHA-256 of what shadow models' answers depend on."""
    return digest_json({"population": population.digest, "classes": num_classes, "plan": plan.model_dump(mode="json")})


def _train_one(
    population: Images,
    num_classes: int,
    plan: ShadowPlan,
    number: int,
    inside: NDArray[np.bool_],
    answers: Path,
    device: torch.device,
    progress: Progress,
) -> None:
    part = Subset(population, np.flatnonzero(inside))
    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    module = seeded_build(plan.architecture, num_classes, population.shape, seed)
    checkpoint = answers.with_suffix(".checkpoint")
    label = f"shadow model {number + 1} of {plan.models}"
    labels = torch.from_numpy(part.labels)
    fit(
        module,
        part,
        labels,
        plan.recipe,
        seed=seed,
        device=device,
        progress=progress,
        label=label,
        checkpoint=checkpoint,
    )
    logits = ask(module, population, plan.queries, device)
    with replacing(answers) as partial, partial.open("wb") as file:
        np.save(file, logits)
    checkpoint.unlink(missing_ok=True)


def ask(module: torch.nn.Module, images: Images, queries: Sequence[Query], device: torch.device) -> NDArray[np.float32]:
    """Logits float32 (queries, n, classes) of a network about a set, asked in several ways."""
    parts = [
        torch.stack([predict(module, ask_moved(batch.images, query), device) for query in queries])
        for batch in batches(images, 1024)
    ]
    answered: NDArray[np.float32] = torch.cat(parts, dim=1).numpy()
    return answered
