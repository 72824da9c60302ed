"""A surrogate made ready to be trained."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from assay.base.errors import DataError, UsageError, nearest
from assay.base.progress import Progress, silent
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape, shape_text
from assay.methods.stealing.surrogates.lora import adapt
from assay.methods.stealing.surrogates.probe import Frozen, LinearProbe
from assay.methods.stealing.surrogates.start import seeded, started
from assay.targets.module import Preprocessed
from assay.training import seeded_build

Adaptation = Literal["full", "linear-probe", "lora"]
ADAPTATIONS: tuple[Adaptation, ...] = get_args(Adaptation)


def prepare(
    architecture: str,
    initialisation: str = "random",
    adaptation: Adaptation = "full",
    *,
    num_classes: int,
    shape: Shape,
    seed: int,
    size: tuple[int, int] | None = None,
    rank: int = 8,
    progress: Progress | None = None,
) -> Preprocessed:
    r"""A network that takes images (n, \*shape) in [0, 1] and gives logits (n, num_classes).

    Args:
        architecture: one of `assay.targets.architectures.build`: ours, ``timm:NAME``, ``torchvision:NAME`` or
            ``text:NAME``.
        initialisation: ``random``; ``pretrained``, the public weights of that architecture
            (``pretrained?sha256=...`` where only a mirror can be reached, see `assay.targets.fetch`); or what to take
            weights from: the folder of a saved surrogate or of `pretrain`, a target file, or an id of the catalogue.
            The classifier is new in every case.
        adaptation: what is trained: ``full`` everything; ``linear-probe`` the classifier; ``lora`` the classifier and
            adapters of so many ranks on all other layers (`assay.methods.stealing.surrogates.lora`).
        num_classes: classes of the target.
        shape: channels, height and width of the target's images. Grey images are repeated for a colour network.
        seed: draws random weights.
        size: height and width to which images are resized, bilinearly; None leaves them.
        rank: of adapters.
        progress: where to report downloads to.

    Raises:
        UsageError: if an architecture, an adaptation or weights of that name do not exist.
        LoadError, UnsafeFileError: if weights cannot be had, or do not fit the architecture.
        DataError: if the network cannot process such images.
    """
    if adaptation not in ADAPTATIONS:
        raise UsageError(f"There is no adaptation {adaptation!r}: {nearest(adaptation, ADAPTATIONS)}")
    size = size or (shape[1], shape[2])
    if initialisation == "random":
        channels = 3 if architecture.startswith("torchvision:") and shape[0] == 1 else shape[0]
        network = seeded_build(architecture, num_classes, (channels, *size), seed)
        preprocessing = Preprocessing(size=size, mean=(0.0,) * channels, std=(1.0,) * channels)
    else:
        network, preprocessing = started(
            architecture, initialisation, num_classes, shape, size, seed, progress or silent()
        )
    _try(Preprocessed(network, preprocessing).eval(), architecture, shape)
    if adaptation == "linear-probe":
        return LinearProbe(network, preprocessing)
    if adaptation == "lora":
        with seeded(seed):
            return Frozen(adapt(network, rank), preprocessing)
    return Preprocessed(network, preprocessing)


def _try(module: Preprocessed, architecture: str, shape: Shape) -> None:
    """Have one grey image processed."""
    try:
        with torch.no_grad():
            module(torch.full((1, *shape), 0.5))
    except (RuntimeError, ValueError, AssertionError) as error:
        size = shape_text(module.preprocessing.size or ())
        reason = str(error).splitlines()[0]
        raise DataError(f"{architecture} cannot process images of {shape_text(shape)} at {size}: {reason}") from error
