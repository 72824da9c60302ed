"""TFLite: quantisation applied exactly, layouts, batches, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from assay.base.errors import LoadError
from assay.targets.loading import load_network
from assay.targets.loading.tflite_file import Port
from oracles.tflite import write_tflite

BYTES = np.random.default_rng(1).integers(0, 256, (9, 3, 4, 2))
SHAPE = (4, 2, 3)


def rows(images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return images.transpose(0, 2, 3, 1).reshape(len(images), -1)


@pytest.mark.parametrize("open_batch", [True, False])
def test_a_float_file(tmp_path: Path, open_batch: bool) -> None:
    made = write_tflite(tmp_path / "m.tflite", "float32", SHAPE, 5, open_batch=open_batch)
    loaded = load_network(tmp_path / "m.tflite", "tflite")
    assert (loaded.input_shape, loaded.num_classes, loaded.differentiable) == ((3, 4, 2), 5, False)
    images = (BYTES / 255).astype(np.float32)
    found = loaded.network(torch.from_numpy(images)).numpy()
    expected = softmax(rows(images) @ made.kernel.T, axis=1)
    np.testing.assert_allclose(softmax(found, axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_quantised_files_take_and_give_real_values(tmp_path: Path, dtype: str, scale: float) -> None:
    """Inputs that are whole steps are exact, so that what is left is half a step of the output (0.1 here)."""
    made = write_tflite(tmp_path / "m.tflite", dtype, SHAPE, 5, softmax=False, input_scale=scale)
    images = (BYTES * scale).astype(np.float32)
    if scale == 1.0:
        images = np.where(np.arange(24).reshape(3, 4, 2) == 7, images, 0).astype(np.float32)
    found = load_network(tmp_path / "m.tflite", "tflite").network(torch.from_numpy(images)).numpy()
    expected = np.clip(rows(images) @ made.kernel.T, -12.8, 12.7)
    assert np.abs(found - expected).max() <= 0.05 + 1e-5
    assert np.abs(expected).max() > 1.0


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_rounded_softmax_outputs_are_still_probabilities(tmp_path: Path, dtype: str) -> None:
    made = write_tflite(tmp_path / "m.tflite", dtype, SHAPE, 50)
    images = (BYTES / 255).astype(np.float32)
    found = softmax(load_network(tmp_path / "m.tflite", "tflite").network(torch.from_numpy(images)).numpy(), axis=1)
    expected = softmax(rows(images) @ made.kernel.T, axis=1)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_answer_does_not_depend_on_the_batch(tmp_path: Path, dtype: str) -> None:
    write_tflite(tmp_path / "m.tflite", dtype, SHAPE, 5)
    network = load_network(tmp_path / "m.tflite", "tflite").network
    images = torch.rand(150, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    together = network(images)
    alone = torch.cat([network(images[row : row + 1]) for row in (0, 63, 64, 149)])
    torch.testing.assert_close(together[[0, 63, 64, 149]], alone, rtol=0, atol=0)


def test_numbers_out_of_range_are_clipped() -> None:
    port = Port(0, (1,), np.int8, 0.5, 3)
    assert port.quantise(np.float32([-1000, -0.25, 0.0, 0.3, 1000])).tolist() == [-128, 3, 3, 4, 127]
    np.testing.assert_allclose(port.dequantise(np.int8([-128, 3, 127])), [-65.5, 0.0, 62.0])


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_files(tmp_path: Path, kept: float) -> None:
    write_tflite(tmp_path / "m.tflite", "float32", SHAPE, 5)
    content = (tmp_path / "m.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(LoadError, match="damaged"):
        load_network(tmp_path / "cut.tflite", "tflite")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_are_one_sentence_or_still_a_model(tmp_path: Path, seed: int) -> None:
    write_tflite(tmp_path / "m.tflite", "int8", SHAPE, 5)
    random, content = np.random.default_rng(seed), bytearray((tmp_path / "m.tflite").read_bytes())
    for position in random.integers(8, len(content), 3):
        content[position] = random.integers(256)
    (tmp_path / "m.tflite").write_bytes(content)
    said = ""
    try:
        load_network(tmp_path / "m.tflite", "tflite")
    except LoadError as error:
        said = str(error)
    assert "\n" not in said
