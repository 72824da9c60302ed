"""Recorded answers with and without true labels, from the archive to the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.api import audit
from assay.base.errors import DataError, LoadError
from assay.cli import main
from assay.methods.membership.metrics_attack import WITHOUT_LABELS
from assay.targets.recorded_answers import read_outputs
from assay.targets.target import Target


def posteriors(n: int, sharpness: float, seed: int) -> np.ndarray:
    logits = sharpness * np.random.default_rng(seed).normal(size=(n, 4))
    raised = np.exp(logits)
    return (raised / raised.sum(1, keepdims=True)).astype(np.float32)


MEMBERS, OTHERS = posteriors(400, 6.0, 0), posteriors(400, 2.0, 1)


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """Answers that are surer about members, without a label."""
    np.savez(tmp_path / "answers.npz", members=MEMBERS, non_members=OTHERS)
    return tmp_path / "answers.npz"


def test_attacks_without_need_of_labels_run_and_the_others_say_what_to_add(unlabelled: Path, tmp_path: Path) -> None:
    names = ["membership.metrics", "membership.mlp", "membership.label_only"]
    found = audit(read_outputs(unlabelled), methods=names, workspace=tmp_path / "workspace", device="cpu")
    by_name = {outcome.method.name: outcome for outcome in found.outcomes}
    metrics, mlp, labels = (by_name[name] for name in names)
    assert metrics.status == "done", metrics.reason
    assert {metric.name for metric in metrics.metrics if metric.name.startswith("auc_")} == {f"auc_{WITHOUT_LABELS}"}
    auc = metrics.metric(f"auc_{WITHOUT_LABELS}").value
    assert auc is not None
    assert auc > 0.7
    assert metrics.verdict is not None
    assert metrics.verdict.level == "high"
    assert mlp.status == "done", mlp.reason
    assert "auc_mlp_full" in {metric.name for metric in mlp.metrics}
    told = {metric.name for outcome in (metrics, mlp) for metric in outcome.metrics}
    assert not told & {"train_accuracy", "test_accuracy", "auc_correctness", "auc_mlp_full_and_correctness"}
    assert labels.status == "skipped"
    assert labels.reason == (
        "It needs the true labels of samples, and answers was recorded without: add them as member_labels and "
        "non_member_labels."
    )
    assert metrics.target.sanity is None, "without labels nobody can say that it guesses"


def test_the_same_answers_with_labels_are_another_measurement(unlabelled: Path) -> None:
    bare = read_outputs(unlabelled)
    labels = np.zeros(400, np.int64)
    known = Target.from_outputs((MEMBERS, labels), (OTHERS, labels))
    assert not bare.labelled
    assert known.labelled
    assert bare.digest == known.digest
    assert bare.splits.digests() != known.splits.digests()


def test_labels_of_one_part_alone_and_misspelled_ones_are_refused(unlabelled: Path, tmp_path: Path) -> None:
    labels = np.zeros(400, np.int64)
    with pytest.raises(DataError, match="labels of one part alone"):
        Target.from_outputs((MEMBERS, labels), (OTHERS, None))
    np.savez(tmp_path / "one.npz", members=MEMBERS, non_members=OTHERS, member_labels=labels)
    with pytest.raises(LoadError, match="no array 'non_member_labels'"):
        read_outputs(tmp_path / "one.npz")
    np.savez(tmp_path / "spelled.npz", members=MEMBERS, non_members=OTHERS, members_labels=labels)
    with pytest.raises(LoadError, match=r"no array 'member_labels'.*members_labels"):
        read_outputs(tmp_path / "spelled.npz")
    with pytest.raises(DataError, match="has labels -1 to -1"):
        replace(read_outputs(unlabelled), recorded=False).with_splits(read_outputs(unlabelled).splits)


def test_the_command_line_reports_what_ran(
    unlabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--outputs", str(unlabelled), "--workspace", str(tmp_path / "w"), "--no-changes"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Fix first (open weights): It leaks who was in its training set" in text
    assert "add them as member_labels and non_member_labels" in text
