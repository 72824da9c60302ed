"""Texts altered at random for training: the counterpart of shifting and mirroring images."""

from __future__ import annotations

import numpy as np
import torch

from assay.data.text_rows import to_rows, to_texts

WEAK = 0.1
"""The share of words that a weak alteration drops, and of pairs that it swaps; EDA's alpha."""

STRONG = 0.3


def altered(rows: torch.Tensor, share: float) -> torch.Tensor:
    """Rows of bytes (n, 1, 1, length) in [0, 1], words dropped and swapped in each, by the global generator.

    Of a text of w words each is dropped with probability ``share`` (one at least is kept), and of those that stay
    share x w pairs, rounded, change places. Random deletion and random swap of Wei and Zou, EDA: Easy Data
    Augmentation Techniques (EMNLP-IJCNLP 2019), section 2.
    """
    random = np.random.default_rng(int(torch.randint(1 << 62, (1,))))
    texts = [_altered(text.split(), share, random) for text in to_texts(rows)]
    return torch.from_numpy(to_rows(texts, rows.shape[-1])).to(rows.device, torch.float32).div_(255.0)


def _altered(words: list[str], share: float, random: np.random.Generator) -> str:
    if len(words) < 2:
        return " ".join(words)
    stay = random.random(len(words)) >= share
    stay[random.integers(len(words))] = True
    kept = [word for word, stays in zip(words, stay.tolist(), strict=True) if stays]
    for _ in range(round(share * len(kept))):
        one, other = random.integers(len(kept), size=2).tolist()
        kept[one], kept[other] = kept[other], kept[one]
    return " ".join(kept)
