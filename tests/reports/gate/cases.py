"""Policies from text, and results around one metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.base.intervals import clopper_pearson
from assay.methods.finding import Interval, Metric
from assay.reports.gate.policy import Policy, read_policy
from assay.reports.report import assemble
from assay.reports.results import Result
from assay.studies.outcome import Outcome
from reports.samples import outcome, target

RULE = '[[rule]]\nmethod = "evasion.fgsm"\nmetric = "success"\n'


def policy(folder: Path, text: str) -> Policy:
    file = folder / "policy.toml"
    file.write_text(text)
    return read_policy(file)


def share(hits: int, n: int, name: str = "success", **other: Any) -> Metric:
    interval = Interval(**clopper_pearson(hits, n)._asdict())
    return Metric(name=name, label=name, value=hits / n, interval=interval, n=n, **other)


def fgsm(metric: Metric, model: str = "m", **other: Any) -> Outcome:
    return outcome("evasion", "FGSM", metrics=[metric], facts=target(model), **other)


def result(*outcomes: Outcome, artefacts: Path | None = None) -> Result:
    return Result(assemble(outcomes), artefacts)
