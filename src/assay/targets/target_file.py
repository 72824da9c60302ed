"""Target files: TOML descriptions of a user's own model."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from assay.base.digests import digest_file, digest_json
from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.base.reading import read_toml
from assay.base.vision import prepare_torchvision
from assay.catalogue.weights import Format, Preprocessing
from assay.data.images import Shape
from assay.data.sources import Parts
from assay.data.text_rows import MAX_BYTES
from assay.targets.loading.keras_file import Rescale
from assay.targets.module import module_digest
from assay.targets.target import Modality

_LARGEST = 64 << 20
"""Numbers of one input: as many as the pixels of the largest image that is read."""


def _parts(data: Any) -> Any:
    """Accept a data set's name or path in place of a table that names it."""
    return {"dataset": data} if isinstance(data, str) else data


def _shape(sizes: Any) -> Any:
    """Accept the number of features alone: ``[30]``."""
    return [1, 1, *sizes] if isinstance(sizes, list) and len(sizes) == 1 else sizes


class TargetFile(Frozen):
    """The keys of a target file. Relative paths are relative to the file.

    ``weights`` is the path of a file, or of a folder that transformers' ``save_pretrained`` wrote, or
    ``hf:ORG/NAME@REVISION``; ``url`` is an address, and needs ``sha256``. The ``format`` is told from the file's first
    bytes if it is not given. State dictionaries (safetensors, torch) need an ``architecture`` of ``assay``, timm or
    torchvision, or a ``factory``: ``package.module:function``, a function of yours that returns the network. It is
    called with ``num_classes`` and ``input_shape`` (channels, height, width) if it has parameters of these names; no
    other code is imported. Without ``weights`` the factory loads its own. ``serving`` is how the model will be exposed.
    With ``modality = "text"`` the input is a row of ``max_bytes`` bytes (512 unless said otherwise), and the
    ``architecture`` one of ``text:``. ``input_shape = [30]``, or ``modality = "vector"``, says that the input is a
    vector of features, raw as in the table; the ``architecture`` is then ``vector:mlp``.
    ``function`` is a predict function of yours, ``package.module:predict``, from a batch to posteriors (n, classes), in
    place of weights; ``version`` is a word for its version (else its source file's digest tells versions apart).
    ``input_shape`` is the images' shape; ``preprocessing.size`` is what the network takes, and images of another size
    than the target's are then resized. ``replace_lambda`` says what each Lambda layer of a Keras file does.
    ``expected_accuracy`` is what the owner measured on unseen data, in [0, 1].
    """

    name: str | None = None
    weights: str | None = None
    url: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    format: Format | None = None
    architecture: str | None = None
    factory: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    num_classes: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    version: Annotated[str, Field(min_length=1)] | None = None
    input_shape: Annotated[Shape | None, BeforeValidator(_shape)] = None
    modality: Modality = "image"
    max_bytes: Annotated[int, Field(ge=1, le=65_536)] | None = None
    preprocessing: Preprocessing = Preprocessing()
    data: Annotated[Parts | None, BeforeValidator(_parts)] = None
    class_names: tuple[str, ...] = ()
    expected_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    serving: dict[str, Any] = Field(default={})
    replace_lambda: dict[str, Literal["identity"] | Rescale] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _features_alone(cls, table: Any) -> Any:
        """An input of one axis is a vector."""
        sizes = table.get("input_shape") if isinstance(table, dict) else None
        return {"modality": "vector", **table} if isinstance(sizes, list) and len(sizes) == 1 else table

    @model_validator(mode="after")
    def _consistent(self) -> TargetFile:
        sizes = self.input_shape or (1,)
        if min(sizes) < 1 or math.prod(sizes) > _LARGEST:
            raise ValueError(
                f"input_shape must hold sizes above 0, and at most {_LARGEST >> 20} million numbers in all"
            )
        if self.weights and self.url:
            raise ValueError("say weights or url, not both")
        if self.function and (self.weights or self.url or self.factory or self.architecture):
            raise ValueError("a function stands in place of weights, url, factory and architecture")
        if self.function and self.shape is None:
            raise ValueError("a function needs input_shape: channels, height and width, or [features]")
        if self.version and not self.function:
            raise ValueError("version belongs to a function; weights have their digest")
        if not (self.weights or self.url or self.factory or self.function):
            raise ValueError("say where the weights are: weights, url or factory; or name a function")
        if self.modality == "vector" and (
            self.preprocessing != Preprocessing() or (self.shape or (1, 1))[:2] != (1, 1)
        ):
            raise ValueError("a vector has input_shape = [features], and no preprocessing: put it into the network")
        if self.factory and not (self.weights or self.url) and (self.num_classes is None or self.shape is None):
            raise ValueError("a factory without weights needs num_classes and input_shape")
        if self.url and not self.sha256:
            raise ValueError("a url needs the sha256 of what it leads to")
        if self.architecture and self.factory:
            raise ValueError("say architecture or factory, not both")
        if self.modality != "text" and self.max_bytes is not None:
            raise ValueError('max_bytes belongs to texts: say modality = "text" as well')
        if self.modality == "text" and (self.input_shape is not None or self.preprocessing != Preprocessing()):
            raise ValueError("a text has max_bytes, and neither input_shape nor preprocessing")
        return self

    def check_architecture(self) -> None:
        """Check that a file of weights for texts comes with a network that reads texts.

        Raises:
            UsageError: if it does not.
        """
        if self.modality == "text" and not (self.factory or (self.architecture or "").startswith("text:")):
            raise UsageError(
                "The target file is wrong: a model for texts needs an architecture of text:, such as text:cnn, a "
                "factory, or a folder of save_pretrained as its weights."
            )

    @property
    def shape(self) -> Shape | None:
        """Channels, height and width of the input; None if the file does not say."""
        return self.input_shape if self.modality != "text" else (1, 1, self.max_bytes or MAX_BYTES)

    @property
    def network_shape(self) -> Shape | None:
        """`shape` after the resizing of the preprocessing: what the network inside takes."""
        size = self.preprocessing.size
        return self.shape if self.shape is None or size is None else (self.shape[0], *size)


