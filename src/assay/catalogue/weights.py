"""How a model's weights are stored, where they are, and the preprocessing that the network expects."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from assay.base.frozen import Frozen

Format = Literal["safetensors", "torch", "keras", "onnx", "tflite", "factory"]
"""How the weights are stored. ``factory``: weights that an installed package (timm, torchvision) fetches itself."""


def _not_zero(number: float) -> float:
    if number == 0:
        raise ValueError("it must not be 0, which would make every input the same, or infinite")
    return number


Factor = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_not_zero)]
Side = Annotated[int, Field(ge=1, le=65_536)]


class Preprocessing(Frozen):
    """How pixels in [0, 1] become the network's input: ``(pixels * scale - mean) / std``, per channel, NCHW.

    ``mean`` and ``std`` have one entry, or one per channel, on the scale that ``scale`` produces: a network trained on
    0..255 has scale 255. ``size`` (height, width) resizes bilinearly first; None leaves images as they are.
    ``channels`` is the order that the network expects: ``bgr`` swaps red and blue first, so that ``mean`` and ``std``
    are in that order too.
    """

    scale: Factor = 1.0
    mean: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = (0.0,)
    std: tuple[Factor, ...] = (1.0,)
    size: tuple[Side, Side] | None = None
    channels: Literal["rgb", "bgr"] = "rgb"

    @model_serializer(mode="wrap")
    def _without_the_usual_order(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``channels`` where it is RGB: digests and keys of trials are older than the field."""
        content: dict[str, Any] = serialise(self)
        if content.get("channels") == "rgb":
            del content["channels"]
        return content


class Weights(Frozen):
    """Where a model's weights are, and the digest that they must have before they are opened.

    ``package`` names a file shipped inside Assay, relative to the package; ``url`` one to download. ``file`` is the
    name under which it is cached, and under which a mirror holds it.
    """

    format: Format
    url: str | None = None
    package: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    file: str | None = None
    bytes: int | None = None
