from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from assay.access import Serving
from assay.studies import make_method
from assay.targets.target import Target
from studies.doubles import Builds, Count, Opens, images, splits, target, trial

FROZEN = "51550490181a1ecc89a4cdc9c19bd9ae3ba42cab0b02faa219edc1183e17c62d"
FROZEN_BUILDS = "0a80119714430a36ba755df34c5f98dfc26b7e99be1645f1818894c958bdf499"


def test_keys_are_frozen() -> None:
    fixed = replace(target(), weights_digest="0" * 64, splits=splits()._replace(members=None, auxiliary=None))
    assert trial(target=fixed).key == FROZEN
    assert trial(Builds(), target=fixed).key == FROZEN_BUILDS


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
