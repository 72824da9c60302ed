"""A network that reads rows of bytes: tokeniser, encoder and classifier in one module."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.text_rows import to_texts
from assay.targets.text.tokens import Tokeniser

GROUP = 32
"""Texts that are padded to one length in evaluation mode."""


class Encoder(nn.Module):
    """A module from `Tokens` to features (n, width)."""

    def table(self) -> torch.Tensor:
        """The vectors of all tokens, (tokens, d)."""
        raise NotImplementedError


class TextNetwork(nn.Module):
    """From rows of bytes (n, 1, 1, length) in [0, 1], as `assay.data.text_rows` makes them, to logits (n, classes).

    No gradient reaches the rows: an attack on texts must exchange words.
    """

    def __init__(self, tokeniser: Tokeniser, encoder: Encoder, width: int, num_classes: int) -> None:
        """The encoder's features are ``width`` wide."""
        super().__init__()
        self.tokeniser = tokeniser
        self.encoder = encoder
        self.head = nn.Linear(width, num_classes)

    def encode(self, rows: torch.Tensor) -> torch.Tensor:
        """Features float32 (n, width). In evaluation mode texts of like length are padded together."""
        texts, device = to_texts(rows), self.head.weight.device
        if self.training or len(texts) <= GROUP:
            features: torch.Tensor = self.encoder(self.tokeniser(texts, device))
            return features
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
        parts = [self.encoder(self.tokeniser([texts[place] for place in group], device)) for group in groups]
        return torch.cat(parts)[torch.tensor(order).argsort().to(device)]

    def word_vectors(self, words: list[str]) -> torch.Tensor:
        """Embeddings of words, (words, d): the mean of each word's token vectors, on the CPU.

        Tokens that stand for nothing in the text (the start, separators) are left out.
        """
        table = self.encoder.table().detach()
        around = set(self.tokeniser.numbers(""))
        listed = [[n for n in self.tokeniser.numbers(word) if n not in around] for word in words]
        return torch.stack([table[numbers or list(around)].mean(dim=0) for numbers in listed]).cpu()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (n, 1, 1, length) in [0, 1] to logits (n, classes)."""
        logits: torch.Tensor = self.head(self.encode(rows))
        return logits


def text_network(module: nn.Module) -> TextNetwork | None:
    """The network for texts that a module is, or is a preprocessing around; None where it is for images."""
    inner = getattr(module, "module", module)
    return inner if isinstance(inner, TextNetwork) else None


def pooled(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean (n, d) of states (n, t, d) over the tokens that are no padding."""
    weight = mask.to(states.dtype).unsqueeze(-1)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)
