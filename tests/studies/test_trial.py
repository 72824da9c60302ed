from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.access import Serving
from assay.catalogue.weights import Preprocessing
from assay.studies import make_method
from assay.targets.target import Target
from studies.doubles import Builds, Count, Opens, images, splits, target, trial

FROZEN = "09d815461f71a48f832601e670c1e638842e5f6c62b989a699acde0a7240bd01"
FROZEN_BUILDS = "29ee35755db30c8b9efa4b3f31d6692c50c539c6d40ce1f33b72b76b8b52c64b"


def test_keys_are_frozen() -> None:
    fixed = replace(target(), weights_digest="0" * 64, splits=splits()._replace(members=None, auxiliary=None))
    assert trial(target=fixed).key == FROZEN
    assert trial(Builds(), target=fixed).key == FROZEN_BUILDS


@pytest.mark.parametrize(
    "other",
    [
        trial(Count(scale=2.0)),
        trial(seed=1),
        trial(serving=Serving(output="label")),
        trial(serving=Serving(policies=("rounding=2",))),
        trial(target=replace(target(), weights_digest="f" * 64)),
        trial(target=replace(target(), preprocessing=Preprocessing(scale=255.0))),
        trial(target=target().with_splits(splits()._replace(non_members=images(12, 9)))),
    ],
    ids=["option", "seed", "output", "policy", "weights", "preprocessing", "data"],
)
def test_whatever_changes_the_numbers_changes_the_key(other: object) -> None:
    assert other.key != trial().key  # type: ignore[attr-defined]


def test_the_name_and_unused_data_do_not_change_the_key() -> None:
    assert trial(target=target(name="another")).key == trial().key
    assert trial(target=target().with_splits(splits()._replace(members=images(5, 7)))).key == trial().key


def test_white_box_keys_ignore_the_serving() -> None:
    assert trial(Opens(), serving=Serving(output="label")).key == trial(Opens()).key


def test_why_not_names_what_is_missing() -> None:
    ask = Target.from_function(lambda x: np.full((len(x), 3), 1 / 3), digest="v1", input_shape=(1, 4, 4), num_classes=3)
    assert "white-box" in trial(Opens(), target=ask.with_splits(splits())).why_not()
    assert "non-members" in trial(target=ask).why_not()

    class Wants(Count):
        needs = "posteriors"

    assert "posteriors" in trial(Wants(), serving=Serving(output="label")).why_not()
    assert trial(Wants()).why_not() == ""


def test_recorded_answers_cannot_be_asked_about_new_images() -> None:
    rows = np.full((4, 3), 1 / 3)
    recorded = Target.from_outputs((rows, np.zeros(4, np.int64)), (rows, np.zeros(4, np.int64)))
    assert "recorded" in trial(target=recorded).why_not()

    class Reads(Count):
        novel_inputs = False

    assert trial(Reads(), target=recorded).why_not() == ""


def test_what_a_theft_starts_from_is_part_of_the_key(tmp_path: Path) -> None:
    theft = make_method("stealing.theft", None, {"initialisation": str(tmp_path)})
    (tmp_path / "surrogate.json").write_text("{}")
    (tmp_path / "surrogate.safetensors").write_bytes(b"weights")
    before = trial(theft).key
    (tmp_path / "surrogate.safetensors").write_bytes(b"other weights")
    assert trial(theft).key != before
