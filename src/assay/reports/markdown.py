"""Markdown for other programs to show: nothing in it is taken for markup that was not meant so."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

SPECIAL = frozenset(r"\`*_[]|~")
"""What a backslash keeps from being markup."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines."""
    first, *others = [f"| {' | '.join(plain(cell) for cell in cells)} |" for cells in (head, *rows)]
    return [first, f"|{' --- |' * len(head)}", *others]


def plain(text: str) -> str:
    """A text on one line that shows as it is."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in SPECIAL else character for character in escaped)
