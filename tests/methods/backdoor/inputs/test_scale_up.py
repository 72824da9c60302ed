import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Serving
from assay.methods.backdoor.inputs.scale_up import ScaleUp, consistency, scaled
from methods.backdoor.inputs.quadrants import Quadrants, context_of, examine, oracle_of, pictures
from oracles import input_detectors as oracle


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_against_a_loop(tmp_path_factory, seed, channels):
    folder, network, images = tmp_path_factory.mktemp("s"), Quadrants(), pictures(6, seed, channels)
    method = ScaleUp(factors=(1.5, 2.0, 4.0))
    found = method.measurements(
        oracle_of(folder, network, channels), images, torch.empty(0), context_of(folder), "them"
    )

    def predict(one):
        return int(network(torch.from_numpy(one)[None]).argmax())

    assert found.tolist() == [oracle.consistency(predict, image, method.factors) for image in images.images]


def test_scaling_clips_and_consistency_counts_equal_labels():
    assert torch.allclose(scaled(torch.tensor([0.0, 0.1, 0.3, 1.0]), 5.0), torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert consistency(np.array([1, 2]), np.array([[1, 1, 0, 1], [0, 2, 0, 0]])).tolist() == [0.75, 0.25]


def test_tells_stamped_from_clean_images_with_labels_only(tmp_path):
    finding, _ = examine(ScaleUp(factors=(3.0, 30.0)), tmp_path, Quadrants(), serving=Serving(output="label"))
    assert finding.metric("scale_up_auroc").interval.low > 0.6
    assert finding.metric("questions_per_image").value <= 3


@pytest.mark.parametrize("factors", [(), None])
def test_needs_factors(factors):
    with pytest.raises(ValueError, match="factors"):
        ScaleUp(factors=factors)
