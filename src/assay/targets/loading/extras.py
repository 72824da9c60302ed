"""Optional libraries, installed by the extras of the package."""

from __future__ import annotations

import importlib
from types import ModuleType

from assay.base.errors import UsageError


def require(module: str, extra: str, what: str) -> ModuleType:
    """An optional library, imported.

    Raises:
        UsageError: if it is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{what} need the library {module.partition('.')[0]}: pip install 'modelassay[{extra}]'."
        ) from error
