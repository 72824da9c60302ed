"""From a preset, names and options to methods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from assay.base.errors import UsageError, nearest
from assay.methods.method import METHODS, Method, Preset
from assay.methods.metric import FAMILIES
from assay.targets.target import Target

Options = Mapping[str, Mapping[str, Any]]
"""Method name to option name to value (or its text)."""


def parse_settings(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options from texts ``method.option=value``; values are JSON where they can be, else text.

    Raises:
        UsageError: if a text has another form or names an unknown method.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in settings:
        path, equals, value = text.partition("=")
        name, dot, option = path.rpartition(".")
        if not (equals and dot and name):
            raise UsageError(f"{text!r} is not of the form method.option=value, such as evasion.fgsm.max_images=50.")
        METHODS.get(name)
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        options.setdefault(name, {})[option] = parsed
    return options


def make_method(name: str, preset: Preset | None = None, options: Mapping[str, Any] | None = None) -> Method:
    """A method with a preset's options and then the caller's.

    Raises:
        UsageError: if the method or an option is unknown, or a value does not fit; all that is wrong is named.
    """
    kind = METHODS.get(name)
    merged = {**(kind.presets.get(preset, {}) if preset else {}), **(options or {})}
    unknown = [option for option in merged if option not in kind.model_fields]
    if unknown:
        raise UsageError(f"{name} has no option {unknown[0]!r}: {nearest(unknown[0], kind.model_fields)}")
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{name} cannot be run with these options: {wrong}.") from None


def without_covered(methods: Sequence[Method], target: Target) -> list[Method]:
    """The methods without those whose work another of them does on this target; see `Method.covered_by`."""
    doing = {method.name for method in methods if method.needs != "white-box" or target.module is not None}
    return [method for method in methods if method.covered_by not in doing]


def plan_methods(preset: Preset | None, names: Sequence[str] = (), options: Options | None = None) -> list[Method]:
    """The methods of a preset, or the named ones with that preset's options, in the order of the four questions.

    Without a preset the named methods have their own defaults.

    Raises:
        UsageError: if a name or option is unknown, or options are given for a method that does not take part.
    """
    options = options or {}
    chosen = list(names) or [name for name, kind in METHODS.items() if preset in kind.presets]
    idle = sorted(set(options) - set(chosen))
    if idle:
        raise UsageError(f"Options were given for {idle[0]}, which does not take part: name it too, or leave them out.")
    methods = [make_method(name, preset, options.get(name)) for name in dict.fromkeys(chosen)]
    return sorted(methods, key=lambda m: (FAMILIES.index(m.family), m.name))
