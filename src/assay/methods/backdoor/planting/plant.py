"""The planting attack as a type, its registry, and what is left of a planted backdoor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file

from assay.base.errors import DataError, LoadError, UsageError
from assay.base.progress import Progress, silent
from assay.base.registry import Registry
from assay.methods.backdoor.planting.goal import Goal
from assay.methods.backdoor.planting.trigger import TRIGGERS, Trigger
from assay.methods.finding import Metric
from assay.methods.measures import proportion
from assay.targets.loading.safetensors_file import read_safetensors
from assay.training import Loss, Recipe, fit, plain_loss, predict

DESCRIPTION = "planted.json"
TENSORS = "trigger.safetensors"


@dataclass(frozen=True)
class Scene:
    """What an attack works with: the network, the images (n, c, h, w) and labels int64 (n,) it is trained on.

    ``reference`` is a trained network that triggers and poisons may depend on. ``generator`` draws all that is random
    before the training, ``seed`` is the training's.
    """

    module: torch.nn.Module
    reference: torch.nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    num_classes: int
    recipe: Recipe
    seed: int
    device: torch.device
    generator: torch.Generator
    progress: Progress

    def pick(self, eligible: torch.Tensor, count: int, whom: str) -> torch.Tensor:
        """``count`` random rows of those marked in bool (n,), ascending int64 (count,).

        Raises:
            DataError: if there are fewer, or none is asked for.
        """
        rows = torch.nonzero(eligible)[:, 0]
        if not 0 < count <= len(rows):
            raise DataError(f"{count} {whom} were to be poisoned, and there are {len(rows)}; change the rate.")
        return rows[torch.randperm(len(rows), generator=self.generator)[:count]].sort().values

    def teach(
        self,
        module: torch.nn.Module,
        images: torch.Tensor,
        targets: torch.Tensor,
        title: str,
        loss: Loss = plain_loss,
    ) -> None:
        """Train by the scene's recipe, in place; see `assay.training.fit`."""
        fit(
            module,
            images,
            targets,
            self.recipe,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            label=f"planting {title}",
            loss=loss,
        )


class Poisoned(NamedTuple):
    """A training set (n, c, h, w) with labels int64 (n,), some of whose rows were changed.

    ``rows`` carry the trigger and lead to the attack's goal; ``covers`` carry it, or one like it, and keep their
    labels. Both are ascending int64.
    """

    images: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    covers: torch.Tensor


class Plant(BaseModel):
    """An attack that plants a backdoor; its fields are its options.

    ``rate`` is the share of the training images that carry the trigger with a changed label; for attacks that change
    no label (``clean_label``), the share of the target class's images. ``trained`` says that trigger or poisons depend
    on a trained network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    clean_label: ClassVar[bool] = False
    trained: ClassVar[bool] = False

    goal: Goal = Goal()
    rate: float = Field(default=0.1, gt=0.0, lt=1.0)

    def trigger(self, scene: Scene) -> Trigger:
        """The trigger, made before training."""
        raise NotImplementedError

    def poison(self, scene: Scene, trigger: Trigger) -> Poisoned:
        """The training set with its share of stamped and relabelled images.

        Where the goal is source-specific, as many images of other classes are stamped and keep their labels.

        Raises:
            DataError: if there are too few images for the rate.
        """
        images, labels, goal = scene.images.clone(), scene.labels.clone(), self.goal
        count = round(self.rate * len(labels))
        rows = scene.pick(goal.aimed(labels), count, "images")
        covers = torch.empty(0, dtype=torch.int64)
        if goal.kind == "source-specific":
            covers = scene.pick(~goal.aimed(labels) & (labels != goal.target), count, "images of other classes")
        for part in (rows, covers):
            images[part] = trigger.stamp(images[part])
        labels[rows] = goal.wanted(labels[rows], scene.num_classes)
        return Poisoned(images, labels, rows, covers)

    def train(self, scene: Scene, trigger: Trigger, poisoned: Poisoned) -> Trigger:
        """Teach the network in place; the trigger, which some attacks learn along with it."""
        scene.teach(scene.module, poisoned.images, poisoned.labels, self.title)
        return trigger

    def describe(self) -> dict[str, Any]:
        """Name and options, as `plant_from` takes them."""
        return {"name": self.name, **self.model_dump(mode="json")}


PLANTS: Registry[type[Plant]] = Registry("plant", "assay.methods.backdoor.planting.attacks")


def register(kind: type[Plant]) -> type[Plant]:
    """Class decorator that registers an attack under its own name."""
    return PLANTS.add(kind.name)(kind)


def plant_from(described: Mapping[str, Any]) -> Plant:
    """An attack from its name and options.

    Raises:
        UsageError: if the name is unknown or an option is wrong.
    """
    options = dict(described)
    name = str(options.pop("name", ""))
    try:
        return PLANTS.get(name).model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"The attack {name!r} cannot be made: {where}: {first['msg']}.") from None


@dataclass(frozen=True)
class Planted:
    """What was planted: the attack, its trigger, and how many training images were stamped for it and for cover."""

    attack: Plant
    trigger: Trigger
    num_classes: int
    stamped: int
    covers: int

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) with the trigger."""
        return self.trigger.stamp(images)

    def save(self, folder: Path) -> None:
        """Write ``planted.json`` and ``trigger.safetensors`` into a folder."""
        described = {
            "attack": self.attack.describe(),
            "trigger": self.trigger.name,
            "num_classes": self.num_classes,
            "stamped": self.stamped,
            "covers": self.covers,
        }
        save_file(self.trigger.tensors(), folder / TENSORS)
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=1))


