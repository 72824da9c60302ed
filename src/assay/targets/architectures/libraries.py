"""Architectures of timm and torchvision, with random weights."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from assay.base.errors import DataError, UsageError, nearest
from assay.base.vision import import_timm, import_torchvision
from assay.data.images import Shape

_WITH_AUXILIARY_HEADS = {"aux_logits": False, "init_weights": False}
_OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _WITH_AUXILIARY_HEADS, "inception_v3": _WITH_AUXILIARY_HEADS}
"""Options of torchvision's networks that, built as they are, answer with more than logits while they train."""


def timm_library(name: str) -> ModuleType:
    """Import timm and check that it has a network of that name, with or without the tag of its weights.

    Raises:
        UsageError: if it has none.
    """
    timm = import_timm()
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise UsageError(f"timm has no network {architecture!r}: {nearest(architecture, timm.list_models())}")
    return timm


def torchvision_models(name: str) -> ModuleType:
    """Import torchvision's models and check that they include a classifier of that name.

    Raises:
        UsageError: if it has none.
    """
    models: ModuleType = import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        if name in models.list_models():
            raise UsageError(
                f"torchvision's {name} detects, segments or reads videos, and Assay assesses classifiers of images "
                "only: measure its backbone as a classifier, or name a function that turns its answers into posteriors."
            )
        raise UsageError(f"torchvision has no classifier {name!r}: {nearest(name, known)}")
    return models


def libraries_of(name: str) -> list[str]:
    """The libraries that have a network of that name, which may end in the tag of its weights: timm, torchvision."""
    architecture, _, tag = name.partition(".")
    models = import_torchvision().models
    found = ["timm"] if import_timm().is_model(architecture) else []
    if architecture in models.list_models(module=models):
        tags = models.get_model_weights(architecture).__members__
        found += ["torchvision"] if not tag or tag in tags else []
    return found


def build_timm(
    name: str, num_classes: int, input_shape: Shape, state: dict[str, torch.Tensor] | None = None
) -> torch.nn.Module:
    """One of timm's networks, for any number of channels, and for any image size where the network has the option.

    With a published ``state``, timm fits that to channels and size; the classifier is new if the classes are others.

    Raises:
        UsageError: if timm has none of that name.
        DataError: if it cannot be built for such images.
    """
    timm = timm_library(name)
    channels, *size = input_shape
    options: dict[str, Any] = {"num_classes": num_classes, "in_chans": channels}
    if state is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}
    sized = {} if list(timm.get_pretrained_cfg(name).input_size[1:]) == size else {"img_size": tuple(size)}
    try:
        try:
            network: torch.nn.Module = timm.create_model(name, **options, **sized)
        except TypeError:  # most convolutional networks take any size and have no such option
            network = timm.create_model(name, **options)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise DataError(f"timm's {name} cannot be built for images of {_times(input_shape)}: {error}") from error
    return network


def build_torchvision(name: str, num_classes: int, input_shape: Shape) -> torch.nn.Module:
    """One of torchvision's classifiers, for colour images. A tag of weights after the name is ignored.

    Raises:
        UsageError: if torchvision has none of that name.
        DataError: if it cannot be built for such images.
    """
    name = name.partition(".")[0]
    models = torchvision_models(name)
    options = {"num_classes": num_classes, **_OPTIONS.get(name, {})}
    if name.startswith("vit_"):
        options["image_size"] = input_shape[1]
    try:
        if input_shape[0] != 3:
            raise ValueError("it takes three channels")
        network: torch.nn.Module = models.get_model(name, weights=None, **options)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise DataError(f"torchvision's {name} cannot be built for images of {_times(input_shape)}: {error}") from error
    return network


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape))
