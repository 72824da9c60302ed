"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from assay.base.digests import digest_arrays, digest_json
from assay.base.errors import AssayError
from assay.base.files import replacing
from assay.base.progress import Progress, silent
from assay.data.images import Images, Shape, to_pixels
from assay.targets.architectures import build
from assay.targets.module import evaluate, module_digest
from assay.training.feeding import Feed, Moves
from assay.training.optimisers import make_optimiser, rate_at
from assay.training.recipe import Recipe
from assay.training.unlabelled import Loss, SemiSupervised, step_loss


class Epoch(NamedTuple):
    """One pass over the data: mean loss and accuracy over its batches, the last learning rate, and its wall time."""

    loss: float
    accuracy: float
    learning_rate: float
    seconds: float


Log = tuple[Epoch, ...]
"""One entry an epoch."""


class TrainingError(AssayError):
    """Training cannot go on."""


def plain_loss(
    module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy with labels (n,) or posteriors (n, classes); for posteriors, the KL divergence up to a constant."""
    logits = module(images)
    return cross_entropy(logits, targets), logits


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
) -> Log:
    """Train a network in place; it ends on ``device``, in evaluation mode.

    ``images`` are uint8, or float32 in [0, 1], (n, c, h, w), or a set of them, or features float32 (n, d), which are
    not moved; ``targets`` are int64 (n,) or posteriors float (n, classes). Batches differ in size by at most one image,
    and none is larger than the recipe's. The same seed and machine give the same weights, whatever the state of the
    global generators, which is left as it was.

    ``judge`` is called after every epoch and gives a number; the weights of the epoch with the greatest (the latest of
    equals) are those that the network ends with. Without it, they are the last epoch's. ``clip`` shortens each step's
    gradient, over all parameters together, to this Euclidean length if it is longer.

    ``checkpoint`` names a file that is replaced after every epoch. A later call with the same network, data, recipe,
    ``loss_name`` (whatever tells losses, judges and clips apart) and seed goes on from there and ends with the weights
    of an uninterrupted run; a file of another training is overwritten.

    Raises:
        DataError: if images or targets are unusable.
        TrainingError: if the loss or the weights become NaN or infinite, or no parameter can be trained.
    """
    params = [p for p in module.parameters() if p.requires_grad]
    if not params:
        raise TrainingError("The network has no parameters that can be trained.")
    on_gpu = device.type == "cuda"
    feed = Feed(images, targets, device)
    identity = "" if checkpoint is None else _identity(module, images, targets, recipe, seed, loss, loss_name)
    compute = step_loss(loss, device)
    module.to(device)
    if on_gpu:
        _lay_out(params, torch.channels_last)
    optimiser = make_optimiser(recipe, params, device)
    half = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float16
    scaler = torch.amp.GradScaler(enabled=on_gpu and recipe.mixed_precision and half is torch.float16)
    best = _Best(module, judge)
    state = _State(checkpoint, identity, {"module": module, "optimiser": optimiser, "scaler": scaler, "best": best})
    log = state.restore()

    per_epoch = -(-len(feed) // recipe.batch_size)
    steps = per_epoch * recipe.epochs
    with (progress or silent()).step(label, steps) as bar, torch.enable_grad(), _own_randomness(device) as reseed:
        bar.advance(len(log) * per_epoch)
        for epoch in range(len(log), recipe.epochs):
            start = time.perf_counter()
            module.train()
            generator = reseed(seed, epoch)
            order, moves = _draw(len(feed), recipe, generator, device)
            total_loss = torch.zeros((), device=device)
            correct = torch.zeros((), dtype=torch.int64, device=device)
            for number, rows in enumerate(order.tensor_split(per_epoch)):
                rate = rate_at(recipe, epoch * per_epoch + number, steps)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                moved = None if moves is None else Moves(moves.offsets[rows], moves.mirror[rows])
                batch, wanted = feed.take(rows, moved, recipe.shift), feed.targets[rows]
                with torch.autocast(device.type, half, enabled=on_gpu and recipe.mixed_precision):
                    value, logits = compute(module, batch, wanted, (epoch * per_epoch + number) / steps)
                optimiser.zero_grad()
                scaler.scale(value).backward()  # type: ignore[no-untyped-call]
                if clip is not None:
                    scaler.unscale_(optimiser)
                    torch.nn.utils.clip_grad_norm_(params, clip)
                scaler.step(optimiser)
                scaler.update()
                total_loss += value.detach() * len(rows)
                labels = wanted.argmax(1) if wanted.ndim == 2 else wanted
                correct += torch.count_nonzero(logits.detach().argmax(1) == labels)
                bar.advance()
            mean = float(total_loss) / len(feed)
            if not np.isfinite(mean):
                raise TrainingError(_diverged(label, epoch, recipe))
            log.append(Epoch(mean, int(correct) / len(feed), rate, time.perf_counter() - start))
            best.look()
            state.save(log)
    best.restore()
    if not all(bool(torch.isfinite(p).all()) for p in params):
        raise TrainingError(_diverged(label, recipe.epochs - 1, recipe))
    _lay_out(params, torch.contiguous_format)
    module.eval()
    return tuple(log)


def predict(
    module: torch.nn.Module, images: torch.Tensor | Images, device: torch.device, batch_size: int = 512
) -> torch.Tensor:
    """Logits float32 (n, classes) on the CPU; the network is put on the device and into evaluation mode.

    Raises:
        DataError: if images are floats outside [0, 1].
    """
    module.to(device).eval()
    answers = []
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        part = images[start:stop] if isinstance(images, torch.Tensor) else images.take(np.arange(start, stop))
        answers.append(evaluate(module, to_pixels(part), device))
    return torch.cat(answers)


def seeded_build(architecture: str, num_classes: int, input_shape: Shape, seed: int) -> torch.nn.Module:
    """A network whose random weights depend on the seed alone; see `assay.targets.architectures.build`.

    Raises:
        UsageError: if the architecture is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build(architecture, num_classes, input_shape)


def _lay_out(params: list[torch.nn.Parameter], layout: torch.memory_format) -> None:
    for p in params:
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=layout)


