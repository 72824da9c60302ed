"""The gate's policy: rules in a TOML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.base.reading import parse_toml, read_text
from assay.methods.index import find_method
from assay.methods.metric import Family

_HEAD = re.compile(r"\s*\[\[\s*rule\s*\]\]")

Finite = Annotated[float, Field(allow_inf_nan=False)]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]

RELATIVE: tuple[str, ...] = ("max_increase", "max_decrease")
WORDS: dict[str, str] = {
    "min": "at least",
    "max": "at most",
    "max_increase": "rises by at most",
    "max_decrease": "falls by at most",
}
"""Every bound that a rule may set, in words."""


class Rule(Frozen):
    """What one number, or one question's answer, must keep to.

    A number is named by ``method`` and ``metric``. ``max`` demands that its interval lies at or below a bound, ``min``
    at or above. ``max_increase`` and ``max_decrease`` tolerate a difference from the baseline, in the metric's unit.
    A ``question`` is a family; ``worst`` is the worst level that its answer may have. ``optional`` lets a rule pass
    over a target to which it does not apply. ``reason`` is for people.
    """

    method: str | None = None
    metric: str | None = None
    min: Finite | None = None
    max: Finite | None = None
    max_increase: Tolerance | None = None
    max_decrease: Tolerance | None = None
    question: Family | None = None
    worst: Literal["low", "undecided", "elevated"] | None = None
    optional: bool = False
    reason: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        bounds = [name for name in WORDS if getattr(self, name) is not None]
        if (self.question is None) == (self.method is None):
            raise ValueError("name a method and its metric, or a question")
        if self.question is not None:
            if self.metric is not None or bounds:
                raise ValueError("a question has a worst level, and no metric or bound")
            if self.worst is None:
                raise ValueError("say the worst level that the answer may have: worst")
            return self
        if self.worst is not None:
            raise ValueError("a worst level belongs to a question, not to a metric")
        if self.metric is None:
            raise ValueError("say which metric of the method")
        if not bounds:
            raise ValueError(f"a rule needs a bound: {', '.join(WORDS)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max: nothing could pass")
        return self

    @property
    def relative(self) -> int:
        """How many comparisons with a baseline the rule asks for."""
        return sum(getattr(self, name) is not None for name in RELATIVE)

    @property
    def subject(self) -> str:
        """``evasion.fgsm success_at_0.1``, or ``question: backdoor``."""
        return f"question: {self.question}" if self.question else f"{self.method} {self.metric}"

    @property
    def demand(self) -> str:
        """The bounds in a few words."""
        if self.question:
            return f"at worst {self.worst}"
        given = {name: getattr(self, name) for name in WORDS if getattr(self, name) is not None}
        return ", ".join(f"{WORDS[name]} {bound:g}" for name, bound in given.items())


class _File(Frozen):
    """What a policy file may say."""

    rule: Annotated[list[Rule], Field(min_length=1)]


class Policy(NamedTuple):
    """A gate's rules, at least one, and the line of the file at ``path`` where each begins."""

    path: Path
    rules: tuple[Rule, ...]
    lines: tuple[int, ...]


def read_policy(path: Path) -> Policy:
    """A policy file, checked.

    Raises:
        LoadError: if it cannot be read or is not TOML.
        UsageError: if a key, a method or a level does not exist (the message names the nearest), or a rule is not
            whole.
    """
    text = read_text(path, "The policy")
    table = parse_toml(text, f"The policy {path}")
    try:
        rules = _File.model_validate(table).rule
    except ValidationError as error:
        raise UsageError(f"The policy {path.name} is wrong: {_sentence(error)}") from None
    for number, rule in enumerate(rules, start=1):
        if rule.method is None:
            continue
        try:
            find_method(rule.method)
        except UsageError as error:
            told = str(error)
            raise UsageError(f"The policy {path.name} is wrong: rule {number}: {told[0].lower()}{told[1:]}") from None
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if _HEAD.match(line)]
    return Policy(path, tuple(rules), tuple(lines) if len(lines) == len(rules) else (1,) * len(rules))


def _sentence(error: ValidationError) -> str:
    """The first complaint as one sentence; a key that does not exist is what most likely explains the others."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    where = first["loc"]
    rule = f"rule {where[1] + 1}: " if len(where) > 1 and isinstance(where[1], int) else ""
    if first["type"] == "extra_forbidden":
        known = (Rule if rule else _File).model_fields
        return f"{rule}there is no key {where[-1]!r}; {nearest(str(where[-1]), known)}"
    if first["type"] == "literal_error":
        expected = str(first["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"{rule}{where[-1]}: {first['input']!r} is unknown; {nearest(str(first['input']), expected)}"
    if first["type"] == "missing":
        return "there is no rule; begin each with [[rule]]."
    message = str(first["msg"]).removeprefix("Value error, ")
    key = f"{where[-1]}: " if where and isinstance(where[-1], str) else ""
    return f"{rule}{key}{message}."
