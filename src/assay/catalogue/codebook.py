"""The codebook: the typed schema of what can be known of a public model.

The first thirteen fields are SecurityNet's codes (USENIX Security 2024, section 3); the rest are a model's intrinsic
properties, its accuracy and its weights. None always means unknown, never zero and never a guess.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import Field

from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.catalogue.weights import Format, Preprocessing

Task = Literal["image classification", "multi-label classification"]
Topic = Literal["natural", "digit", "medical", "fashion", "face", "remote sensing", "other"]
VenueType = Literal["CV", "ML", "security", "arXiv", "other"]
Shape = Annotated[tuple[int, int, int], Field(description="channels, height, width")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Facts(Frozen):
    """The facts of a model, from one source or merged from several; None is unknown.

    Accuracies are fractions in [0, 1]. ``macs`` are multiply-accumulates for one image of size ``input``; half the
    floating-point operations. Presence of layers is that of the network as its package builds it by default, so a
    dropout layer whose rate is 0 counts as absent. ``attention`` is weights computed between positions or tokens, not
    channel gates such as squeeze-and-excitation. ``builder`` is how an installed package builds it: ``package:NAME``.
    """

    task: Task | None = Field(None, description="what it predicts")
    dataset: str | None = Field(None, description="data set of its classes, under its one name")
    topic: Topic | None = Field(None, description="topic category of the data set")
    granularity: Literal["coarse", "fine"] | None = Field(None, description="class granularity")
    training_size: Count | None = Field(None, description="images in the training set")
    classes: Count | None = Field(None, description="number of classes")
    input: Shape | None = Field(None, description="input dimensions: channels, height, width")
    venue: str | None = Field(None, description="where its paper was published")
    venue_type: VenueType | None = Field(None, description="kind of venue")
    year: Annotated[int, Field(ge=1990, le=2100)] | None = Field(None, description="year of publication of its paper")
    authors: Count | None = Field(None, description="number of authors of its paper")
    affiliation: Literal["academia", "industry", "both"] | None = Field(None, description="the authors' affiliations")
    country: tuple[str, ...] | None = Field(None, description="countries of the authors' affiliations")

    architecture: str | None = Field(None, description="the network's name, as its source spells it")
    model_type: str | None = Field(None, description="family of architectures")
    parameters: Count | None = Field(None, description="trainable and frozen parameters, without buffers")
    macs: Count | None = Field(None, description="multiply-accumulates per image", json_schema_extra={"unit": "MAC"})
    dropout: bool | None = Field(None, description="has dropout with a rate above 0")
    batch_norm: bool | None = Field(None, description="has batch normalisation")
    layer_norm: bool | None = Field(None, description="has layer normalisation")
    attention: bool | None = Field(None, description="has attention between positions")

    purpose: Literal["benchmark", "security", "other"] | None = Field(None, description="what it was published for")
    licence: str | None = Field(None, description="licence of the weights")
    paper: str | None = Field(None, description="arXiv identifier or address of the paper")
    training_data: tuple[str, ...] | None = Field(None, description="what it was trained on, in order")
    top1: Share | None = Field(None, description="top-1 accuracy on `evaluated_on`")
    top5: Share | None = Field(None, description="top-5 accuracy on `evaluated_on`")
    evaluated_on: str | None = Field(None, description="data set and split of the accuracies")
    robust_accuracy: Share | None = Field(None, description="accuracy under the attack or corruption in `threat`")
    threat: str | None = Field(None, description="norm, radius and attack of `robust_accuracy`")

    weights_url: str | None = Field(None, description="where the weights are")
    weights_digest: Annotated[str, Field(pattern=r"^(sha256|sha384|sha1|md5):[0-9a-f]{8,96}$")] | None = Field(
        None, description="algorithm and hexadecimal digest of the weights file; a short one is a prefix"
    )
    weights_bytes: Count | None = Field(
        None, description="size of the weights file", json_schema_extra={"unit": "byte"}
    )
    format: Format | None = Field(None, description="how the weights are stored")
    preprocessing: Preprocessing | None = Field(None, description="how pixels become the network's input")
    crop: Annotated[float, Field(gt=0.0)] | None = Field(None, description="crop size over resized size, in evaluation")
    interpolation: str | None = Field(None, description="how images are resized")
    builder: str | None = Field(None, description="how an installed package builds it")


CODES: tuple[str, ...] = tuple(Facts.model_fields)[:13]
"""SecurityNet's thirteen codes, which people annotate."""

Kind = Literal["number", "text", "truth", "texts", "shape", "object"]


class Code(NamedTuple):
    """One field of the codebook. ``choices`` is empty where any value is allowed."""

    name: str
    description: str
    kind: Kind
    choices: tuple[str, ...]
    unit: str


def _kind(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    inner = next((option for option in get_args(annotation) if option is not type(None)), annotation)
    if get_origin(inner) is Annotated:
        inner = get_args(inner)[0]
    if get_origin(inner) is Literal:
        return "text", tuple(get_args(inner))
    if get_origin(inner) is tuple:
        return ("texts" if get_args(inner)[0] is str else "shape"), ()
    kinds: dict[Any, Kind] = {bool: "truth", int: "number", float: "number", str: "text"}
    return kinds.get(inner, "object"), ()


def _code(name: str) -> Code:
    field = Facts.model_fields[name]
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    return Code(name, field.description or "", *_kind(field.annotation), unit)


CODEBOOK: dict[str, Code] = {name: _code(name) for name in Facts.model_fields}

TOLERANCE: dict[str, float] = {"parameters": 0.01, "macs": 0.1, "top1": 0.005, "top5": 0.005, "robust_accuracy": 0.005}
"""By how much two sources may differ before they are in conflict: relative for counts, absolute for shares."""

INCOMPARABLE = frozenset(
    {"architecture", "model_type", "licence", "paper", "evaluated_on", "threat", "training_data", "builder", "format"}
    | {"weights_url", "weights_bytes", "preprocessing", "crop", "interpolation"}
)
"""Fields that two sources state differently without contradicting each other: spellings, mirrors, conversions."""


def agree(name: str, one: Any, other: Any) -> bool:
    """Whether two known values of a field agree within its `TOLERANCE`."""
    if name in INCOMPARABLE or one == other:
        return True
    if name in ("parameters", "macs"):
        return bool(abs(one - other) <= TOLERANCE[name] * max(one, other))
    if name in TOLERANCE:
        return bool(abs(one - other) <= TOLERANCE[name])
    if name == "weights_digest":
        return bool(one.split(":")[0] != other.split(":")[0] or one.startswith(other) or other.startswith(one))
    return False


def code(name: str) -> Code:
    """A field of the codebook by name.

    Raises:
        UsageError: if there is none; the message names the nearest.
    """
    try:
        return CODEBOOK[name]
    except KeyError:
        raise UsageError(f"The codebook has no code {name!r}: {nearest(name, CODEBOOK)}") from None
