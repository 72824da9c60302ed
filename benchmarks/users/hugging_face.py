"""Small classifiers of transformers with random weights, saved as their owners save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from assay.targets.text.transformer import library

NAMES = ("cat", "dog", "frog", "ship")
LABELS: dict[str, Any] = {"id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "the", "a", "was", "##s"]


def _vit(t: Any) -> tuple[Any, Any]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = t.ViTConfig(**sizes, image_size=32, patch_size=8, **LABELS)
    return t.ViTForImageClassification(config), t.ViTImageProcessor(size={"height": 32, "width": 32})


def _resnet(t: Any) -> tuple[Any, Any]:
    config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **LABELS)
    processor = t.ConvNextImageProcessor(size={"shortest_edge": 32}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2] * 3)
    return t.ResNetForImageClassification(config), processor


def _convnext(t: Any) -> tuple[Any, Any]:
    config = t.ConvNextConfig(hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], **LABELS)
    return t.ConvNextForImageClassification(config), t.ConvNextImageProcessor(size={"shortest_edge": 32})


def _mobilenet(t: Any) -> tuple[Any, Any]:
    config = t.MobileNetV2Config(depth_multiplier=0.25, image_size=32, **LABELS)
    crop = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    return t.MobileNetV2ForImageClassification(config), t.MobileNetV2ImageProcessor(**crop)


def _mobilevit(t: Any) -> tuple[Any, Any]:
    sizes = {"hidden_sizes": [16, 16, 16], "neck_hidden_sizes": [8, 8, 8, 8, 16, 16, 16], "num_attention_heads": 2}
    config = t.MobileViTConfig(**sizes, image_size=32, **LABELS)
    crop = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    return t.MobileViTForImageClassification(config), t.MobileViTImageProcessor(**crop)


IMAGES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "vit": _vit,
    "resnet": _resnet,
    "convnext": _convnext,
    "mobilenet": _mobilenet,
    "mobilevit": _mobilevit,
}


NOISE = {"mobilenet": 0.3, "mobilevit": 0.6}
"""How much is added to fresh weights, so that the logits of different images differ; 0.1 for all others."""


def save_image_model(name: str, folder: Path) -> Path:
    """A folder of ``save_pretrained``: network and processor."""
    torch.manual_seed(0)
    network, processor = IMAGES[name](library())
    with torch.no_grad():  # fresh weights are so small that every image gets the same logits
        for parameter in network.parameters():
            parameter.add_(NOISE.get(name, 0.1) * torch.randn_like(parameter))
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _bert(t: Any) -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return t.BertForSequenceClassification(t.BertConfig(vocab_size=len(WORDS), **sizes, **LABELS))


def _distilbert(t: Any) -> Any:
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    return t.DistilBertForSequenceClassification(t.DistilBertConfig(vocab_size=len(WORDS), **sizes, **LABELS))


def _roberta(t: Any) -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "max_position_embeddings": 20}
    return t.RobertaForSequenceClassification(t.RobertaConfig(vocab_size=len(WORDS), **sizes, **ends, **LABELS))


def _electra(t: Any) -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return t.ElectraForSequenceClassification(
        t.ElectraConfig(vocab_size=len(WORDS), embedding_size=8, **sizes, **LABELS)
    )


TEXTS: dict[str, Callable[[Any], Any]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "roberta": _roberta,
    "electra": _electra,
}


def save_text_model(name: str, folder: Path) -> Path:
    """A folder of ``save_pretrained``: network and tokeniser."""
    torch.manual_seed(0)
    transformers = library()
    TEXTS[name](transformers).eval().save_pretrained(folder)
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder
