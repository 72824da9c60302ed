"""Slow, obviously right references for the catalogue."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from assay.catalogue.codebook import CODEBOOK
from assay.catalogue.entry import Entry
from assay.catalogue.record import Record


def groups(entries: list[Entry]) -> set[frozenset[str]]:
    """Ids of entries that are one model: the closure of "they share a name, an address or a digest"."""
    together = [{entry.id} for entry in entries]
    changed = True
    while changed:
        changed = False
        for one, other in combinations(range(len(together)), 2):
            if any(
                same(a, b)
                for a in entries
                for b in entries
                if a.id in together[one] and b.id in together[other] and together[one] != together[other]
            ):
                union = together[one] | together[other]
                together = [union if group & union else group for group in together]
                changed = True
                break
    return {frozenset(group) for group in together}


def same(one: Entry, other: Entry) -> bool:
    """Whether two entries say themselves that they are one model."""
    names = {one.id, *one.same_as} & {other.id, *other.same_as}
    addresses = {one.weights_url, *one.mirrors} & {other.weights_url, *other.mirrors} - {None}
    return bool(names or addresses or (one.weights_digest and one.weights_digest == other.weights_digest))


def holds(record: Record, condition: tuple[Any, ...]) -> bool:
    """Whether a record satisfies a condition given as a tree, unknown comparisons being false."""
    operator, *rest = condition
    if operator == "and":
        return all(holds(record, part) for part in rest)
    if operator == "or":
        return any(holds(record, part) for part in rest)
    if operator == "not":
        return not holds(record, rest[0])
    field, value = rest[0], getattr(record.facts, rest[0])
    if operator == "known":
        return value is not None
    if value is None:
        return False
    wanted = rest[1]
    if CODEBOOK[field].kind == "texts":
        return wanted in value if operator == "=" else wanted not in value
    comparisons = {
        "=": value == wanted,
        "!=": value != wanted,
        "<": CODEBOOK[field].kind == "number" and value < wanted,
        ">=": CODEBOOK[field].kind == "number" and value >= wanted,
        "~": str(wanted).lower() in str(value).lower(),
    }
    return comparisons[operator]


def text(condition: tuple[Any, ...]) -> str:
    """A condition as a query."""
    operator, *rest = condition
    if operator in ("and", "or"):
        return "(" + f" {operator} ".join(map(text, rest)) + ")"
    if operator == "not":
        return f"not ({text(rest[0])})"
    if operator == "known":
        return f"{rest[0]} is known"
    value = rest[1]
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return f"{rest[0]} {operator} {shown}"


def cohen(one: list[str], other: list[str]) -> float:
    """Cohen's kappa of two lists, from its definition."""
    n = len(one)
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    expected = sum((one.count(value) / n) * (other.count(value) / n) for value in {*one, *other})
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)
