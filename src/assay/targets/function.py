"""Predict functions that the user names, ``package.module:function``: models that only answer."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_file, digest_json
from assay.base.errors import AssayError, DataError, UsageError
from assay.catalogue.loading import LIBRARIES
from assay.data.images import Shape
from assay.targets.loading.blackbox import are_probabilities, probes, reason
from assay.targets.target import Modality, Target

REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How a function is named."""

Predict = Callable[[NDArray[np.float32]], Any]
"""A batch, images float32 (n, c, h, w) in [0, 1] or raw vectors (n, features), to posteriors (n, classes)."""


def is_function(reference: str) -> bool:
    """Whether a reference names a function of a module that is there; nothing is imported."""
    if REFERENCE.fullmatch(reference) is None or reference.partition(":")[0] in LIBRARIES:
        return False
    return source_of(reference, Path()) is not None


def source_of(reference: str, folder: Path) -> Path | None:
    """The source file of a function's module, searched in a folder and on the path; None if there is none."""
    inside = Path(*reference.partition(":")[0].split("."))
    places = (place / inside for place in (folder, *map(Path, filter(None, sys.path))))
    files = (file for place in places for file in (place / "__init__.py", place.with_suffix(".py")))
    return next((file for file in files if file.is_file()), None)


def function_target(
    reference: str,
    folder: Path,
    *,
    shape: Shape,
    num_classes: int | None,
    modality: Modality,
    name: str | None = None,
    version: str | None = None,
    class_names: tuple[str, ...] = (),
) -> Target:
    """A target of a function, which is imported with ``folder`` first on the path, and asked once.

    ``version`` identifies the model; else the digest of the module's source file does, and a change of weights that
    the function loads goes unnoticed.

    Raises:
        UsageError: if there is no such function.
        DataError: if it fails, or what it returns is not one row of posteriors for each input.
    """
    function, source = _import(reference, folder)
    few = probes(shape)[:4] if modality == "image" else probes(shape)[:4].reshape(4, -1)
    answers = _answers(reference, function, few)
    if answers.ndim != 2 or len(answers) != len(few) or answers.shape[1] < 2:
        raise DataError(
            f"{reference} returned an array {answers.shape} for a batch {few.shape}; posteriors (n, classes) are "
            "needed: one row for each input, one column for each class."
        )
    if not are_probabilities(answers):
        raise DataError(f"{reference} returned {_description(answers)}: {_remedy(answers)}.")
    if num_classes not in (None, answers.shape[1]):
        raise DataError(f"{reference} tells {answers.shape[1]} classes apart, and the target file says {num_classes}.")
    digest = version or digest_json({"function": reference, "source": digest_file(source) if source else None})
    return Target.from_function(
        lambda batch: _answers(reference, function, batch),
        digest=digest,
        input_shape=shape,
        num_classes=answers.shape[1],
        name=name or reference,
        class_names=class_names,
        modality=modality,
        facts={"format": "function", "architecture": reference, "gradients": "none: a function only answers"},
    )


def _import(reference: str, folder: Path) -> tuple[Predict, Path | None]:
    module, _, name = reference.partition(":")
    sys.path.insert(0, str(folder.resolve()))
    try:
        imported = importlib.import_module(module)
        function = getattr(imported, name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"The function {reference} cannot be imported: {error}.") from error
    except Exception as error:  # somebody else's code
        raise UsageError(f"The module of {reference} failed: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(folder.resolve()))
    if not callable(function):
        raise UsageError(f"{reference} is a {type(function).__name__}, not a function.")
    named = getattr(imported, "__file__", None)
    source, wanted = Path(named) if named else None, source_of(reference, folder)
    if source and wanted and source.resolve() != wanted.resolve():
        raise UsageError(f"A module {module} was imported from {source} before {wanted}: give it another name.")
    return function, source


def _answers(reference: str, function: Predict, batch: NDArray[np.float32]) -> NDArray[np.float64]:
    try:
        found = function(batch)
        found = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else found
        return np.asarray(found, np.float64)
    except AssayError:
        raise
    except Exception as error:  # somebody else's code
        raise DataError(
            f"{reference} failed on a batch {batch.shape} of {batch.dtype}: {type(error).__name__}: {reason(error)}."
        ) from error


def _description(answers: NDArray[np.float64]) -> str:
    if not np.isfinite(answers).all():
        return "NaN or infinity"
    sums = answers.sum(axis=1)
    return (
        f"numbers from {answers.min():.4g} to {answers.max():.4g}, whose rows sum to {sums.min():.4g} to "
        f"{sums.max():.4g}, where posteriors are needed"
    )


def _remedy(answers: NDArray[np.float64]) -> str:
    if np.isfinite(answers).all() and (answers >= 0).all() and (answers <= 1).all():
        return "one score for each class on its own cannot be judged as a classifier with one label; normalise the rows"
    return "if these are logits, return their softmax"
