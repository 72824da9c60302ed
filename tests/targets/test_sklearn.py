"""Models of scikit-learn as skl2onnx exports them, on a real table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assay import audit
from assay.data.vectors import raw_vectors
from assay.studies import Workspace
from assay.targets.reference import load_target

skl2onnx = pytest.importorskip("skl2onnx")


def write(folder: Path, model: Any) -> tuple[str, Any]:
    """A target file of a model that was trained on 380 of 569 rows, and the model."""
    table = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=0)
    table["target"] = table["target"].map({0: "malignant", 1: "benign"})
    train, test = table[:380], table[380:]
    train.to_csv(folder / "cancer_train.csv", index=False)
    test.to_csv(folder / "cancer_test.csv", index=False)
    x = train.drop(columns="target").to_numpy(np.float32)
    model.fit(x, train["target"].to_numpy())
    (folder / "m.onnx").write_bytes(skl2onnx.to_onnx(model, x[:1]).SerializeToString())
    (folder / "m.toml").write_text('weights = "m.onnx"\nexpected_accuracy = 0.95\ndata = "cancer_train.csv"\n')
    return str(folder / "m.toml"), model


def test_a_forest_answers_as_in_scikit_learn_and_is_stolen(tmp_path: Path) -> None:
    path, model = write(tmp_path, RandomForestClassifier(50, random_state=0))
    target = load_target(path)
    assert (target.modality, target.class_names) == ("vector", ("benign", "malignant"))
    for part in (target.splits.members, target.splits.non_members):
        assert part is not None
        rows = np.arange(len(part))
        found = target.logits(part.take(rows)).softmax(1).numpy()
        expected = model.predict_proba(raw_vectors(part, rows))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert (found.argmax(1) == part.labels).mean() > 0.9
    done = audit(target, preset=None, methods=["stealing.basic"], workspace=Workspace(tmp_path / "w"))
    assert done.outcomes[0].metric("agreement").value > 0.85  # type: ignore[operator]


def test_a_tree_without_limits_leaks_and_a_regularised_line_does_not(tmp_path: Path) -> None:
    aucs = []
    for name, model in (
        ("forest", RandomForestClassifier(100, max_features=None, random_state=0)),
        ("line", make_pipeline(StandardScaler(), LogisticRegression(C=0.05))),
    ):
        folder = tmp_path / name
        folder.mkdir()
        target = load_target(write(folder, model)[0])
        done = audit(target, preset=None, methods=["membership.metrics"], workspace=Workspace(folder / "w"))
        aucs.append(done.outcomes[0].metric("auc_modified_entropy").interval)
    forest, line = aucs
    assert forest is not None
    assert line is not None
    assert forest.low > 0.5
    assert line.low < 0.5