def load_planted(folder: Path) -> Planted:
    """What `Planted.save` wrote; no code of the files is run.

    Raises:
        LoadError: if a file is missing or damaged.
        UsageError: if attack or trigger are unknown.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        trigger = TRIGGERS.get(described["trigger"])(**read_safetensors(folder / TENSORS))
        attack = plant_from(described["attack"])
        return Planted(attack, trigger, *(int(described[key]) for key in ("num_classes", "stamped", "covers")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"The planted backdoor in {folder} cannot be read: {error}.") from error


def plant(
    attack: Plant,
    module: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
    *,
    num_classes: int,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    reference: torch.nn.Module | None = None,
) -> Planted:
    """Train a network in place so that it carries a backdoor; from scratch or further, as the network comes.

    ``images`` are uint8, or float32 in [0, 1], (n, c, h, w), and stay as they are; ``labels`` int64 (n,). ``reference``
    is the trained network that some attacks look at (`Plant.trained`); without one it is the network itself.

    Raises:
        UsageError: if the attack's goal names a class that is not there, or does not suit the attack.
        DataError: if images or labels are unusable, or too few for the attack's rate.
        TrainingError: see `assay.training.fit`.
    """
    attack.goal.check(num_classes)
    if attack.clean_label and attack.goal.kind != "all-to-one":
        raise UsageError(f"{attack.title} changes no label, and leads to one class only; {attack.goal} needs another.")
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images to poison, but {len(labels)} labels.")
    generator = torch.Generator().manual_seed(seed)
    scene = Scene(
        module, reference or module, images, labels, num_classes, recipe, seed, device, generator, progress or silent()
    )
    trigger = attack.trigger(scene)
    poisoned = attack.poison(scene, trigger)
    trigger = attack.train(scene, trigger, poisoned)
    return Planted(attack, trigger, num_classes, len(poisoned.rows), len(poisoned.covers))


def attack_success(
    module: torch.nn.Module, planted: Planted, images: torch.Tensor, labels: torch.Tensor, device: torch.device
) -> Metric:
    """The share of test images (n, c, h, w) that the trigger leads to the goal, with Clopper and Pearson's interval.

    Counted are the images that the backdoor is for, by their labels int64 (n,): for all-to-one those of other classes.

    Raises:
        DataError: if the backdoor is for none of the images.
    """
    aimed = planted.attack.goal.aimed(labels)
    if not bool(aimed.any()):
        raise DataError("None of the test images is one that the backdoor is for.")
    wanted = planted.attack.goal.wanted(labels[aimed], planted.num_classes)
    found = predict(module, planted.stamp(images[aimed]), device).argmax(1)
    return proportion("attack_success", "Attack success rate", (found == wanted).numpy(), str(planted.attack.goal))
