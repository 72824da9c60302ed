import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.data.images import batches
from assay.methods.backdoor.inputs.parts import FEWEST_IMAGES, MOST_SCREENED, Stamped, divide
from methods.backdoor.inputs.quadrants import pictures, stamped


@settings(deadline=None)
@given(count=st.integers(0, 3000), most=st.integers(FEWEST_IMAGES, 2000), seed=st.integers(0, 5))
def test_the_four_parts_never_overlap(count, most, seed):
    generator = torch.Generator().manual_seed(seed)
    if count < FEWEST_IMAGES:
        with pytest.raises(DataError, match="at least 40 clean images"):
            divide(count, most, generator)
        return
    parts = divide(count, most, generator)
    rows = np.concatenate(parts)
    assert len(rows) == min(count, most) == len(set(rows.tolist()))
    assert 0 <= rows.min() <= rows.max() < count
    assert min(map(len, parts)) >= 4
    assert len(parts.screening) <= MOST_SCREENED


def test_stamped_images_carry_the_trigger_and_are_known_by_it():
    clean = pictures(10)
    marked = Stamped(clean, stamped, "corner")
    (batch,) = batches(marked)
    assert torch.equal(batch.images, stamped(clean.take(np.arange(10))))
    assert (len(marked), marked.shape) == (10, clean.shape)
    assert len({clean.digest, marked.digest, Stamped(clean, stamped, "other").digest}) == 3
