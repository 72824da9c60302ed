"""The questions, and the words for their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from assay.methods.metric import FAMILIES, Family, Level

AnswerLevel = Level | Literal["not assessed"]
"""A method's level, or ``not assessed`` where no method of the family finished."""

QUESTIONS: dict[Family, str] = {
    "stealing": "Can it be stolen?",
    "membership": "Does it leak who was in its training set?",
    "backdoor": "Does it carry a backdoor?",
    "evasion": "How easily is it fooled?",
    "siblings": "What does a published sibling give away?",
}

LEVELS: tuple[AnswerLevel, ...] = ("low", "elevated", "high", "undecided", "not assessed")

SYMBOLS: dict[AnswerLevel, str] = {
    "low": "○",
    "elevated": "▲",
    "high": "◆",
    "undecided": "?",
    "not assessed": "-",
}

MEANINGS: dict[AnswerLevel, str] = {
    "low": "The attacks that were run found little.",
    "elevated": "They found something that an owner should weigh.",
    "high": "They succeeded to a degree that matters.",
    "undecided": "The data cannot carry an answer; the method says why.",
    "not assessed": "No method of this kind finished.",
}

CLAUSES: dict[Family, dict[AnswerLevel, str]] = {
    "stealing": {"low": "is hard to steal", "elevated": "can partly be stolen", "high": "can be stolen"},
    "membership": {
        "low": "leaks little about who was in its training set",
        "elevated": "leaks something about who was in its training set",
        "high": "leaks who was in its training set",
    },
    "backdoor": {
        "low": "shows no sign of a backdoor",
        "elevated": "shows a possible sign of a backdoor",
        "high": "shows strong signs of a backdoor",
    },
    "evasion": {"low": "is hard to fool", "elevated": "can be fooled", "high": "is easily fooled"},
    "siblings": {
        "low": "is hardly easier to fool through its sibling",
        "elevated": "is easier to fool through its sibling",
        "high": "is far easier to fool through its sibling",
    },
}

WHETHER: dict[Family, str] = {
    "stealing": "whether it can be stolen",
    "membership": "whether it leaks who was in its training set",
    "backdoor": "whether it carries a backdoor",
    "evasion": "how easily it is fooled",
    "siblings": "what a published sibling gives away",
}


UNMEASURED: Mapping[Family, str] = {
    "backdoor": "No change to how it is served takes a backdoor away: train it again from data and weights that you "
    "trust, and audit it again.",
}
"""What would help against a bad answer that no change of the serving can turn."""

NO_CHANGE = "No change was measured against this."


def without_change(family: Family) -> str:
    """What to say beside a bad answer that no change was measured against."""
    return UNMEASURED.get(family, NO_CHANGE)


def summary(name: str, levels: Mapping[Family, AnswerLevel]) -> str:
    """All answers about one target in one sentence."""
    asked = [family for family in FAMILIES if family in levels]
    known = [CLAUSES[family][levels[family]] for family in asked if levels[family] in CLAUSES[family]]
    undecided = [WHETHER[family] for family in asked if levels[family] == "undecided"]
    unassessed = [WHETHER[family] for family in asked if levels[family] == "not assessed"]
    parts = [
        f"Under the attacks that were run, {name} {listed(known)}" if known else f"Nothing is settled about {name}"
    ]
    if undecided:
        parts.append(f"{listed(undecided)} {'is' if len(undecided) == 1 else 'are'} undecided")
    if unassessed:
        parts.append(f"{listed(unassessed)} {'was' if len(unassessed) == 1 else 'were'} not assessed")
    return "; ".join(parts) + "."


def listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
