"""A number measured again: equal for the same seed, within its noise for another, and what cannot be set up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.api import audit
from assay.base.digests import digest_json
from assay.base.errors import NothingAssessedError, UsageError
from assay.cli import main
from assay.methods.finding import Metric
from assay.reports.evidence.replay import compare, find_outcome
from assay.studies.outcome import Outcome
from reports.samples import outcome, ratio, unfinished


def measured(value: float, seed: int = 0, width: float = 0.02) -> Outcome:
    auc = ratio("auc", "AUC", value, value - width, value + width, "DeLong", n=900)
    bare = Metric(name="bare", label="Bare", value=value, note="It has no interval.")
    return outcome("membership", "LiRA", metrics=[auc, bare], seed=seed)


@pytest.mark.parametrize(
    ("value", "seed", "status"),
    [(0.6, 0, "holds"), (0.6 + 1e-12, 0, "differs"), (0.62, 1, "holds"), (0.64, 1, "differs"), (0.56, 1, "differs")],
)
def test_the_same_seed_is_equal_and_another_within_noise(value: float, seed: int, status: str) -> None:
    assert compare(measured(0.6), measured(value, seed)).status == status


def test_what_cannot_be_told_is_said() -> None:
    assert compare(measured(0.6), measured(0.61, 1), "bare").status == "no interval"
    with pytest.raises(UsageError, match="'auc'"):
        compare(measured(0.6), measured(0.6), "acu")
    failed = unfinished("membership", "LiRA", "failed", "The disk is full.")
    with pytest.raises(NothingAssessedError, match="The disk is full"):
        compare(measured(0.6), failed)


def test_a_key_is_found_by_its_beginning() -> None:
    one, other = measured(0.6), measured(0.6, 1)
    assert find_outcome([one, other], one.key[:10]) is one
    with pytest.raises(UsageError, match="2 finished trials"):
        find_outcome([one, other], "")
    with pytest.raises(UsageError, match="no finished trial"):
        find_outcome([one], "zz")


def test_a_workspace_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = audit("starter/digits-cnn", preset="quick", methods=["membership.metrics"], workspace=tmp_path).outcomes
    command = ["replay", one.key[:16], "--workspace", str(tmp_path)]
    assert main(command) == 0
    assert "equal, to the last digit" in capsys.readouterr().out
    assert main([*command, "--seed", "1"]) == 0
    assert "within the noise" in capsys.readouterr().out
    assert main([*command, "--target", "starter/digits-mlp"]) == 4
    assert "is not what" in capsys.readouterr().err
    file = tmp_path / "trials" / f"{one.key}.json"
    kept = json.loads(file.read_text())
    number = next(metric for metric in kept["outcome"]["metrics"] if metric["name"] == "auc_modified_entropy")
    number["value"] += 0.001
    file.write_text(json.dumps(kept | {"sha256": digest_json(kept["outcome"])}))
    assert main([*command, "--metric", "auc_modified_entropy"]) == 1, "a forged number does not come back"
    assert "not equal; they differ by -0.001" in capsys.readouterr().out
