"""How to train, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay.base.frozen import Frozen


class Recipe(Frozen):
    """Optimiser, schedule and augmentation.

    ``momentum`` counts for SGD only; ``weight_decay`` is decoupled for AdamW and Lion. ``step`` multiplies the rate
    by ``step_factor`` after each of ``step_at`` (fractions of the epochs); ``cosine`` falls to 0. ``warmup`` is the
    fraction of all steps over which the rate rises linearly; ``linear`` falls to 0 in a straight line (with a warm-up,
    the one-cycle policy). ``ema`` is the decay of an average of the weights, which the network ends with; 0 keeps none.
    ``label_smoothing`` is the share of every target that goes to all classes evenly, of plain cross-entropy alone.
    ``mixed_precision`` allows bfloat16 (or float16) where it is faster.

    ``shift`` pads by so many pixels and crops at random; ``flip`` mirrors left to right; ``rotate`` turns by at most so
    many degrees; ``crop`` enlarges a part that covers at least such a share of the image; ``auto_augment`` is
    AutoAugment's policy (`assay.training.augment`); ``cutout`` greys a square of so many pixels a side.
    """

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=128, ge=1)
    optimiser: Literal["sgd", "adam", "adamw", "lion"] = "sgd"
    learning_rate: float = Field(default=0.05, gt=0.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0.0)
    schedule: Literal["constant", "cosine", "step", "linear"] = "cosine"
    step_at: tuple[float, ...] = (0.5, 0.75)
    step_factor: float = 0.1
    warmup: float = Field(default=0.0, ge=0.0, lt=1.0)
    shift: int = Field(default=0, ge=0)
    flip: bool = False
    rotate: float = Field(default=0.0, ge=0.0, le=180.0)
    crop: float = Field(default=1.0, gt=0.0, le=1.0)
    auto_augment: bool = False
    cutout: int = Field(default=0, ge=0)
    ema: float = Field(default=0.0, ge=0.0, lt=1.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    mixed_precision: bool = True
