"""Two small encoders that need no library: a bag of words and a convolutional network."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from assay.targets.text.network import Encoder, pooled
from assay.targets.text.tokens import PAD, Tokens


class Bag(Encoder):
    """The mean of the words' vectors (Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017)."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PAD)

    def table(self) -> torch.Tensor:
        """The word vectors, (places, width)."""
        return self.embedding.weight

    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Tokens to features (n, width)."""
        return pooled(self.embedding(tokens.ids), tokens.mask)


class Convolutional(Encoder):
    """Convolutions over 3, 4 and 5 words and the maximum over the text, half of it dropped out while training.

    Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014, section 2.
    """

    KERNELS = (3, 4, 5)

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PAD)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, kernel) for kernel in self.KERNELS)
        self.dropout = nn.Dropout(0.5)

    def table(self) -> torch.Tensor:
        """The word vectors, (places, width)."""
        return self.embedding.weight

    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Tokens to features (n, 3 width)."""
        mask = tokens.mask.unsqueeze(1)
        vectors = self.embedding(tokens.ids).transpose(1, 2) * mask
        around = [pad(vectors, ((kernel - 1) // 2, kernel // 2)) for kernel in self.KERNELS]
        found = [(torch.relu(layer(each)) * mask).amax(dim=2) for layer, each in zip(self.layers, around, strict=True)]
        dropped: torch.Tensor = self.dropout(torch.cat(found, dim=1))
        return dropped
