"""Configurations written as one short text: ``name``, ``name=value``, ``name:option=value,option=value``."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from assay.base.errors import UsageError, nearest
from assay.base.registry import Registry

M = TypeVar("M", bound=BaseModel)


def parse_setting(registry: Registry[type[M]], text: str) -> M:
    """A configuration of a registry, parsed from text.

    ``kl=4`` sets the first option, ``fixmatch:mu=7,threshold=0.9`` any options by name.

    The first option is the first that the configuration's own class declares, before those of its bases.

    Raises:
        UsageError: if the name or an option is unknown, or a value does not fit.
    """
    head, colon, rest = text.partition(":")
    name, _, value = head.partition("=")
    what, kind = f"The {registry.kind} {name!r}", registry.get(name)
    options = _options(kind)
    if value and not options:
        raise UsageError(f"{what} takes no value.")
    given = {options[0]: value} if value else {}
    for pair in re.split(r",(?=\w+=)", rest) if colon else []:
        option, equals, value = pair.partition("=")
        if not equals or option in given:
            raise UsageError(f"{text!r} is not of the form {name}:option=value,option=value, each given once.")
        if option not in options:
            raise UsageError(f"{what} has no option {option!r}: {nearest(option, options)}")
        given[option] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"The {registry.kind} {text!r} is not valid: {wrong['loc'][0]}: {wrong['msg']}.") from None


def _options(kind: type[BaseModel]) -> list[str]:
    declared = (name for base in kind.__mro__ for name in vars(base).get("__annotations__", {}))
    return [name for name in dict.fromkeys(declared) if name in kind.model_fields]
