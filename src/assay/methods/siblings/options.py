"""How a user names a sibling, and other networks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from assay.base.errors import UsageError
from assay.compression.compression import is_compression, parse
from assay.methods.siblings.campaigns import Guided


def _checked(text: str) -> str:
    try:
        if is_compression(text):
            parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


SiblingText = Annotated[str, Field(min_length=1), AfterValidator(_checked)]

SIBLING: Any = Field(
    default="int8",
    description="The sibling: a published one by its id, target file or folder, or a compression of the target, such "
    "as int8, int4, prune=0.5+tune, fold+int8+activations or distil=tiny-cnn.",
)

Siblings = Annotated[tuple[SiblingText, ...], Field(min_length=1), BeforeValidator(_listed)]

Networks = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]

INDEPENDENT: Any = Field(
    default=(),
    description="Models of the same task that have nothing to do with the target, joined by commas: what anybody has "
    "in hand.",
)

Attacks = Annotated[
    tuple[Guided, ...], Field(min_length=1), AfterValidator(lambda attacks: tuple(dict.fromkeys(attacks)))
]

ATTACKS: Any = Field(
    default=("transfer", "p-rgf", "gfcs"),
    description="Guided attacks: transfer (an adversarial image of the network in hand first, GFCS where it fails), "
    "p-rgf, gfcs.",
)
