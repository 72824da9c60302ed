"""Answers recorded elsewhere: what can be judged from them, and what is refused with one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from assay.cli import main

LABELS = {"members": "member_labels", "non_members": "non_member_labels"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(classes: int = 4, sizes: tuple[int, int] = (150, 120)) -> dict[str, Any]:
    """Answers of a model that is surer of its members."""
    random = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for (name, labels), count, pull in zip(LABELS.items(), sizes, (3.0, 1.0), strict=True):
        found[labels] = random.integers(0, classes, count)
        logits = random.normal(0, 1, (count, classes))
        logits[np.arange(count), found[labels]] += pull
        found[name] = softmax(logits, axis=1).astype(np.float32)
    return found


def write(path: str = "posteriors.npz", without: str = "", **changes: Any) -> str:
    arrays = {name: array for name, array in {**answers(), **changes}.items() if name != without}
    np.savez(path, **arrays)
    return path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    returned = main(["audit", "--outputs", *arguments])
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("assay:")]
    assert (returned, len(lines)) == (code, 1), error
    return lines[0]


def test_membership_is_judged_and_the_rest_is_skipped_with_the_reason(here: Path) -> None:
    assert main(["audit", "--outputs", write(), "--out", "report", "--set", "membership.mlp.epochs=5"]) == 0
    report = json.loads((here / "report" / "report.json").read_text())
    outcomes = {outcome["method"]["name"]: outcome for outcome in report["outcomes"]}
    done = {name for name, outcome in outcomes.items() if outcome["status"] == "done"}
    assert {"membership.metrics", "membership.mlp", "membership.label_only"} <= done
    assert all(name.startswith("membership.") for name in done)
    for name in set(outcomes) - done:
        assert outcomes[name]["status"] == "skipped"
        assert "recorded answers only" in outcomes[name]["reason"] or "white-box" in outcomes[name]["reason"]
    assert {"stealing.basic", "evasion.autoattack"} <= set(outcomes) - done
    assert report["target"]["name"] == "posteriors"
    found = {metric["name"]: metric["value"] for metric in outcomes["membership.metrics"]["metrics"]}
    given = answers()
    right = [np.mean(given[name].argmax(axis=1) == given[labels]) for name, labels in LABELS.items()]
    assert found["overfitting_gap"] == pytest.approx(right[0] - right[1])
    assert found["auc_correctness"] == 0.5 + found["overfitting_gap"] / 2
    assert found["auc_modified_entropy"] > 0.7


def test_nothing_is_measured_twice(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", "--outputs", write(), "--method", "membership.metrics"]
    assert main(command) == main(command) == 0
    assert "Nothing was measured" in capsys.readouterr().out


def test_what_must_ask_new_questions_cannot_be_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = complaint(capsys, write(), "--method", "membership.boundary", code=3)
    assert "recorded answers only" in words


def test_equal_answers_of_members_and_non_members_are_no_overlap(here: Path) -> None:
    sure = np.eye(4, dtype=np.float32)[np.arange(200) % 4]
    labels = np.arange(200) % 4
    same = {"members": sure, "non_members": sure, "member_labels": labels, "non_member_labels": labels}
    command = ["audit", "--outputs", write(**same), "--method", "membership.metrics", "--out", "report"]
    assert main(command) == 0
    report = json.loads((here / "report" / "report.json").read_text())
    metrics = {metric["name"]: metric for metric in report["outcomes"][0]["metrics"]}
    assert metrics["auc_modified_entropy"]["value"] == metrics["auc_correctness"]["value"] == 0.5
    assert metrics["auc_modified_entropy"]["n"] == 400


def test_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no file gone.npz" in complaint(capsys, "gone.npz", code=4)
    (here / "text.npz").write_text("hello")
    assert "text.npz" in complaint(capsys, "text.npz")
    whole = Path(write("whole.npz")).read_bytes()
    (here / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in complaint(capsys, "cut.npz")
    assert "pickled" in complaint(capsys, write("objects.npz", members=np.array([{}, None], object)))
    assert "'membrs'" in complaint(capsys, write("typo.npz", without="members", membrs=answers()["members"]))
    lacks = complaint(capsys, write("lacks.npz", without="member_labels"))
    assert "'member_labels': it takes members, non_members, member_labels, non_member_labels." in lacks
    assert "in place of a model" in complaint(capsys, write(), "starter/digits-cnn", code=4)
    assert "in place of a model" in complaint(capsys, write(), "--data", "digits", code=4)
    assert main(["audit"]) == 4
    assert "--outputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"non_members": answers(5)["non_members"]}, "different numbers of classes: [4, 5]"),
        ({"members": 12 * answers()["members"] - 4}, "Apply a softmax"),
        ({"members": 2 * answers()["members"]}, "sums to 2"),
        ({"members": np.where(np.arange(150)[:, None] == 7, np.nan, answers()["members"])}, "NaN or infinity (row 7)"),
        ({"members": np.where(np.arange(150)[:, None] == 7, np.inf, answers()["members"])}, "NaN or infinity (row 7)"),
        ({"members": answers()["members"][:, 0]}, "(samples, classes)"),
        ({"members": np.ones((150, 1))}, "at least 2 classes"),
        ({"members": np.empty((0, 4)), "member_labels": np.empty(0, np.int64)}, "members is empty"),
        ({"member_labels": np.zeros(149, np.int64)}, "150 rows"),
        ({"member_labels": np.eye(4)[answers()["member_labels"]]}, "150 rows"),
        ({"member_labels": np.full(150, 4)}, "classes 0 to 3"),
        ({"member_labels": np.full(150, -1)}, "classes start at 0"),
        ({"member_labels": np.full(150, 0.5)}, "whole numbers"),
    ],
)
def test_arrays(changes: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in complaint(capsys, write(**changes))


def test_samples_of_one_class_only_are_judged() -> None:
    """Who records the answers for one class may ask about that class."""
    one = answers()
    zeros = {labels: np.zeros_like(one[labels]) for labels in LABELS.values()}
    assert main(["audit", "--outputs", write(**zeros), "--method", "membership.metrics"]) == 0
