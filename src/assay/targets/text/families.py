"""Networks for texts by name: ``text:cnn``, ``text:bert?layers=2&width=128``, ``text:minilm``, ``text:FOLDER``."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field, ValidationError

from assay.base.errors import DataError, UsageError, nearest
from assay.base.frozen import Frozen
from assay.data.images import Shape, shape_text
from assay.targets.text.network import Encoder, TextNetwork
from assay.targets.text.pretrained import folder_network, folder_of, parse_name
from assay.targets.text.small import Bag, Convolutional
from assay.targets.text.tokens import Bytes, HashedWords, Tokeniser
from assay.targets.text.transformer import FAMILIES, from_options


class Options(Frozen):
    """Options after the ``?`` of a name; ``layers`` and ``heads`` apply to transformers.

    ``read`` is ``words`` (each at one of ``places``) or ``bytes``.
    """

    width: int = Field(default=64, ge=1)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    tokens: int = Field(default=64, ge=2)
    read: str = Field(default="words", pattern="^(words|bytes)$")
    places: int = Field(default=8192, ge=1)

    def tokeniser(self) -> Tokeniser:
        """The tokeniser that the options describe."""
        return Bytes(self.tokens) if self.read == "bytes" else HashedWords(self.tokens, self.places)


def _bag(options: Options, size: int) -> tuple[Encoder, int]:
    return Bag(size, options.width), options.width


def _cnn(options: Options, size: int) -> tuple[Encoder, int]:
    return Convolutional(size, options.width), len(Convolutional.KERNELS) * options.width


def _transformer(family: str) -> Callable[[Options, int], tuple[Encoder, int]]:
    def make(options: Options, size: int) -> tuple[Encoder, int]:
        if options.width % options.heads:
            raise UsageError(f"A transformer of width {options.width} cannot have {options.heads} heads.")
        sizes = {"width": options.width, "layers": options.layers, "heads": options.heads, "tokens": options.tokens}
        return from_options(family, size, **sizes), options.width

    return make


BUILDERS: dict[str, Callable[[Options, int], tuple[Encoder, int]]] = {
    "bag": _bag,
    "cnn": _cnn,
    **{family: _transformer(family) for family in FAMILIES},
}


def build_text(name: str, num_classes: int, input_shape: Shape) -> TextNetwork:
    """A network with random weights for rows of bytes; ``name`` is what follows ``text:``.

    Raises:
        UsageError: if the name or an option of it is unknown, or transformers is needed and not installed.
        DataError: if the input is an image and not a row of bytes.
        LoadError: if a folder of weights cannot be read.
    """
    if input_shape[:2] != (1, 1):
        raise DataError(f"text:{name} reads texts, and the input is an image of {shape_text(input_shape)}.")
    kind, given = parse_name(name)
    if (folder := folder_of(kind)) is not None:
        return folder_network(folder, given, num_classes)
    if kind not in BUILDERS:
        raise UsageError(f"There is no text network {kind!r}: {nearest(kind, [*BUILDERS, 'minilm'])}")
    try:
        options = Options.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"The network text:{name} is not valid: {wrong['loc'][0]}: {wrong['msg']}.") from None
    tokeniser = options.tokeniser()
    encoder, width = BUILDERS[kind](options, tokeniser.size)
    return TextNetwork(tokeniser, encoder, width, num_classes)
