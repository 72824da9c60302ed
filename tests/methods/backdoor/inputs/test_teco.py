import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Serving
from assay.methods.backdoor.inputs import teco
from assay.methods.backdoor.inputs.corruptions import CORRUPTIONS
from assay.methods.backdoor.inputs.teco import Teco, first_changes
from methods.backdoor.inputs.quadrants import Quadrants, context_of, examine, oracle_of, pictures
from oracles.input_detectors import deviation, first_change


def darker(images, severity, generator):
    return images * (1 - 0.15 * severity)


def turned(images, severity, generator):
    return images.flip(-1) if severity >= 3 else images.clone()


def shifted(images, severity, generator):
    return images.roll(severity, dims=-1)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000))
def test_first_changes_and_their_deviation_against_a_loop(tmp_path_factory, seed):
    folder, network, images = tmp_path_factory.mktemp("t"), Quadrants(), pictures(8, seed)
    made = (darker, turned, shifted)

    def predict(one):
        return int(network(torch.from_numpy(one)[None]).argmax())

    expected = [
        [first_change(predict, image, lambda one, s, c=c: c(torch.from_numpy(one), s, None).numpy()) for c in made]
        for image in images.images
    ]
    oracle = oracle_of(folder, network)
    pixels = images.take(np.arange(8))
    found = np.stack([first_changes(oracle, pixels, change, torch.Generator()) for change in made], axis=1)
    assert found.tolist() == expected
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(teco, "CORRUPTIONS", {change.__name__: change for change in made})
        measured = Teco().measurements(oracle, images, torch.empty(0), context_of(folder), "them")
    assert measured.tolist() == pytest.approx([deviation(row) for row in expected])


def test_every_severity_corrupts_the_image_as_it_came_and_none_after_the_first_change(tmp_path):
    seen = []

    def spy(images, severity, generator):
        seen.append((severity, images.clone()))
        return turned(images, severity, generator)

    oracle, images = oracle_of(tmp_path, Quadrants(backdoored=False)), pictures(5).take(np.arange(5))
    assert first_changes(oracle, images, spy, torch.Generator()).tolist() == [3.0] * 5
    assert [severity for severity, _ in seen] == [1, 2, 3]
    assert all(torch.equal(given, images) for _, given in seen)


def test_judges_with_labels_only(tmp_path):
    finding, _ = examine(Teco(max_images=60), tmp_path, Quadrants(), count=60, serving=Serving(output="label"))
    assert finding.metric("questions_per_image").value <= 1 + 5 * len(CORRUPTIONS)
    assert 0 <= finding.samples["measured"].min() <= finding.samples["measured"].max() <= 2.5
