"""The base of every stored record and configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A pydantic model that is immutable and rejects unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
