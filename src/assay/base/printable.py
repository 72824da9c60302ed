"""Text from files, made safe to print on a terminal."""

from __future__ import annotations

import unicodedata

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of what follows: text after them can be made to read as something else."""


def printable(text: str) -> str:
    """The text with control characters, lone surrogates and changes of direction replaced by U+FFFD.

    Line feeds and tabs stay. A terminal obeys escape sequences, and names in model files can hold them.
    """
    return "".join(
        "\ufffd" if (unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t") or each in _TURNING else each
        for each in text
    )