def read_target_file(path: Path) -> TargetFile:
    """Read and check a target file.

    Raises:
        LoadError: if it cannot be read or is not TOML.
        UsageError: if a key is unknown (the message names the nearest) or a value is wrong.
    """
    table = read_toml(path, "The target file")
    try:
        return TargetFile.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"The target file {path.name} is wrong: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """The first validation error as one sentence."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"preprocessing": Preprocessing, "data": Parts}
        known = tables.get(where[0], TargetFile) if len(where) > 1 else TargetFile
        return f"there is no key {where[-1]!r}; {nearest(where[-1], known.model_fields)}"
    if where[:1] == ["input_shape"]:
        return "input_shape must be three whole numbers: channels, height and width; or one, of features."
    message = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(where)}: {message}." if where else f"{message}."


def call_factory(factory: str, described: TargetFile, folder: Path, seed: int) -> torch.nn.Module:
    """The network that a user's function returns; random weights come from the seed.

    Raises:
        UsageError: if there is no such function, it fails, or it returns something else than a module.
    """
    module, _, name = factory.partition(":")
    prepare_torchvision()
    sys.path.append(str(folder))
    try:
        function = getattr(importlib.import_module(module), name)
        given = {"num_classes": described.num_classes, "input_shape": described.network_shape}
        known = inspect.signature(function).parameters
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = function(**{key: value for key, value in given.items() if key in known})
    except (ImportError, AttributeError) as error:
        raise UsageError(f"The factory {factory} cannot be imported: {error}.") from error
    except Exception as error:  # somebody else's code
        raise UsageError(f"The factory {factory} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(folder))
    if not isinstance(network, torch.nn.Module):
        raise UsageError(f"The factory {factory} returned {type(network).__name__}, not a torch.nn.Module.")
    return network


def factory_digest(factory: str, network: torch.nn.Module) -> str:
    """Digest of a factory's network: its weights, and the source file of the function."""
    source = sys.modules[factory.partition(":")[0]].__file__
    return digest_json(
        {
            "weights": module_digest(network),
            "factory": factory,
            "source": digest_file(Path(source)) if source else None,
        }
    )
