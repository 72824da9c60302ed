"""How a user names a sibling."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from assay.base.errors import UsageError
from assay.compression.compression import is_compression, parse


def _checked(text: str) -> str:
    try:
        if is_compression(text):
            parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


SiblingText = Annotated[str, Field(min_length=1), AfterValidator(_checked)]

SIBLING: Any = Field(
    default="int8",
    description="The sibling: a published one by its id, target file or folder, or a compression of the target, such "
    "as int8, int4, prune=0.5+tune, fold+int8+activations or distil=tiny-cnn.",
)