class _Best:
    """The weights of the epoch that was judged best."""

    def __init__(self, module: torch.nn.Module, judge: Callable[[], float] | None) -> None:
        self.module, self.judge = module, judge
        self.score = -math.inf
        self.weights: dict[str, torch.Tensor] = {}

    def look(self) -> None:
        if self.judge is not None and (score := self.judge()) >= self.score:
            self.score = score
            self.weights = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    def restore(self) -> None:
        if self.weights:
            self.module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.score, self.weights = state["score"], state["weights"]


class _State:
    """What a checkpoint holds. Every epoch draws from generators seeded by its number, so none of them is kept."""

    def __init__(self, file: Path | None, identity: str, parts: dict[str, Any]) -> None:
        self.file, self.identity, self.parts = file, identity, parts

    def save(self, log: list[Epoch]) -> None:
        if self.file is None:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with replacing(self.file, durable=False) as partial:
            torch.save({"identity": self.identity, "log": [tuple(epoch) for epoch in log], **state}, partial)

    def restore(self) -> list[Epoch]:
        if self.file is None or not self.file.exists():
            return []
        try:
            state = torch.load(self.file, weights_only=True, map_location="cpu")
        except Exception:  # whatever a damaged file provokes, training starts afresh
            return []
        if state.get("identity") != self.identity:
            return []
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return [Epoch(*entry) for entry in state["log"]]


def _identity(
    module: torch.nn.Module,
    images: torch.Tensor | Images,
    targets: torch.Tensor,
    recipe: Recipe,
    seed: int,
    loss: Loss | SemiSupervised,
    loss_name: str,
) -> str:
    parts: dict[str, Any] = {
        "start": module_digest(module),
        "images": _content(images),
        "targets": digest_arrays(y=targets.cpu().numpy()),
        "seed": seed,
        "loss": loss_name,
    }
    if isinstance(loss, SemiSupervised):
        parts |= {"unlabelled": _content(loss.images), "ratio": loss.ratio}
    return digest_json({**parts, "recipe": recipe.model_dump()})


def _content(images: torch.Tensor | Images) -> str:
    return digest_arrays(x=images.cpu().numpy()) if isinstance(images, torch.Tensor) else images.digest


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
    if not (recipe.shift or recipe.flip):
        return order, None
    moves = Moves.draw(count, recipe.shift, recipe.flip, generator)
    return order, Moves(moves.offsets.to(device), moves.mirror.to(device))


def _diverged(label: str, epoch: int, recipe: Recipe) -> str:
    return (
        f"{label}: training diverged in epoch {epoch + 1} of {recipe.epochs} (the loss became NaN or infinite); "
        f"try a learning rate below {recipe.learning_rate:g}."
    )
