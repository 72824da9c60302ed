"""What other rooms tell of studies and claims."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def read_studies(workspace: Path) -> list[Any]:
    """The studies that a workspace holds."""
    found = _function("assay.studies.states", "read_studies")
    return found(workspace) if found else []


def load_claims() -> list[Any]:
    """The claims ledger."""
    found = _function("assay.analysis.claims", "load_claims")
    return found() if found else []


def _function(module: str, name: str) -> Callable[..., list[Any]] | None:
    try:
        return getattr(import_module(module), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError:
        return None
