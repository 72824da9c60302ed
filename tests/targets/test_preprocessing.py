"""Preprocessing, number by number: resized, scaled, then the mean off and over the deviation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.targets.module import Preprocessed
from assay.targets.target import PLAIN, Target


@pytest.mark.parametrize("scale", [1.0, 255.0, -2.0])
def test_scale_comes_before_mean_and_deviation(scale: float) -> None:
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    how = PLAIN.model_copy(update={"scale": scale, "mean": (0.1, 20.0, -3.0), "std": (0.5, 2.0, 9.0)})
    found = Preprocessed(torch.nn.Identity(), how)(images).numpy()
    for channel, (mean, std) in enumerate(zip(how.mean, how.std, strict=True)):
        expected = (images[:, channel].numpy().astype(np.float64) * scale - mean) / std
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-5, atol=1e-4)


def test_another_preprocessing_is_another_target() -> None:
    shape = {"input_shape": (1, 2, 2), "num_classes": 4}
    network = torch.nn.Flatten()
    plain, scaled = (
        Target.from_module(network, **shape, preprocessing=how)
        for how in (PLAIN, PLAIN.model_copy(update={"scale": 2.0}))
    )
    assert plain.weights_digest == scaled.weights_digest
    assert plain.digest != scaled.digest


def test_images_of_the_models_size_are_not_resized() -> None:
    images = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    how = PLAIN.model_copy(update={"size": (4, 4)})
    assert torch.equal(Preprocessed(torch.nn.Identity(), how)(images), images)
    larger = Preprocessed(torch.nn.Identity(), how.model_copy(update={"size": (8, 8)}))(images)
    assert larger.shape == (1, 1, 8, 8)
