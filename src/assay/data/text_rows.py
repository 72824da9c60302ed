"""A text as a row of its UTF-8 bytes: an image of one channel, one line high, a byte wide for each byte."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from assay.data.images import ArrayImages

MAX_BYTES = 512
"""Bytes of a text that are kept unless told otherwise."""


def to_rows(texts: Sequence[str], length: int = MAX_BYTES) -> NDArray[np.uint8]:
    """UTF-8 bytes, uint8 (n, 1, 1, length), zeros at the end. A longer text is cut, never inside a character.

    NUL characters and lone surrogates, which a row cannot hold, become U+FFFD.
    """
    rows = np.zeros((len(texts), 1, 1, length), np.uint8)
    for row, text in zip(rows, texts, strict=True):
        whole = text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        kept = whole.encode()[:length].decode("utf-8", "ignore").encode()
        row[0, 0, : len(kept)] = np.frombuffer(kept, np.uint8)
    return rows


def to_texts(rows: torch.Tensor) -> list[str]:
    """The texts of rows (n, 1, 1, length), uint8, or float32 in [0, 1] (bytes divided by 255, rounded back).

    Bytes that are no UTF-8, which no text makes but an attack might, are read as U+FFFD.
    """
    whole = rows if rows.dtype == torch.uint8 else (rows.detach() * 255.0).round().to(torch.uint8)
    flat = whole.reshape(len(whole), -1).cpu().numpy()
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in flat]


class Texts(ArrayImages):
    """Texts as rows of bytes, uint8 (n, 1, 1, length); see `to_rows`."""

    def __init__(self, texts: Sequence[str], labels: NDArray[np.int64], name: str, length: int = MAX_BYTES) -> None:
        """Keep texts with their labels int64 (n,).

        Raises:
            DataError: if there are no texts, or labels do not fit them.
        """
        super().__init__(to_rows(texts, length), labels, name)
        self.texts = tuple(texts)

    def of_length(self, length: int) -> Texts:
        """The same texts in rows of another length."""
        return self if length == self.shape[2] else Texts(self.texts, self.labels, self.name, length)
