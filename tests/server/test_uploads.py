from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.server.refusal import Refused
from assay.server.uploads import decode

RNG = np.random.default_rng(0)


def picture(pixels: np.ndarray[Any, Any], format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes whose header promises so many pixels, and whose data inflate to many zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(4 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_png_of_the_model_s_size_is_taken_pixel_for_pixel() -> None:
    colour, grey = RNG.integers(0, 256, (4, 5, 3), np.uint8), RNG.integers(0, 256, (4, 5), np.uint8)
    assert np.array_equal(decode([picture(colour)], (3, 4, 5), 100)[0], colour.transpose(2, 0, 1))
    assert np.array_equal(decode([picture(grey)], (1, 4, 5), 100)[0, 0], grey)
    assert np.array_equal(decode([picture(grey)], (3, 4, 5), 100)[0], np.stack([grey] * 3))


def test_other_sizes_are_cropped_about_their_middle() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (decode([picture(wide)], (3, 5, 5), 1000)[0, :, :, 1:4] == 200).all()  # its rim blends into the rest


def test_jpeg_and_several_files() -> None:
    flat = np.full((8, 8, 3), 90, np.uint8)
    both = decode([picture(flat, "JPEG", quality=95), picture(flat)], (3, 8, 8), 128)
    assert both.shape == (2, 3, 8, 8)
    assert np.abs(both.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("file", "said", "status"),
    [
        (b"", "neither PNG nor JPEG", 415),
        (b"GIF89a" + bytes(50), "neither PNG nor JPEG", 415),
        (picture(np.zeros((4, 4, 3), np.uint8), "WEBP"), "neither PNG nor JPEG", 415),
        (picture(RNG.integers(0, 256, (9, 9, 3), np.uint8))[:-60], "damaged", 400),
        (picture(RNG.integers(0, 256, (9, 9, 3), np.uint8), "JPEG")[:-80], "damaged", 400),
        (picture(np.zeros((4, 4), np.uint16)), "8-bit grey or colour", 415),
        (picture(np.zeros((11, 10), np.uint8)), "may have 100 pixels", 413),
    ],
)
def test_bad_files(file: bytes, said: str, status: int) -> None:
    with pytest.raises(Refused, match=said) as refused:
        decode([file], (3, 4, 4), 100)
    assert refused.value.status == status


@pytest.mark.parametrize("sides", [(60_000, 60_000), (5_001, 5_000), (2**31 - 1, 1)])
def test_a_decompression_bomb_is_never_inflated(sides: tuple[int, int]) -> None:
    tracemalloc.start()
    with pytest.raises(Refused, match="25000000 pixels") as refused:
        decode([bomb(*sides)], (3, 4, 4), 25_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert most < 8 << 20


def test_many_pictures_are_limited_together() -> None:
    file = picture(np.zeros((10, 10), np.uint8))
    assert len(decode([file] * 4, (1, 4, 4), 400)) == 4
    with pytest.raises(Refused, match="may have 399 pixels"):
        decode([file] * 4, (1, 4, 4), 399)


def test_models_of_other_channels_take_no_pictures() -> None:
    with pytest.raises(Refused, match="takes 2 channels"):
        decode([picture(np.zeros((4, 4), np.uint8))], (2, 4, 4), 100)
