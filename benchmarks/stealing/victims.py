"""The stealing study's own targets: CIFAR-10 networks with and without ImageNet pre-training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import assay
from assay.access import Answers
from assay.base.progress import on_console
from assay.data.images import Subset
from assay.methods.stealing.learners import parse_learner
from assay.methods.stealing.surrogates.prepare import Adaptation, prepare
from assay.training import Recipe

MEMBERS = 5_000
"""Training images of every victim."""

SIDE = 64
"""Pixels that images are resized to for the pre-trained backbone."""


def backbone(adaptation: Adaptation) -> dict[str, Any]:
    """The options of a thief on EfficientNet-Lite0 with ImageNet weights."""
    return {
        "architecture": "efficientnet-lite0",
        "initialisation": "pretrained",
        "adaptation": adaptation,
        "resized_to": SIDE,
        "batch_size": 64,
    }


VICTIMS: dict[str, tuple[dict[str, Any], Recipe]] = {
    "small CNN, random start": (
        {"architecture": "tiny-cnn"},
        Recipe(epochs=40, batch_size=64, optimiser="adam", learning_rate=0.002, shift=2, flip=True),
    ),
    "EfficientNet-Lite0, linear probe": (
        {"architecture": "efficientnet-lite0", "initialisation": "pretrained", "adaptation": "linear-probe"},
        Recipe(epochs=40, batch_size=64, optimiser="adam", learning_rate=0.003),
    ),
    "EfficientNet-Lite0, full fine-tuning": (
        {"architecture": "efficientnet-lite0", "initialisation": "pretrained"},
        Recipe(epochs=4, batch_size=64, optimiser="adam", learning_rate=0.001, flip=True),
    ),
}


def victim(name: str, folder: Path) -> assay.Target:
    """A target trained on 5,000 of CIFAR-10's training images, once; the others are the attacker's."""
    settings, recipe = VICTIMS[name]
    data = assay.load_dataset("cifar10")
    train, test = data.train, data.test
    assert train is not None
    assert test is not None
    order = np.random.default_rng(7).permutation(len(train))
    members = Subset(train, np.sort(order[:MEMBERS]), "CIFAR-10, 5,000 in")
    others = Subset(train, np.sort(order[MEMBERS:]), "CIFAR-10, 45,000 out")
    side = SIDE if "initialisation" in settings else 32
    module = prepare(**settings, num_classes=10, shape=(3, 32, 32), seed=7, size=(side, side))
    weights = folder / f"{name.replace(' ', '-').replace(',', '')}.safetensors"
    if weights.exists():
        module.load_state_dict(load_file(weights))
    else:
        weights.parent.mkdir(parents=True, exist_ok=True)
        truth = Answers(members.labels, None)
        parse_learner("hard").fit(
            module,
            members,
            truth,
            None,
            recipe,
            seed=7,
            device=torch.device("cpu"),
            progress=on_console(),
            label=f"training {name}",
            checkpoint=weights.with_suffix(".checkpoint"),
        )
        save_file(module.state_dict(), weights)
    return assay.Target.from_module(
        module, input_shape=(3, 32, 32), num_classes=10, splits=assay.Splits(members, test, others), name=name
    )
