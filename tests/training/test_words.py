"""Words dropped and swapped: nothing new comes in, the share is kept, and the seed decides."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from assay.data.images import to_pixels
from assay.data.text_rows import to_rows, to_texts
from assay.training.words import STRONG, WEAK, altered

TEXT = "one two three four five six seven eight nine ten"


def rows(texts: list[str]) -> torch.Tensor:
    return to_pixels(torch.from_numpy(to_rows(texts, 80)))


@pytest.mark.parametrize("share", [WEAK, STRONG, 1.0])
def test_words_are_dropped_at_their_share_and_none_is_made(share: float) -> None:
    torch.manual_seed(0)
    found = to_texts(altered(rows([TEXT] * 300), share))
    for text in found:
        assert not Counter(text.split()) - Counter(TEXT.split())
        assert text.split()
    dropped = 1 - sum(len(text.split()) for text in found) / 3000
    assert dropped == pytest.approx(0.9 * share, abs=0.03)  # one word stays whatever is drawn
    in_order = [text.split() == sorted(text.split(), key=TEXT.split().index) for text in found]
    assert all(in_order) == (share == 1.0)


def test_short_texts_stay_and_the_seed_decides() -> None:
    assert to_texts(altered(rows(["", "word"]), STRONG)) == ["", "word"]
    outcomes = []
    for _ in range(2):
        torch.manual_seed(7)
        outcomes.append(altered(rows([TEXT] * 4), STRONG))
    assert torch.equal(*outcomes)
    assert not torch.equal(outcomes[0], altered(rows([TEXT] * 4), STRONG))


def test_nothing_is_altered_at_no_share() -> None:
    assert to_texts(altered(rows([TEXT]), 0.0)) == [TEXT]
