"""Dictionaries of byte arrays from old pickles, read without executing anything from the pickle."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.base.errors import LoadError, UnsafeFileError
from assay.base.fence import try_first
from assay.base.reading import check_plain


def read_pickled_arrays(path: Path) -> dict[str, Any]:
    """A pickled dictionary of numbers, texts, lists and uint8 arrays.

    The names of NumPy's own array constructors are replaced by stand-ins that only record their arguments; the
    array is built from the recorded shape and bytes. Any other name in the file is refused, so nothing is executed.

    Raises:
        UnsafeFileError: if the pickle names anything else than a NumPy array.
        LoadError: if it is damaged, or is not such a dictionary.
    """
    check_plain(path)
    try_first(partial(_read, path), path)
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = _Reader(file, path).load()
    except (UnsafeFileError, LoadError):
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise LoadError(f"{path} is damaged: {error or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise LoadError(f"{path} holds a {type(content).__name__}; a dictionary was expected.")
    return {
        _text(key): value.array(path) if isinstance(value, _NotedArray) else value for key, value in content.items()
    }


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return lambda *_: _NotedArray()
        if module == "numpy" and name == "dtype":
            return lambda kind, *_: _NotedType(kind)
        if module == "numpy" and name == "ndarray":
            return "ndarray"
        if (module, name) == ("_codecs", "encode"):
            return lambda text, _: text.encode("latin1")
        raise UnsafeFileError(f"{self.path} asks for {module}.{name} when it is read, which could run code; refused.")


class _NotedType:
    """Where a pickle says ``numpy.dtype``."""

    def __init__(self, kind: Any) -> None:
        self.kind = _text(kind)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing to bytes."""


class _NotedArray:
    """Where a pickle says ``numpy.ndarray``; its state is (version, shape, type, Fortran order, bytes)."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self, path: Path) -> NDArray[np.uint8]:
        try:
            _, shape, kind, fortran, content = self.state
            if kind.kind != "u1":
                raise LoadError(f"{path} holds an array of type {kind.kind}; unsigned bytes were expected.")
            raw = content.encode("latin1") if isinstance(content, str) else content
            return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
        except (AttributeError, TypeError, ValueError) as error:
            raise LoadError(f"{path} holds a damaged array: {error}") from error


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
