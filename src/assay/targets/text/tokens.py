"""Tokenisers that need neither a hub nor fitting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import torch

from assay.base.errors import LoadError
from assay.targets.loading.extras import require

PAD, START, FIRST = 0, 1, 2
"""Tokens of our own tokenisers: padding, the start of a text, and the first that stands for something."""

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return _WORD.findall(text.lower())


class Tokens(NamedTuple):
    """``ids`` int64 (n, t), and ``mask`` bool (n, t), False for padding."""

    ids: torch.Tensor
    mask: torch.Tensor


class Tokeniser:
    """Turns texts into tokens, at most ``longest`` each; ``size`` is the number of different tokens."""

    size: int
    pad: int = PAD

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def numbers(self, text: str) -> list[int]:
        """The tokens of one text, at least one, at most `longest`."""
        raise NotImplementedError

    def __call__(self, texts: Sequence[str], device: torch.device) -> Tokens:
        """Tokens of n texts, padded at the end to the longest of them."""
        listed = [self.numbers(text) for text in texts]
        width = max(map(len, listed))
        ids = torch.tensor([row + [self.pad] * (width - len(row)) for row in listed], dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in listed])
        return Tokens(ids.to(device), (torch.arange(width) < lengths[:, None]).to(device))


class HashedWords(Tokeniser):
    """Words, each at the place that its CRC-32 gives it among so many ("hashing trick", Weinberger et al., 2009)."""

    def __init__(self, longest: int, places: int) -> None:
        super().__init__(longest)
        self.places, self.size = places, places + FIRST

    def numbers(self, text: str) -> list[int]:
        """The start token, then one token for each word, at most `longest`."""
        return [START, *(FIRST + _place(word, self.places) for word in words(text)[: self.longest - 1])]


@lru_cache(maxsize=200_000)
def _place(word: str, places: int) -> int:
    return crc32(word.encode("utf-8", "replace")) % places


class Bytes(Tokeniser):
    """One token for every byte."""

    size = 256 + FIRST

    def numbers(self, text: str) -> list[int]:
        """The start token, then one token for each byte of UTF-8, at most `longest`."""
        return [START, *(FIRST + byte for byte in text.encode("utf-8", "replace")[: self.longest - 1])]


class FileTokens(Tokeniser):
    """The tokeniser that a ``tokenizer.json`` describes; the file is data, and no code of it is run.

    Raises:
        LoadError: if the file is missing or damaged.
        UsageError: if the library tokenizers is not installed.
    """

    def __init__(self, file: Path, longest: int, pad: int) -> None:
        super().__init__(longest)
        self.pad = pad
        library: Any = require("tokenizers", "text", "Text networks with a vocabulary of their own")
        try:
            self._tokenizer = library.Tokenizer.from_str(file.read_text("utf-8"))
        except Exception as error:  # the library raises plain exceptions for whatever is wrong with a file
            raise LoadError(f"The tokeniser {file} cannot be read: {error}.") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self.size = self._tokenizer.get_vocab_size()

    def numbers(self, text: str) -> list[int]:
        """The tokens that the file's rules give, or one padding token for an empty text."""
        found: list[int] = self._tokenizer.encode(text).ids
        return found or [self.pad]
