"""transformers, asked for networks by name and never for anything from a hub or for remote code."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from assay.base.errors import LoadError
from assay.base.fence import try_first
from assay.targets.hugging_face.folder import CONFIG, Folder
from assay.targets.loading.blackbox import reason
from assay.targets.text.transformer import library

DROPPED = {"use_pretrained_backbone", "_name_or_path", "attn_implementation", "_attn_implementation"} | {
    "dtype",
    "torch_dtype",
}
"""Keys of a configuration that would fetch other weights or kernels, or change the arithmetic."""


def load_classifier(folder: Folder) -> torch.nn.Module:
    """The network of a folder with its weights, float32, in evaluation mode.

    Raises:
        UsageError: if transformers is not installed.
        LoadError: if transformers has no such architecture, or the weights do not fit it.
    """
    library()  # once for both processes
    found = [file.stat() for file in folder.weights]
    size, times = sum(each.st_size for each in found), [each.st_mtime_ns for each in found]
    try_first(partial(_load_classifier, folder), folder.path / CONFIG, *times, size=size)
    return _load_classifier(folder)


def _load_classifier(folder: Folder) -> torch.nn.Module:
    transformers = library()
    kind = getattr(transformers, folder.architecture, None)
    family = str(folder.config.get("model_type", ""))
    if kind is None or family not in transformers.CONFIG_MAPPING:
        raise LoadError(
            f"{folder.path} is a {folder.architecture} ({family or 'no model_type'}), which the installed transformers "
            f"{transformers.__version__} does not have: install a newer one, or export the model to ONNX."
        )
    described = {key: value for key, value in folder.config.items() if key not in DROPPED}
    try:
        config = transformers.CONFIG_MAPPING[family].from_dict(described)
        transformers.logging.disable_progress_bar()
        network, info = kind.from_pretrained(
            folder.path,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises whatever the configuration leads to
        raise LoadError(f"{folder.path} cannot be opened by transformers: {reason(error)}.") from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise LoadError(
            f"The weights in {folder.path} lack {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}: "
            "the classifier was not trained, or not saved."
        )
    whole: torch.nn.Module = network.eval()
    return whole


def count_classes(folder: Folder, network: Any) -> int:
    """The number of classes.

    Raises:
        LoadError: if there are fewer than 2.
    """
    classes = int(network.config.num_labels)
    if classes < 2:
        raise LoadError(f"{folder.path} has {classes} output; a classifier has at least 2 classes.")
    return classes
