"""Options that are lists, taken as the choices of a grid."""

from __future__ import annotations

import types
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from assay.base.errors import UsageError

MOST = 100_000
"""Combinations that one grid may have."""


def combinations(kind: type[BaseModel], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the choices, the last option changing fastest.

    A list stands for several values; where the option itself takes a list (``epsilons``), a list of lists does. Options
    inside an option (a table) are choices in the same way.

    Raises:
        UsageError: if a list of choices is empty, or the combinations are more than `MOST`.
    """
    choices: dict[str, list[Any]] = {}
    size = 1
    for name, value in options.items():
        field = kind.model_fields.get(name)
        choices[name] = _choices(name, field.annotation if field else None, value)
        size *= len(choices[name])
    if size > MOST:
        raise UsageError(f"the grid of options has {size:,} combinations, and {MOST:,} are the most that one may have.")
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def _choices(name: str, annotation: Any, value: Any) -> list[Any]:
    inner = next((kind for kind in _kinds(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    if isinstance(value, Mapping) and inner is not None:
        return list(combinations(inner, value))
    if not isinstance(value, list):
        return [value]
    takes_lists = any(get_origin(kind) in (tuple, list) for kind in _kinds(annotation))
    several = all(isinstance(each, list) for each in value) if takes_lists else True
    if several and not value:
        raise UsageError(f"{name} has an empty list of choices.")
    return value if several else [value]


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, or the one type; without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    return [annotation]
