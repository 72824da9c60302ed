"""Image classifiers of transformers, with the preprocessing of their own processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from assay.base.errors import LoadError
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape
from assay.targets.hugging_face.folder import PROCESSOR, Folder
from assay.targets.hugging_face.library import load_classifier
from assay.targets.loading.blackbox import reason
from assay.targets.module import Preprocessed
from assay.targets.text.transformer import library

TOLERANCE = 1e-3
"""Largest difference between a processor's output and `Preprocessing`'s, relative to the output's spread."""


class ImageClassifier(torch.nn.Module):
    """A network of transformers that gives logits alone."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Preprocessed images (n, c, h, w) to logits (n, classes)."""
        logits: torch.Tensor = self.network(pixel_values=images).logits
        return logits


def image_classifier(
    folder: Folder, *, processed: bool = True
) -> tuple[ImageClassifier, Shape | None, Preprocessing | None]:
    """A folder's network, its input (channels, height, width), and its preprocessing.

    Both are those of the folder's processor. Without one, or unless ``processed``, the preprocessing is None, and the
    input that of the configuration, if it has one.

    Raises:
        LoadError: if files do not fit, or the processor does what `Preprocessing` cannot express.
    """
    network = load_classifier(folder)
    channels = int(folder.config.get("num_channels", 3))
    if not processed or not (folder.path / PROCESSOR).is_file():
        size = _pair(folder.config.get("image_size"))
        return ImageClassifier(network), (channels, *size) if size else None, None
    try:
        processor: Any = library().AutoImageProcessor.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises whatever the settings lead to
        raise LoadError(f"{folder.path / PROCESSOR} cannot be read by transformers: {reason(error)}.") from error
    cropped = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = _pair(cropped) or _pair(getattr(processor, "size", None)) or _pair(folder.config.get("image_size"))
    if size is None:
        raise LoadError(f"{folder.path / PROCESSOR} does not say which size of images the network takes.")
    shape = (channels, *size)
    preprocessing = _preprocessing(processor, size)
    _verify(processor, preprocessing, shape, folder)
    return ImageClassifier(network), shape, preprocessing


def _pair(size: Any) -> tuple[int, int] | None:
    """Height and width of what configurations and processors call a size."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple):
        return (int(size[0]), int(size[1])) if len(size) == 2 else None
    if size is None:
        return None
    found = {name: value for name, value in dict(size).items() if value is not None}
    if found.keys() >= {"height", "width"}:
        return int(found["height"]), int(found["width"])
    return (int(found["shortest_edge"]),) * 2 if "shortest_edge" in found else None


def _preprocessing(processor: Any, size: tuple[int, int]) -> Preprocessing:
    normalises = bool(getattr(processor, "do_normalize", False))
    rescales = bool(getattr(processor, "do_rescale", True))
    return Preprocessing(
        scale=round(255 * float(processor.rescale_factor), 9) if rescales else 255.0,
        mean=tuple(map(float, processor.image_mean)) if normalises else (0.0,),
        std=tuple(map(float, processor.image_std)) if normalises else (1.0,),
        size=size if getattr(processor, "do_resize", False) else None,
        channels="bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb",
    )


def _verify(processor: Any, preprocessing: Preprocessing, shape: Shape, folder: Folder) -> None:
    """Compare with the processor's own output on an image of the network's size.

    Processors have options of their own (offsets, for one); what `Preprocessing` cannot express must not pass silently.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (shape[1], shape[2], shape[0])).astype(np.uint8)
    try:
        options = {"do_resize": False, "do_center_crop": False, "input_data_format": "channels_last"}
        given = processor(pixels, return_tensors="pt", **options)
        expected = given["pixel_values"][0].float()
    except Exception as error:  # transformers raises whatever the settings lead to
        raise LoadError(f"{folder.path / PROCESSOR} cannot process an image: {reason(error)}.") from error
    images = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255
    found = Preprocessed(torch.nn.Identity(), preprocessing)(images)[0]
    if expected.shape != found.shape or (expected - found).abs().max() > TOLERANCE * expected.std():
        raise LoadError(
            f"{folder.path / PROCESSOR} does more than scale, normalise and swap channels: say the preprocessing in a "
            "target file with the folder as its weights."
        )
