"""kill -9 of a study's coordinator and of its worker: the short version of benchmarks/studies/kills.py."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.studies import kills as study_kills

TEXT = """
name = "torn"
targets = ["starter/digits-cnn", "starter/digits-mlp"]
engine.workers = 1

[[methods]]
name = "stealing.basic"
options = { up_to = 300, epochs = 3, test_images = 200 }

[[methods]]
name = "membership.metrics"
options = { max_members = 300, max_non_members = 300 }

[[methods]]
name = "backdoor.strip"
options = { max_images = 40, overlays = 5 }

[[methods]]
name = "evasion.fgsm"
options = { max_images = 50 }
"""


def test_killed_at_random_moments_the_truth_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "torn.toml"
    file.write_text(TEXT)
    calm = tmp_path / "calm"
    undisturbed = study_kills.start(file, calm)
    study_kills.wait_until_begun(undisturbed, calm)
    began = time.monotonic()
    assert undisturbed.wait() == 0
    pause = (time.monotonic() - began) / 4
    for attempt in range(4):  # a machine that was busy before may be quick now, and done before the first moment
        torn = tmp_path / f"torn-{attempt}"
        if study_kills.tear(file, torn, 2, pause / 3**attempt, seed=0).total() > 0:
            break
    else:
        pytest.fail("nothing was killed in time")
    expected = study_kills.truths(calm)
    assert len(expected) == 8
    assert study_kills.failures(torn) == 0
    assert study_kills.truths(torn) == expected
