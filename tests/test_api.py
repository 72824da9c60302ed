"""The Python face: what a user types first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import assay
from assay.api import expand, write_reports
from assay.base.errors import NothingAssessedError, UsageError
from assay.reports.writing import slug
from studies.doubles import linear, splits, target

METHODS = ("membership.metrics", "evasion.fgsm")


def test_an_audit_is_written_displayed_and_tabulated(tmp_path: Path) -> None:
    audit = assay.audit(target(), methods=METHODS, workspace=tmp_path / "w")
    page = audit.write(tmp_path / "report")
    assert page == tmp_path / "report" / "report.html"
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(report["outcomes"]) == 2
    assert "linear" in audit._repr_html_()
    assert repr(audit) == f"<Audit: {audit.report.summary}>"
    assert set(audit.frame()["method"]) == set(METHODS)
    again = assay.audit(target(), methods=METHODS, workspace=tmp_path / "w")
    assert (again.reused, again.outcomes) == (2, audit.outcomes)


def test_any_callable_can_be_audited_without_gradients(tmp_path: Path) -> None:
    module = linear()
    ask = assay.Target.from_function(
        lambda images: torch.softmax(module(torch.from_numpy(images)), 1).detach().numpy(),
        digest="v1",
        input_shape=(1, 4, 4),
        num_classes=3,
        splits=splits(),
    )
    outcomes = assay.audit(ask, methods=METHODS, workspace=tmp_path / "w").outcomes
    assert [outcome.status for outcome in outcomes] == ["done", "skipped"]


def test_two_targets_of_one_name_get_two_reports(tmp_path: Path) -> None:
    audits = [assay.audit(target(seed=seed), methods=METHODS[1:], workspace=tmp_path / "w") for seed in (0, 1)]
    index = write_reports(audits)
    assert index == tmp_path / "w" / "reports" / "index.html"
    assert len(list(index.parent.glob("*/report.html"))) == 2


def test_nothing_assessed_says_why(tmp_path: Path) -> None:
    closed = assay.Target.from_function(
        lambda images: None,
        digest="v1",
        input_shape=(1, 4, 4),
        num_classes=3,
        splits=splits(),  # type: ignore[arg-type, return-value]
    )
    with pytest.raises(NothingAssessedError, match="white-box"):
        write_reports([assay.audit(closed, methods=METHODS[1:], workspace=tmp_path / "w")])


def test_patterns_expand_to_catalogue_ids() -> None:
    assert "starter/digits-cnn" in expand(["starter/*"])
    assert expand(["a.toml", "a.toml"]) == ["a.toml"]
    with pytest.raises(UsageError, match="nobody"):
        expand(["nobody/*"])


def test_slugs_are_folder_names() -> None:
    assert slug("a/b c") == "a-b-c"
    assert slug("../..") == "target"


def test_public_names_are_all_there() -> None:
    assert all(getattr(assay, name) is not None for name in assay.__all__)
    with pytest.raises(AttributeError):
        _ = assay.nothing
