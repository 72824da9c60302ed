"""PyTorch checkpoints, read as tensors only."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from assay.base.errors import LoadError, UnsafeFileError

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_checkpoint(path: Path) -> Any:
    """Read a checkpoint by PyTorch's weights-only unpickler, which calls nothing that the file names.

    Raises:
        UnsafeFileError: if the file asks for code: a whole pickled module, or worse.
        LoadError: if it is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile or damaged file may fail in any way
        asked = _GLOBAL.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if asked and asked.group(1).startswith(("ultralytics.", "models.yolo")):
            raise UnsafeFileError(
                f"{path.name} is a YOLO model with its code, and was not opened: Assay assesses classifiers only; of a "
                "detector measure the backbone as a classifier, and export a YOLO classifier with `yolo export "
                f"model={path.name} format=onnx`."
            ) from None
        if asked:
            raise UnsafeFileError(
                f"{path.name} holds code ({asked.group(1)}) besides weights, and was not opened: load it where you "
                "trust it, and save `torch.save(model.state_dict(), ...)` or safetensors."
            ) from None
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise LoadError(
                f"{path.name} takes more memory to open than there is, or than a file of its size needs."
            ) from None
        raise LoadError(f"{path.name} is a damaged or truncated PyTorch checkpoint.") from error
