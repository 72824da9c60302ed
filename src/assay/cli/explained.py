"""What to say of an error, and the exit code that goes with it."""

from __future__ import annotations

import errno

from cyclopts import CycloptsError

from assay.base.errors import AssayError, UsageError

MODELS = frozenset(
    {
        "PIL",
        "altair",
        "duckdb",
        "fsspec",
        "httpx",
        "huggingface_hub",
        "multipart",
        "pandas",
        "prometheus_client",
        "python_multipart",
        "safetensors",
        "sklearn",
        "starlette",
        "timm",
        "torch",
        "torchvision",
        "uvicorn",
        "vl_convert",
    }
)
"""What the extra ``models`` brings, by the names that are imported."""

_OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of the system that are about a name that the user gave."""


def explained(error: Exception) -> tuple[str, int]:
    """A sentence on an error, and the exit code."""
    if isinstance(error, CycloptsError):
        return str(error), UsageError.exit_code
    if isinstance(error, AssayError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None and error.errno in _OF_NAMES:
        return f"{error.filename} cannot be used: {error.strerror}.", AssayError.exit_code
    if isinstance(error, ModuleNotFoundError) and (missing := (error.name or "").partition(".")[0]) in MODELS:
        return f"This command needs the library {missing}: pip install 'modelassay[models]'.", AssayError.exit_code
    return _unforeseen(error), AssayError.exit_code


def _unforeseen(error: Exception) -> str:
    """A sentence on an error that nothing caught; the traceback goes into a file that it names."""
    import tempfile
    import traceback

    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": .")
    sentence = f"This should not have happened ({said})."
    try:
        with tempfile.NamedTemporaryFile("w", prefix="assay-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{sentence} What was measured before is kept."
    return f"{sentence} What was measured before is kept; what led to it is in {file.name}, for a report of the fault."
