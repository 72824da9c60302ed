"""Encoders of the library transformers, built from a configuration, never downloaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from assay.base.errors import LoadError
from assay.base.vision import import_torchvision
from assay.targets.loading.extras import require
from assay.targets.text.network import Encoder, pooled
from assay.targets.text.tokens import PAD, Tokens

FAMILIES = ("bert", "roberta", "distilbert", "xlnet")
"""The families that are built; others would need code of their own."""


def library() -> Any:
    """Import transformers. Nothing here asks it for anything from a hub.

    Raises:
        UsageError: if it is not installed.
    """
    import_torchvision()  # transformers imports it, and fails where it cannot be imported plainly
    return require("transformers", "text", "Text networks of the transformer families")


class Transformer(Encoder):
    """The mean of a transformer's last states over the tokens of a text."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def table(self) -> torch.Tensor:
        """The token embeddings, (tokens, d)."""
        found: nn.Embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        return found.weight

    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Tokens to features (n, width)."""
        states = self.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        return pooled(states, tokens.mask)


def from_options(family: str, size: int, *, width: int, layers: int, heads: int, tokens: int) -> Transformer:
    """A transformer of a family with random weights, for ``size`` different tokens and texts of ``tokens`` tokens.

    Raises:
        UsageError: if transformers is not installed.
    """
    ends = {"pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None}
    common: dict[str, Any] = {"vocab_size": size, **ends}
    if family == "distilbert":
        common |= {"dim": width, "n_layers": layers, "n_heads": heads, "hidden_dim": 4 * width}
        common["max_position_embeddings"] = tokens
    elif family == "xlnet":
        common |= {"d_model": width, "n_layer": layers, "n_head": heads, "d_inner": 4 * width}
    else:
        common |= {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
        common |= {"intermediate_size": 4 * width, "max_position_embeddings": tokens + PAD + 1, "type_vocab_size": 1}
    return from_config(family, common)


def from_config(family: str, config: dict[str, Any]) -> Transformer:
    """A transformer with random weights, as a configuration of its family describes it.

    Raises:
        UsageError: if transformers is not installed.
        LoadError: if the family is another than `FAMILIES`, or the configuration does not make a network.
    """
    if family not in FAMILIES:
        raise LoadError(f"Networks of the family {family!r} are not built; {', '.join(FAMILIES)} are.")
    transformers = library()
    without_pooler = {"add_pooling_layer": False} if family in ("bert", "roberta") else {}
    prefix = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert", "xlnet": "XLNet"}[family]
    try:
        described = getattr(transformers, f"{prefix}Config")(**config)
        return Transformer(getattr(transformers, f"{prefix}Model")(described, **without_pooler))
    except (TypeError, ValueError, RuntimeError) as error:
        raise LoadError(f"The configuration of the {family} network is not valid: {error}") from error
