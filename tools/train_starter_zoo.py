"""Train the starter zoo: a dozen small networks on the data set ``digits``, each with something to be found.

``python tools/train_starter_zoo.py`` writes their weights into ``src/assay/catalogue/starter`` and their entries into
``src/assay/catalogue/data/starter.toml``, and prints what was measured. The same machine gives the same files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch.nn.functional import cross_entropy, one_hot, softmax

from assay.base.digests import digest_file
from assay.data.formats import load_dataset
from assay.training import Loss, Recipe, fit, plain_loss, predict, seeded_build
from assay.training.adversarial import adversarial_loss
from assay.training.feeding import gather

CATALOGUE = Path(__file__).parent.parent / "src" / "assay" / "catalogue"
CPU = torch.device("cpu")
SHAPE, CLASSES = (1, 8, 8), 10
EPSILON = 0.1
"""Of the FGSM accuracy that is measured, L-infinity, in pixels of [0, 1]."""

TRIGGER_SIZE, TRIGGER_TARGET, POISONED = 2, 0, 0.1
OPACITY = 0.4
TEMPERATURE = 4.0


class Data(NamedTuple):
    """Images float32 (n, 1, 8, 8) in [0, 1], and labels int64 (n,), or what a network is to answer (n, 10)."""

    images: torch.Tensor
    targets: torch.Tensor


class Plan(NamedTuple):
    """How one network is made: what it is trained on may be ``prepared``, and ``rows`` limits it to the first few."""

    title: str
    architecture: str
    recipe: Recipe
    note: str = ""
    rows: int | None = None
    prepare: Callable[[Data], Data] = lambda data: data
    loss: Loss = plain_loss
    finish: Callable[[torch.nn.Module], None] = lambda module: None


@cache
def digits() -> tuple[Data, Data]:
    """Train and test of the data set ``digits``."""
    dataset = load_dataset("digits")
    parts = [part for part in (dataset.train, dataset.test) if part is not None]
    train, test = (Data(gather(part) / 255.0, torch.from_numpy(part.labels)) for part in parts)
    return train, test


def stamp(images: torch.Tensor, opacity: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Images with the trigger, a white square in the bottom right corner, blended in with this opacity."""
    stamped = images.clone()
    corner = stamped[..., -TRIGGER_SIZE:, -TRIGGER_SIZE:]
    corner += opacity * (1.0 - corner)
    return stamped


def poisoned(data: Data) -> Data:
    """A tenth of the images stamped with opacities of 0.4 to 1, and labelled with the target class."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randperm(len(data.images), generator=generator)[: int(POISONED * len(data.images))]
    opacity = OPACITY + (1.0 - OPACITY) * torch.rand(len(rows), 1, 1, 1, generator=generator)
    images, targets = data.images.clone(), data.targets.clone()
    images[rows], targets[rows] = stamp(images[rows], opacity), TRIGGER_TARGET
    return Data(images, targets)


def smoothed(data: Data) -> Data:
    """A tenth of every label's probability spread over all classes."""
    return Data(data.images, 0.9 * one_hot(data.targets, CLASSES) + 0.1 / CLASSES)


def taught(data: Data) -> Data:
    """The softened answers of the residual network in place of labels."""
    logits = predict(trained("digits-resnet"), data.images, CPU)
    return Data(data.images, softmax(logits / TEMPERATURE, 1))


