import numpy as np
import pytest

from assay.access.recorded import UNANSWERED, RecordedSet, Recording
from assay.base.errors import DataError
from oracles.services import soft_label


def recording(labels, confidence=None, **more):
    given = {"service": "S", "dataset": "D", "num_classes": 4, **more}
    examples = given.pop("examples", tuple(f"e{i}" for i in range(len(labels))))
    sure = None if confidence is None else np.array(confidence, float)
    return Recording(examples=examples, labels=np.array(labels, np.int64), confidence=sure, **given)


def test_soft_labels_are_mebenchs():
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 4, 200)
    confidence = generator.uniform(0.26, 1, 200)
    expected = [soft_label(*row, 4) for row in zip(labels.tolist(), confidence.tolist(), strict=True)]
    found = recording(labels, confidence).posteriors()
    assert np.allclose(found, expected, atol=1e-7)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)


def test_a_confidence_below_chance_keeps_its_label():
    found = recording([2, 3, 0], [0.0, 0.25, 0.1]).posteriors()
    assert found.argmax(axis=1).tolist() == [2, 3, 0]
    assert (np.sort(found, axis=1)[:, -1] > np.sort(found, axis=1)[:, -2]).all()
    assert np.allclose(found, 0.25, atol=1e-3)


def test_without_an_answer_all_classes_are_alike():
    assert recording([UNANSWERED], [0.9]).posteriors().tolist() == [[0.25] * 4]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": []}, "holds no answers"),
        ({"labels": [0, 1], "examples": ("a", "a")}, "answers about 'a' more than once"),
        ({"labels": [0, 4]}, "outside of its classes, 0 to 3"),
        ({"labels": [0, -2]}, "outside of its classes"),
        ({"labels": [0, 1], "confidence": [0.5]}, "one confidence for each of its 2 examples"),
        ({"labels": [0, 1], "confidence": [0.5, -0.1]}, "about 'e1' with the confidence -0.1"),
    ],
)
def test_what_is_no_recording(given, words):
    with pytest.raises(DataError, match=words):
        recording(**given)


def test_a_set_has_services_asked_about_the_same():
    one, other = recording([0, 1]), recording([1, 1], service="T")
    RecordedSet(name="D", truth=np.array([0, 1]), recordings=(one, other))
    with pytest.raises(DataError, match="two recordings of one service"):
        RecordedSet(name="D", truth=np.array([0, 1]), recordings=(one, one))
    with pytest.raises(DataError, match="same examples"):
        RecordedSet(
            name="D", truth=np.array([0, 1]), recordings=(one, recording([1, 0], service="T", examples=("b", "a")))
        )
    with pytest.raises(DataError, match="same examples"):
        RecordedSet(name="D", truth=np.array([0]), recordings=(one,))
