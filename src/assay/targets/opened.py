"""A target from a loaded network, before its data are loaded."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from assay.base.digests import digest_json
from assay.base.errors import DataError
from assay.catalogue.weights import Preprocessing
from assay.data.sources import Parts
from assay.targets.loading import Loaded
from assay.targets.module import Preprocessed, evaluate
from assay.targets.target import CPU, Modality, Target


class Opened(NamedTuple):
    """A model without data, and its own data sets, if they are known.

    ``resizes`` says that images of another size are resized to the target's input, as the model's owner does.
    """

    target: Target
    data: Parts | None
    resizes: bool = False


def state_digest(sha256: str, architecture: str | None) -> str:
    """SHA-256 that identifies weights: the file's and, if the file does not describe its network, the architecture."""
    return sha256 if architecture is None else digest_json({"weights": sha256, "architecture": architecture})


def make_target(
    loaded: Loaded,
    name: str,
    preprocessing: Preprocessing,
    class_names: tuple[str, ...],
    digest: str,
    device: torch.device,
    facts: dict[str, Any],
    modality: Modality = "image",
) -> Target:
    """A target from an opened file.

    Raises:
        DataError: if preprocessing or class names do not fit, or the network cannot process its own input.
    """
    channels = loaded.input_shape[0]
    for what, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
        if len(values) not in (1, channels):
            raise DataError(
                f"{name}: the preprocessing has a {what} for {len(values)} channels; images have {channels}."
            )
    if preprocessing.channels == "bgr" and channels != 3:
        raise DataError(f"{name}: the order of channels is bgr, and images have {channels} of them, not 3.")
    if class_names and len(class_names) != loaded.num_classes:
        raise DataError(
            f"{name} tells {loaded.num_classes} classes apart, and {len(class_names)} class names are given."
        )
    facts = {key: value for key, value in facts.items() if value}
    if loaded.differentiable:
        return Target.from_module(
            loaded.network,
            input_shape=loaded.input_shape,
            num_classes=loaded.num_classes,
            name=name,
            preprocessing=preprocessing,
            class_names=class_names,
            device=device,
            weights_digest=digest,
            facts=facts,
            modality=modality,
        )
    network = Preprocessed(loaded.network, preprocessing).eval()
    twin = loaded.twin and Preprocessed(loaded.twin, preprocessing).eval().requires_grad_(False)
    gradients = f"none: {loaded.no_twin}" if twin is None else "through a twin with the file's weights"
    return Target(
        name=name,
        weights_digest=digest,
        input_shape=loaded.input_shape,
        num_classes=loaded.num_classes,
        logits=lambda images: evaluate(network, images, CPU),
        module=twin,
        preprocessing=preprocessing,
        class_names=class_names,
        facts={**facts, "gradients": gradients},
        modality=modality,
    )
