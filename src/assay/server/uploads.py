"""Pictures that clients upload: PNG and JPEG, made into the model's input."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from assay.data.formats.folder import COLOUR, GREY, planes
from assay.data.images import Shape
from assay.server.refusal import Refused

FORMATS = ("PNG", "JPEG")


def decode(files: Sequence[bytes], shape: Shape, most_pixels: int) -> NDArray[np.uint8]:
    """Pictures as uint8 (n, channels, height, width) of a model's input shape, made to fit as image folders are.

    Their sizes are read from their headers, and nothing is decompressed if they have more than ``most_pixels``
    together. A note in a picture that its camera was turned is not followed.

    Raises:
        Refused: if one is no PNG or JPEG of 8-bit grey or colour, or damaged, or they are too large.
    """
    if shape[0] not in (1, 3):
        raise Refused("unsupported", f"This model takes {shape[0]} channels, and pictures have 1 or 3: send tensors.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            pixels = sum(_size(file) for file in files)
            if pixels > most_pixels:
                raise Image.DecompressionBombError
            return np.stack([_pixels(file, shape) for file in files])
        except UnidentifiedImageError:
            raise Refused("unsupported", "The upload is neither PNG nor JPEG.") from None
        except Image.DecompressionBombError:
            raise Refused(
                "too_large", f"The pictures of a request may have {most_pixels} pixels; these have more."
            ) from None
        except (OSError, SyntaxError, ValueError) as error:
            raise Refused("bad_request", f"A picture is damaged: {error}.") from None


def _size(file: bytes) -> int:
    with Image.open(io.BytesIO(file), formats=FORMATS) as picture:
        if picture.mode not in GREY + COLOUR:
            raise Refused("unsupported", f"8-bit grey or colour is needed; a picture's pixels are {picture.mode}.")
        return picture.width * picture.height


def _pixels(file: bytes, shape: Shape) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file), formats=FORMATS) as picture:
        return planes(picture, (shape[1], shape[2]), grey=shape[0] == 1)
