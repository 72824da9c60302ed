"""Registries of items added by a decorator, in this package or in a third party's."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from assay.base.errors import UsageError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Items of one kind by name.

    The modules below ``package`` are imported when the registry is first read, then the entry points of the group
    ``assay.<kind>s``. An entry point that fails to load is skipped with a warning.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._items: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str) -> Callable[[T], T]:
        """Decorator that registers an item under a name.

        Raises:
            ValueError: if the name is taken.
        """

        def register(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} {name!r} is registered already")
            self._items[name] = item
            return item

        return register

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        root = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(root.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        for point in entry_points(group=f"assay.{self.kind}s"):
            try:
                point.load()
            except Exception as error:  # third-party code may raise anything; the rest must work without it
                warnings.warn(f"the {self.kind} plug-in {point.name!r} failed to load: {error}", stacklevel=2)

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._items)

    def items(self) -> Iterator[tuple[str, T]]:
        """Names and items, sorted by name."""
        for name in self.names():
            yield name, self._items[name]

    def get(self, name: str) -> T:
        """The item of that name.

        Raises:
            UsageError: if there is none; the message names the nearest.
        """
        self._load()
        try:
            return self._items[name]
        except KeyError:
            raise UsageError(f"There is no {self.kind} {name!r}: {nearest(name, self._items)}") from None
