"""Predict functions that the user names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.base.errors import DataError, UsageError
from assay.data.vectors import raw_vectors
from assay.targets.described import content_digest
from assay.targets.function import is_function
from assay.targets.reference import check_reference, load_target

MODULE = """
import numpy as np

def predict(batch):
    assert batch.dtype == np.float32
    share = 1 / (1 + np.exp(batch.reshape(len(batch), -1)[:, 0] - 5))
    return np.stack([share, 1 - share], axis=1)

def logits(batch):
    return np.log(predict(batch))

def sigmoids(batch):
    return predict(batch) * 0.7

def labels(batch):
    return predict(batch).argmax(1)

def broken(batch):
    raise ValueError("too bad\\nand more")

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module's name that no other test uses, its file, and data of 4 features, in the working folder."""
    monkeypatch.chdir(tmp_path)
    name = f"mine_{abs(hash(request.node.name))}"
    Path(f"{name}.py").write_text(MODULE)
    x = np.arange(40, dtype=np.float64).reshape(10, 4)
    np.savez("data.npz", x_train=x, y_train=np.arange(10) % 2, x_test=x + 1.5, y_test=np.arange(10) % 2)
    np.savez("images.npz", x_train=np.zeros((9, 4, 4), np.uint8), y_train=[0] * 9)
    return name


def test_a_function_is_a_target_of_what_the_data_hold(module: str) -> None:
    assert is_function(f"{module}:predict")
    assert check_reference(f"{module}:predict") is False
    target = load_target(f"{module}:predict", data="data.npz")
    assert (target.modality, target.input_shape, target.num_classes, target.module) == ("vector", (1, 1, 4), 2, None)
    assert target.splits.non_members is not None
    rows = np.arange(10)
    answers = target.logits(target.splits.non_members.take(rows)).softmax(1)
    raw = raw_vectors(target.splits.non_members, rows)
    np.testing.assert_allclose(sorted(raw[:, 0]), np.arange(10) * 4 + 1.5, atol=1e-5)  # what reaches the function
    np.testing.assert_allclose(answers[:, 0], 1 / (1 + np.exp(raw[:, 0] - 5)), rtol=1e-3)
    assert load_target(f"{module}:predict", data="images.npz").modality == "image"


def test_a_target_file_names_it_and_its_version(module: str) -> None:
    digests = set()
    for version in ("", 'version = "2026-12"\n'):
        Path("t.toml").write_text(
            f'function = "{module}:predict"\n{version}input_shape = [4]\ndata = "data.npz"\nexpected_accuracy = 0.5\n'
        )
        target = load_target("t.toml")
        digests.add(target.weights_digest)
        assert target.facts["expected_accuracy"] == 0.5
    assert len(digests) == 2
    before = content_digest("t.toml")
    Path(f"{module}.py").write_text(MODULE + "\n")
    assert content_digest("t.toml") != before
    assert load_target("t.toml").weights_digest in digests  # a version that is said stays


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("logits", "returned numbers from .* rows sum to .*: if these are logits, return their softmax"),
        ("sigmoids", "one score for each class on its own"),
        ("labels", r"returned an array \(4,\) for a batch \(4, 4\); posteriors \(n, classes\) are needed"),
        ("broken", r"failed on a batch \(4, 4\) of float32: ValueError: too bad\.$"),
    ],
)
def test_answers_that_are_no_posteriors_are_described(module: str, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        load_target(f"{module}:{name}", data="data.npz")
    assert "\n" not in str(error.value)


def test_what_is_no_function_is_said(module: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a int, not a function"):
        load_target(f"{module}:number", data="data.npz")
    with pytest.raises(UsageError, match=r"cannot be imported: .*nothing"):
        load_target(f"{module}:nothing", data="data.npz")
    with pytest.raises(DataError, match="a function, whose input the data say"):
        load_target(f"{module}:predict")
    other = tmp_path / "other"
    other.mkdir()
    (other / f"{module}.py").write_text(MODULE)
    (other / "t.toml").write_text(f'function = "{module}:predict"\ninput_shape = [4]\ndata = "../data.npz"\n')
    load_target(f"{module}:predict", data="data.npz")
    with pytest.raises(UsageError, match="give it another name"):
        load_target(str(other / "t.toml"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a function needs input_shape"),
        ('input_shape = [4]\nweights = "w"', "a function stands in place of weights"),
        ("input_shape = [4]\nnum_classes = 3", "tells 2 classes apart, and the target file says 3"),
        ("input_shape = [4, 4]", "three whole numbers: channels, height and width; or one, of features"),
        ("input_shape = [4]\npreprocessing.scale = 2.0", "a vector has input_shape"),
    ],
)
def test_wrong_target_files(module: str, text: str, says: str) -> None:
    Path("t.toml").write_text(f'function = "{module}:predict"\n{text}\n')
    with pytest.raises((UsageError, DataError), match=says):
        load_target("t.toml", data="data.npz")
