"""Texts as rows of bytes: nothing is lost, and what cannot be kept is cut between characters."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access.store import image_keys
from assay.data.images import to_pixels
from assay.data.text_rows import to_rows, to_texts

LATIN = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(LATIN, max_size=12), min_size=1, max_size=4))
def test_rows_and_floats_round_back_to_the_text(texts: list[str]) -> None:
    rows = torch.from_numpy(to_rows(texts, 64))
    assert rows.shape == (len(texts), 1, 1, 64)
    assert to_texts(rows) == texts
    assert to_texts(to_pixels(rows)) == texts
    assert (image_keys(to_pixels(rows)) == image_keys(to_pixels(torch.from_numpy(to_rows(texts, 64))))).all()


@settings(max_examples=60, deadline=None)
@given(st.text(LATIN, max_size=30), st.integers(1, 40))
def test_a_long_text_is_cut_between_characters(text: str, length: int) -> None:
    (found,) = to_texts(torch.from_numpy(to_rows([text], length)))
    assert text.startswith(found)
    assert len(found.encode()) <= length
    if found != text:
        assert len(found.encode()) + len(text[len(found)].encode()) > length


def test_every_byte_survives_as_a_float() -> None:
    row = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 256)
    assert torch.equal((to_pixels(row) * 255.0).round().to(torch.uint8), row)


def test_what_a_row_cannot_hold_is_replaced() -> None:
    assert to_texts(torch.from_numpy(to_rows(["a\0b", "\ud800x"], 16))) == ["a\ufffdb", "\ufffd\ufffd\ufffdx"]
    broken = np.zeros((1, 1, 1, 4), np.uint8)
    broken[0, 0, 0, :2] = (0xFF, 0x61)
    assert to_texts(torch.from_numpy(broken)) == ["\ufffda"]
