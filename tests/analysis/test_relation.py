"""How metrics go together over the models of a workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from assay.analysis.relation import relate
from assay.base.errors import DataError, UsageError
from assay.cli import main
from assay.methods.finding import NO_SAMPLES, Metric
from assay.reports.views.relation import view
from assay.studies.outcome import MethodFacts, Outcome, PartFacts, TargetFacts
from assay.studies.workspace import Workspace

GAPS = [0.01, 0.02, 0.05, 0.03, 0.2, 0.11, 0.08, 0.4, 0.3, 0.15, 0.25]
AUCS = [0.51, 0.50, 0.53, 0.52, 0.6, 0.58, 0.53, 0.71, 0.69, 0.57, 0.6]


def outcome(model: str, method: str, metrics: dict[str, float | None], **changes: Any) -> Outcome:
    facts = MethodFacts(
        name=method, version=1, family="membership", title="", threat_model="", access="black-box, posteriors",
        paper="", options=changes.pop("options", {}),
    )  # fmt: skip
    target = TargetFacts(
        name=model, digest=model, weights_digest=model, input_shape=(1, 1, 1), num_classes=2, preprocessing={},
        data={"members": PartFacts(name="m", size=9, digest=model)},
    )  # fmt: skip
    seed = changes.get("seed", 0)
    return Outcome(
        key=f"{model}-{method}-{seed}", status=changes.get("status", "done"), target=target, method=facts, serving={},
        seed=seed, metrics=[Metric(name=name, label=name, value=value, note="n") for name, value in metrics.items()],
        started=datetime(2025, 11, 22, tzinfo=UTC), versions={},
    )  # fmt: skip


def study() -> list[Outcome]:
    metrics = [
        outcome(f"m{i}", "membership.metrics", {"gap": gap, "auc": auc})
        for i, (gap, auc) in enumerate(zip(GAPS, AUCS, strict=True))
    ]
    others = [outcome(f"m{i}", "membership.mlp", {"auc_mlp": 0.5 + i / 100, "auc": 0.9}) for i in range(10)]
    return [*metrics, *others]


def test_it_is_the_correlation_over_models_that_have_both() -> None:
    found = relate(study(), "gap", ["membership.metrics:auc", "auc_mlp"])
    first, second = found.correlated.groups
    assert first.correlation.r == pytest.approx(stats.pearsonr(GAPS, AUCS).statistic)
    assert first.correlation.rho == pytest.approx(stats.spearmanr(GAPS, AUCS).statistic)
    assert first.correlation.interval.low < first.correlation.r < first.correlation.interval.high
    assert (first.correlation.n, second.correlation.n) == (11, 10)
    assert second.correlation.r == pytest.approx(stats.pearsonr(GAPS[:10], np.arange(10)).statistic)


def test_seeds_are_averaged_and_what_failed_is_left_out() -> None:
    more = [
        outcome("m0", "membership.metrics", {"gap": 0.03, "auc": 0.53}, seed=1),
        outcome("m1", "membership.metrics", {"gap": 9.0, "auc": 9.0}, seed=1, status="failed"),
    ]
    found = relate([*study(), *more], "gap", ["membership.metrics:auc"])
    assert found.values["gap"]["m0"] == pytest.approx(0.02)
    assert found.values["membership.metrics:auc"]["m0"] == pytest.approx(0.52)
    assert found.values["gap"]["m1"] == 0.02


def test_numbers_of_several_methods_or_options_are_not_mixed() -> None:
    with pytest.raises(DataError, match="auc of m0 was measured in several ways"):
        relate(study(), "gap", ["auc"])
    other = outcome("m3", "membership.metrics", {"gap": 0.5}, options={"max_members": 5})
    with pytest.raises(DataError, match="gap of m3"):
        relate([*study(), other], "gap", ["auc_mlp"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="'auc_mlp'"):
        relate(study(), "gap", ["auc_mpl"])
    with pytest.raises(UsageError, match="No outcome"):
        relate(study(), "gap", ["membership.metrics:auc_mlp"])
    with pytest.raises(DataError, match="9 models"):
        relate(study()[:8], "gap", ["auc"])


def test_the_table_of_models_follows_x() -> None:
    shown = view(relate(study(), "gap", ["auc_mlp"]))
    models = shown.tables[0]
    assert models.columns == ("model", "gap", "auc_mlp")
    assert [row[1] for row in models.rows] == sorted(GAPS)
    assert [row for row in models.rows if row[0] == "m10"] == [["m10", 0.25, None]]
    (chart,) = shown.charts()
    assert chart.to_json().count('"metric": "auc_mlp"') == 10


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path / "w")
    for one in study():
        workspace.fresh_artefacts(one.key)
        workspace.save(one, NO_SAMPLES)
    command = ["analysis", "relate", str(tmp_path / "w")]
    assert main([*command, "gap", "auc_mlp", "--out", str(tmp_path / "gap.svg")]) == 0
    assert "auc_mlp" in capsys.readouterr().out
    assert (tmp_path / "gap.svg").read_text().startswith("<svg")
    assert main([*command, "gap"]) == 4
    assert main([*command, "gap", "auk"]) == 4
    assert main(["analysis", "relate", str(tmp_path / "nowhere"), "gap", "auc"]) == 2
    assert not (tmp_path / "nowhere").exists()
    error = capsys.readouterr().err
    assert "Name the metrics" in error
    assert "'auc'" in error
    assert "not a workspace" in error
