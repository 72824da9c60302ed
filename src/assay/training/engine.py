"""The one training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from assay.base.errors import AssayError
from assay.base.progress import Progress, Step, silent
from assay.data.images import Images, Shape, to_pixels
from assay.targets.architectures import build
from assay.targets.module import evaluate
from assay.training.augment import auto_augmented
from assay.training.checkpoints import Best, Checkpoint, Epoch, Log, identity_of
from assay.training.feeding import Feed, Moves
from assay.training.machine import SAMPLE, Way, threads, way_to_train
from assay.training.optimisers import rate_at
from assay.training.recipe import Recipe
from assay.training.steps import Steps, plain_loss
from assay.training.unlabelled import Done, Loss, SemiSupervised


class TrainingError(AssayError):
    """Training cannot go on."""


def fit(
    module: torch.nn.Module,
    images: torch.Tensor | Images,
    targets: torch.Tensor,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    label: str = "training",
    loss: Loss | SemiSupervised = plain_loss,
    loss_name: str = "",
    judge: Callable[[], float] | None = None,
    checkpoint: Path | None = None,
    clip: float | None = None,
    going: Steps | None = None,
) -> Log:
    """Train a network in place; it ends on ``device``, in evaluation mode.

    ``images`` are uint8, or float32 in [0, 1], (n, c, h, w), or a set of them, or features float32 (n, d), which are
    not moved; ``targets`` are int64 (n,) or posteriors float (n, classes). Batches differ in size by at most one image,
    and none is larger than the recipe's. The same seed and machine give the same weights, whatever the state of the
    global generators, which is left as it was. Threads, memory layout and precision are those that
    `assay.training.machine.way_to_train` has measured to be the fastest for the network on this machine; a recipe
    without ``mixed_precision`` computes in float32.

    ``judge`` is called after every epoch and gives a number; the weights of the epoch with the greatest (the latest of
    equals) are those that the network ends with. Without it, they are the last epoch's. ``clip`` shortens each step's
    gradient, over all parameters together, to this Euclidean length if it is longer.

    ``going`` are steps of this network that were taken before: its optimiser is gone on with, its loss counts, and it
    is left as it is, in evaluation mode.

    ``checkpoint`` names a file that is replaced after every epoch. A later call with the same network, data, recipe,
    ``loss_name`` (whatever tells losses, judges and clips apart) and seed goes on from there and ends with the weights
    of an uninterrupted run; a file of another training is overwritten.

    Raises:
        DataError: if images or targets are unusable.
        TrainingError: if the loss or the weights become NaN or infinite, or no parameter can be trained.
    """
    if not any(p.requires_grad for p in module.parameters()):
        raise TrainingError("The network has no parameters that can be trained.")
    feed = Feed(images, targets, device)
    identity = "" if checkpoint is None else identity_of(module, images, targets, recipe, seed, loss, loss_name)
    way = _way(module, feed, recipe, device)
    steps = going or Steps(module, recipe, device, loss=loss, clip=clip, way=way)
    best = Best(module, judge)
    kept = Checkpoint(checkpoint, identity, {**steps.parts(), "best": best})
    log = kept.restore()

    per_epoch = -(-len(feed) // recipe.batch_size)
    total = per_epoch * recipe.epochs
    with (
        (progress or silent()).step(label, total) as bar,
        torch.enable_grad(),
        threads(way.threads),
        _own_randomness(device) as reseed,
    ):
        bar.advance(len(log) * per_epoch)
        for epoch in range(len(log), recipe.epochs):
            log.append(_epoch(steps, feed, recipe, epoch, total, reseed(seed, epoch), bar))
            if not np.isfinite(log[-1].loss):
                raise TrainingError(_diverged(label, epoch, recipe))
            with steps.averaged():
                best.look()
            kept.save(log)
    steps.finish(going is None)
    best.restore()
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters() if p.requires_grad):
        raise TrainingError(_diverged(label, recipe.epochs - 1, recipe))
    return tuple(log)


def _epoch(
    steps: Steps, feed: Feed, recipe: Recipe, epoch: int, total: int, generator: torch.Generator, bar: Step
) -> Epoch:
    """One pass over the data, of ``total`` steps in all."""
    start, device = time.perf_counter(), feed.device
    per_epoch = total // recipe.epochs
    steps.module.train()
    order, moves = _draw(len(feed), recipe, generator, device)
    total_loss = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    for number, rows in enumerate(order.tensor_split(per_epoch), start=epoch * per_epoch):
        moved = None if moves is None else moves.of(rows)
        batch, wanted = feed.take(rows, moved, recipe.shift, recipe.cutout), feed.targets[rows]
        batch = auto_augmented(batch) if recipe.auto_augment and batch.ndim == 4 else batch
        rate = rate_at(recipe, number, total)
        value, logits = steps.take(batch, wanted, rate, Done(number, total))
        total_loss += value * len(rows)
        labels = wanted.argmax(1) if wanted.ndim == 2 else wanted
        correct += torch.count_nonzero(logits.argmax(1) == labels)
        bar.advance()
    mean, right = float(total_loss) / len(feed), int(correct) / len(feed)
    seconds = time.perf_counter() - start
    return Epoch(mean, right, rate, seconds, len(feed) / max(seconds, 1e-9))


def _way(module: torch.nn.Module, feed: Feed, recipe: Recipe, device: torch.device) -> Way:
    """How to take steps: measured on a processor, settled on a GPU."""
    if device.type != "cpu":
        return Way(threads=torch.get_num_threads(), channels_last=device.type == "cuda")
    rows = torch.arange(min(len(feed), recipe.batch_size, SAMPLE))
    return way_to_train(module.to(device), feed.take(rows), exact=not recipe.mixed_precision)


def predict(
    module: torch.nn.Module,
    images: torch.Tensor | Images,
    device: torch.device,
    batch_size: int = 512,
    *,
    mirrored: bool = False,
) -> torch.Tensor:
    """Logits float32 (n, classes) on the CPU; the network is put on the device and into evaluation mode.

    With ``mirrored`` they are the means of those of each image and of its mirror image, left to right.

    Raises:
        DataError: if images are floats outside [0, 1].
    """
    module.to(device).eval()
    answers = []
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        part = images[start:stop] if isinstance(images, torch.Tensor) else images.take(np.arange(start, stop))
        pixels = to_pixels(part)
        logits = evaluate(module, pixels, device)
        answers.append((logits + evaluate(module, pixels.flip(-1), device)) / 2 if mirrored else logits)
    return torch.cat(answers)


def seeded_build(architecture: str, num_classes: int, input_shape: Shape, seed: int) -> torch.nn.Module:
    """A network whose random weights depend on the seed alone; see `assay.targets.architectures.build`.

    Raises:
        UsageError: if the architecture is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build(architecture, num_classes, input_shape)


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[Callable[[int, int], torch.Generator]]:
    """Global generators (dropout draws from them) and cuDNN's settings, borrowed and given back.

    Yields a function that seeds them for an epoch, and returns a generator for the order and movement of images.
    """
    on_gpu = device.type == "cuda"

    def reseed(seed: int, epoch: int) -> torch.Generator:
        inner, outer = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64).tolist()
        torch.default_generator.manual_seed(inner)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(inner)
        return torch.Generator().manual_seed(outer)

    with (
        torch.random.fork_rng(devices=[device] if on_gpu else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield reseed


def _draw(
    count: int, recipe: Recipe, generator: torch.Generator, device: torch.device
) -> tuple[torch.Tensor, Moves | None]:
    """The epoch's order, and each row's movement if the recipe moves images."""
    order = torch.randperm(count, generator=generator).to(device)
    if not (recipe.shift or recipe.flip or recipe.cutout or recipe.rotate or recipe.crop < 1):
        return order, None
    moves = Moves.draw(
        count,
        recipe.shift,
        recipe.flip,
        generator,
        cut=bool(recipe.cutout),
        rotate=recipe.rotate,
        crop=recipe.crop,
    )
    return order, moves.to(device)


def _diverged(label: str, epoch: int, recipe: Recipe) -> str:
    return (
        f"{label}: training diverged in epoch {epoch + 1} of {recipe.epochs} (the loss became NaN or infinite); "
        f"try a learning rate below {recipe.learning_rate:g}."
    )
