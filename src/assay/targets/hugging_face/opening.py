"""Targets from folders of ``save_pretrained``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.base.digests import digest_file
from assay.base.errors import DataError, UsageError
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape
from assay.data.text_rows import MAX_BYTES
from assay.targets.hugging_face.folder import Folder, read_folder
from assay.targets.hugging_face.images import image_classifier
from assay.targets.hugging_face.library import count_classes
from assay.targets.hugging_face.texts import text_classifier
from assay.targets.loading import Loaded
from assay.targets.opened import make_target
from assay.targets.target import Target


class Overrides(NamedTuple):
    """What the user says in place of the folder's own settings; None and empty where nothing is said."""

    preprocessing: Preprocessing | None = None
    input_shape: Shape | None = None
    class_names: tuple[str, ...] = ()
    max_bytes: int | None = None


NO_OVERRIDES = Overrides()


def open_folder(path: Path, name: str, device: torch.device, overrides: Overrides = NO_OVERRIDES) -> Target:
    """A target from a folder, without data.

    Raises:
        UnsafeFileError: if the folder asks for code, or its weights are not safetensors.
        LoadError: if it is damaged, or is no classifier of images or texts.
        UsageError: if transformers is not installed, or preprocessing or input are stated nowhere.
    """
    folder = read_folder(path)
    facts: dict[str, Any] = {
        "format": "safetensors",
        "architecture": f"transformers:{folder.architecture}",
        "sha256": digest_file(folder.weights[0]) if len(folder.weights) == 1 else None,
    }
    if folder.modality == "text":
        if overrides.preprocessing is not None or overrides.input_shape is not None:
            raise UsageError(
                f"{path} classifies texts, which have max_bytes, and neither input_shape nor preprocessing."
            )
        network = text_classifier(folder)
        loaded = Loaded(
            network, (1, 1, overrides.max_bytes or MAX_BYTES), network.head.out_features, differentiable=True
        )
        preprocessing = Preprocessing()
    else:
        loaded, preprocessing = _image(folder, overrides)
    names = overrides.class_names or folder.class_names()
    return make_target(loaded, name, preprocessing, names, folder.digest(), device, facts, folder.modality)


def _image(folder: Folder, overrides: Overrides) -> tuple[Loaded, Preprocessing]:
    if overrides.max_bytes is not None:
        raise UsageError(f"{folder.path} classifies images, which have an input_shape, and no max_bytes.")
    network, own_shape, own = image_classifier(folder, processed=overrides.preprocessing is None)
    preprocessing = overrides.preprocessing or own
    if preprocessing is None:
        raise UsageError(
            f"{folder.path} has no preprocessor_config.json: write a target file with this folder as weights, and say "
            "[preprocessing] (scale, mean and std) there."
        )
    shape = overrides.input_shape or own_shape
    if shape is None and preprocessing.size is not None:
        shape = (int(folder.config.get("num_channels", 3)), *preprocessing.size)
    if shape is None:
        raise DataError(f"{folder.path} does not say which size of images it takes: say input_shape in a target file.")
    if own_shape is not None and shape != own_shape and preprocessing.size is None:
        preprocessing = preprocessing.model_copy(update={"size": own_shape[1:]})
    return Loaded(network, shape, count_classes(folder, network.network), differentiable=True), preprocessing
