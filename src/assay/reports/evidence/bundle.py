"""The evidence bundle: one report in every form that auditors, registries and gates read, without per-record data."""

from __future__ import annotations

import json
from pathlib import Path

from assay.reports.card import model_index
from assay.reports.evidence.bom import bill_of_materials
from assay.reports.evidence.forms import annex_iv, eval_results, sarif, test_result
from assay.reports.gate.evaluate import evaluate
from assay.reports.gate.profile import PACKAGED, read_profile
from assay.reports.report import Report, save
from assay.reports.results import Result


def write_bundle(
    report: Report, folder: Path, dataset: str | None = None, beside: tuple[Report, ...] = ()
) -> list[Path]:
    """Write a report's bundle and return its files.

    It holds aggregates alone: metrics, intervals and sentences; no figure, no image and nothing of a single record.

    Args:
        report: the model's.
        folder: where to; made if it is missing.
        dataset: the hub's id of a benchmark, for ``.eval_results``; without one that file is left out.
        beside: reports of the other files of the release.

    Raises:
        WorkspaceError: if a file cannot be written.
    """
    results = [Result(report), *(Result(other) for other in beside)]
    standards = {}
    for name in PACKAGED:
        profile = read_profile(name)
        checks = evaluate(profile, results).checks
        standards[name] = profile, list(checks[: len(profile.requirement)])
    texts = {
        "bom.cdx.json": _json(bill_of_materials(report, standards)),
        "report.sarif": _json(sarif(report)),
        "annex-iv.md": annex_iv(report, standards["annex-iv"][1]),
        "model-index.yaml": model_index(report),
    }
    tested = test_result(report, standards["aisvs-1.0"][1], "aisvs-1.0")
    if tested is not None:
        texts["test-result.intoto.json"] = _json(tested)
    if dataset is not None:
        texts[".eval_results/assay.yaml"] = eval_results(report, dataset)
    for name, text in texts.items():
        save(folder / name, text)
    return [folder / name for name in sorted(texts)]


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
