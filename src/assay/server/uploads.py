"""Pictures that clients upload: PNG and JPEG, made into the model's input."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from assay.server.refusal import Refused
from assay.targets.data import Shape
from assay.targets.datasets.folder import COLOUR, GREY, planes

FORMATS = ("PNG", "JPEG")


def decode(content: bytes, shape: Shape, most_pixels: int) -> NDArray[np.uint8]:
    """A picture as uint8 of a shape (channels, height, width), made to fit as image folders are.

    Its size is read from its header, and a picture of more than ``most_pixels`` is never decompressed. A note in it
    that a camera was turned is not followed.

    Raises:
        Refused: if it is no PNG or JPEG of 8-bit grey or colour, damaged, or too large.
    """
    if shape[0] not in (1, 3):
        raise Refused("unsupported", f"This model takes {shape[0]} channels, and pictures have 1 or 3: send tensors.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > most_pixels:
                    raise Refused(
                        "too_large", f"A picture may have {most_pixels} pixels; this one has {width} x {height}."
                    )
                if picture.mode not in GREY + COLOUR:
                    raise Refused(
                        "unsupported", f"8-bit grey or colour is needed; this picture's pixels are {picture.mode}."
                    )
                return planes(picture, (shape[1], shape[2]), grey=shape[0] == 1)
    except UnidentifiedImageError:
        raise Refused("unsupported", "The upload is neither PNG nor JPEG.") from None
    except Image.DecompressionBombError:
        raise Refused("too_large", f"A picture may have {most_pixels} pixels; this one has more.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise Refused("bad_request", f"The picture is damaged: {error}.") from None
