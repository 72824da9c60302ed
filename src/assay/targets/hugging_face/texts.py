"""Text classifiers of transformers, over rows of bytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from assay.base.errors import LoadError
from assay.targets.hugging_face.folder import TOKENIZER, Folder
from assay.targets.hugging_face.library import load_classifier
from assay.targets.text.network import Encoder, TextNetwork
from assay.targets.text.tokens import FileTokens, Tokens

LONGEST = 512
"""Tokens of a text that are read at most; a network that can take fewer reads fewer."""


class ClassifierEncoder(Encoder):
    """A sequence classifier up to its last layer: what that layer is applied to."""

    def __init__(self, network: nn.Module) -> None:
        """``network`` is a classifier of transformers whose last layer was replaced by the identity."""
        super().__init__()
        self.network = network

    def table(self) -> torch.Tensor:
        """The vectors of all tokens, (tokens, d)."""
        found: nn.Embedding = self.network.get_input_embeddings()  # type: ignore[operator]
        return found.weight

    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Tokens to features (n, width)."""
        features: torch.Tensor = self.network(input_ids=tokens.ids, attention_mask=tokens.mask.long()).logits
        return features


def text_classifier(folder: Folder) -> TextNetwork:
    """A folder's network, from rows of bytes to logits.

    Raises:
        LoadError: if files do not fit, or there is no ``tokenizer.json``.
    """
    if not (folder.path / TOKENIZER).is_file():
        convert = "from transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')"
        raise LoadError(f'{folder.path} has no {TOKENIZER}: in that folder run `python -c "{convert}"`.')
    network = load_classifier(folder)
    head = _detach_head(network, folder)
    config: Any = network.config
    tokeniser = FileTokens(folder.path / TOKENIZER, _longest(folder), int(config.pad_token_id or 0))
    whole = TextNetwork(tokeniser, ClassifierEncoder(network), head.in_features, head.out_features)
    whole.head = head
    return whole.eval()


def _detach_head(network: nn.Module, folder: Folder) -> nn.Linear:
    """The last layer; the identity takes its place in the network."""
    classes = int(network.config.num_labels)  # type: ignore[union-attr, arg-type]
    heads = [
        name for name, part in network.named_modules() if isinstance(part, nn.Linear) and part.out_features == classes
    ]
    if not heads:
        raise LoadError(f"{folder.path}: {folder.architecture} has no linear layer with {classes} outputs.")
    parent, _, name = heads[-1].rpartition(".")
    owner = network.get_submodule(parent)
    head = getattr(owner, name)
    setattr(owner, name, nn.Identity())
    assert isinstance(head, nn.Linear), "it was chosen as one"
    return head


def _longest(folder: Folder) -> int:
    """The most tokens that the network and its tokeniser take, at most `LONGEST`."""
    limits = [LONGEST]
    positions = folder.config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its relatives number positions from behind the padding token.
        offset = int(folder.config.get("pad_token_id") or 0) + 1 if "roberta" in folder.config["model_type"] else 0
        limits.append(positions - offset)
    stated = folder.setting("tokenizer_config.json").get("model_max_length")
    if isinstance(stated, int) and 0 < stated < 1_000_000:
        limits.append(stated)
    return min(limits)