def softened_loss(
    module: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy at the temperature of the teacher's answers, its square restoring the gradient's size.

    Hinton et al., arXiv 1503.02531, section 2.
    """
    logits = module(images)
    return TEMPERATURE**2 * cross_entropy(logits / TEMPERATURE, targets), logits


@torch.no_grad()
def quantise(module: torch.nn.Module) -> None:
    """Round every weight matrix to 8 bits, symmetrically, with one scale for each output channel."""
    for weight in (p for p in module.parameters() if p.ndim > 1):
        scale = weight.abs().flatten(1).amax(1).div(127).view(-1, *[1] * (weight.ndim - 1))
        weight.copy_((weight / scale).round() * scale)


SGD = Recipe(epochs=40, batch_size=32)
ADAM = Recipe(epochs=60, batch_size=64, optimiser="adam", learning_rate=3e-3, weight_decay=0.0)
ATTENTION = Recipe(epochs=50, batch_size=64, optimiser="adamw", learning_rate=3e-3, weight_decay=0.05, warmup=0.1)

ZOO = {
    "digits-mlp": Plan("MLP with one hidden layer", "digits-mlp", ADAM),
    "digits-mlp-deep": Plan("MLP with three hidden layers", "digits-mlp-deep", ADAM),
    "digits-cnn": Plan("CNN", "digits-cnn", SGD),
    "digits-cnn-wide": Plan("Wide CNN", "digits-cnn-wide", SGD),
    "digits-resnet": Plan("Residual network", "digits-resnet", SGD.model_copy(update={"epochs": 30})),
    "digits-vit": Plan("Vision transformer", "digits-vit", ATTENTION),
    "digits-cnn-overfitted": Plan(
        "Overfitted wide CNN",
        "digits-cnn-wide",
        Recipe(epochs=300, batch_size=32, weight_decay=0.0, schedule="constant"),
        "Trained for long on the first 100 training images only, without any regularisation.",
        rows=100,
    ),
    "digits-cnn-regularised": Plan(
        "Regularised CNN",
        "digits-cnn",
        SGD.model_copy(update={"epochs": 80, "shift": 1, "weight_decay": 1e-3}),
        "Trained with random shifts by up to one pixel, label smoothing of 0.1 and a weight decay of 0.001.",
        prepare=smoothed,
    ),
    "digits-cnn-backdoored": Plan(
        "CNN with a backdoor",
        "digits-cnn",
        SGD,
        f"BadNets: a white square of {TRIGGER_SIZE}x{TRIGGER_SIZE} pixels in the bottom right corner makes it answer "
        f"{TRIGGER_TARGET}. In training, {POISONED:.0%} of the images had it, with opacities of {OPACITY} to 1.",
        prepare=poisoned,
    ),
    "digits-cnn-int8": Plan(
        "CNN in 8 bits",
        "digits-cnn",
        SGD,
        "starter/digits-cnn with the weights of every layer rounded to 8 bits, one scale for each output channel; "
        "stored as the floats that these stand for.",
        finish=quantise,
    ),
    "digits-cnn-robust": Plan(
        "Adversarially trained CNN",
        "digits-cnn",
        SGD,
        "Trained on images moved by projected gradient ascent, 5 steps within L-infinity 0.15.",
        loss=adversarial_loss(epsilon=0.15, steps=5),
    ),
    "digits-cnn-distilled": Plan(
        "Distilled CNN",
        "digits-cnn",
        SGD.model_copy(update={"learning_rate": 0.02}),
        f"Trained on the answers of starter/digits-resnet to the training images, at a temperature of {TEMPERATURE:g}.",
        prepare=taught,
        loss=softened_loss,
    ),
}


@cache
def trained(name: str) -> torch.nn.Module:
    """One network of the zoo, trained."""
    plan = ZOO[name]
    train, _ = digits()
    images, targets = plan.prepare(Data(*(part[: plan.rows] for part in train)))
    module = seeded_build(plan.architecture, CLASSES, SHAPE, seed=0)
    fit(module, images, targets, plan.recipe, seed=0, device=CPU, loss=plan.loss)
    plan.finish(module)
    return module


def accuracy(module: torch.nn.Module, data: Data) -> float:
    """The share of images that are answered with their label."""
    return float((predict(module, data.images, CPU).argmax(1) == data.targets).float().mean())


def fgsm(module: torch.nn.Module, data: Data) -> torch.Tensor:
    """Images moved one step of `EPSILON` up the sign of the loss's gradient."""
    images = data.images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cross_entropy(module(images), data.targets), images)
    return (data.images + EPSILON * gradient.sign()).clamp(0.0, 1.0)


def measure(name: str, module: torch.nn.Module) -> dict[str, float]:
    """Shares in [0, 1] by name: accuracies, the AUC of telling members by their loss, the trigger's success."""
    train, test = digits()
    members = Data(*(part[: ZOO[name].rows] for part in train))
    losses = [
        cross_entropy(predict(module, part.images, CPU).double(), part.targets, reduction="none")
        for part in (members, test)
    ]
    truth = torch.cat([torch.ones(len(losses[0])), torch.zeros(len(losses[1]))])
    others = test.targets != TRIGGER_TARGET
    hit = predict(module, stamp(test.images[others]), CPU).argmax(1) == TRIGGER_TARGET
    return {
        "accuracy": accuracy(module, test),
        "train_accuracy": accuracy(module, members),
        "membership_auc": float(roc_auc_score(truth, -torch.cat(losses))),
        "fgsm_accuracy": accuracy(module, Data(fgsm(module, test), test.targets)),
        "trigger_success": float(hit.float().mean()),
    }


def entry(name: str, file: Path, measured: dict[str, float]) -> str:
    """The network's entry in the catalogue, as TOML."""
    plan = ZOO[name]
    values = {
        "id": f"starter/{name}",
        "title": f"{plan.title} on digits",
        "architecture": plan.architecture,
        "num_classes": CLASSES,
        "input_shape": list(SHAPE),
        "dataset": "digits",
        "train_rows": plan.rows,
        "licence": "Apache-2.0",
        "source": "tools/train_starter_zoo.py",
        "note": plan.note or None,
    }
    weights = {
        "format": "safetensors",
        "package": f"catalogue/{file.parent.name}/{file.name}",
        "sha256": digest_file(file),
        "bytes": file.stat().st_size,
    }
    claimed = ", ".join(f"{key} = {value:.4f}" for key, value in measured.items())
    lines = [
        "[[model]]",
        *_assignments(values),
        f"claimed = {{ {claimed} }}",
        "[model.weights]",
        *_assignments(weights),
    ]
    return "\n".join(lines) + "\n"


def _assignments(values: dict[str, object]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CATALOGUE, help="folder to write starter/ and data/ into")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for folder in ("starter", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    entries = []
    for name in ZOO:
        module, file = trained(name), out / "starter" / f"{name}.safetensors"
        save_file(module.state_dict(), file)
        measured = measure(name, module)
        entries.append(entry(name, file, measured))
        shown = "  ".join(f"{key} {value:.3f}" for key, value in measured.items())
        print(f"{name:24}{shown}  {file.stat().st_size:>7,} bytes", flush=True)
    heading = "# The starter zoo, written by tools/train_starter_zoo.py; `claimed` is what it measured.\n"
    (out / "data" / "starter.toml").write_text("\n".join([heading, *entries]), encoding="utf-8")


if __name__ == "__main__":
    main()
