import numpy as np
import pytest
import torch
from PIL import Image

from assay.base.errors import WorkspaceError
from assay.methods.pictures import SMALLEST_SIDE, magnified, save_png


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 5, 11), (2, 28, 28), (3, 64, 80), (3, 224, 224)])
def test_saved_pixels_are_the_images_enlarged_by_a_whole_factor(tmp_path, shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert save_png(image, tmp_path / "deep" / "a.png") == "a.png"
    saved = np.asarray(Image.open(tmp_path / "deep" / "a.png"))
    factor = saved.shape[0] // shape[1]
    assert saved.shape == (shape[1] * factor, shape[2] * factor, 3)
    assert min(saved.shape[:2]) >= SMALLEST_SIDE
    assert factor == 1 or min(shape[1:]) * (factor - 1) < SMALLEST_SIDE
    for y in range(0, saved.shape[0], 7):
        for x in range(0, saved.shape[1], 7):
            for c in range(3):
                value = image[c if shape[0] == 3 else 0, y // factor, x // factor]
                assert saved[y, x, c] == round(float(value) * 255)


def test_values_outside_the_range_are_clipped(tmp_path):
    save_png(torch.tensor([[[-1.0, 2.0]]]).expand(1, 2, 2), tmp_path / "a.png")
    assert np.unique(np.asarray(Image.open(tmp_path / "a.png"))).tolist() == [0, 255]


def test_magnified_spans_the_range_and_keeps_nothing_grey():
    difference = torch.tensor([[[0.0, 0.01], [-0.02, 0.005]]])
    assert torch.allclose(magnified(difference), torch.tensor([[[0.5, 0.75], [0.0, 0.625]]]))
    assert torch.equal(magnified(torch.zeros(1, 2, 2)), torch.full((1, 2, 2), 0.5))


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        save_png(torch.zeros(1, 8, 8), tmp_path / "file" / "a.png")
