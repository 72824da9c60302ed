"""A report in the smaller forms: in-toto test result, SARIF with taxonomies, hub results, Annex IV in prose."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from assay.methods.standards import AISVS, ATLAS, NIST, TESTING_GUIDE, ids_of
from assay.reports.answers import verdict_metric
from assay.reports.evidence.statement import STATEMENT
from assay.reports.format import date, metric_text, scale_text
from assay.reports.gate.check import Check
from assay.reports.gate.markdown import EVALUATED
from assay.reports.gate.sarif import SCHEMA
from assay.reports.markdown import plain, table
from assay.reports.report import Report
from assay.studies.outcome import Outcome

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"

KINDS = {
    "high": ("fail", "error"),
    "elevated": ("fail", "warning"),
    "undecided": ("review", "none"),
    "low": ("pass", "none"),
}
"""SARIF's kind and level of a verdict."""


def test_result(report: Report, checks: Sequence[Check], profile: str) -> dict[str, Any] | None:
    """The in-toto statement of one profile's requirements as tests (predicate test-result 0.1), unsigned.

    What is not evaluable is a warning: nothing failed, and nothing was shown. None where no file of the model is known:
    the statement would have no subject.
    """
    if report.file_digest is None:
        return None
    named = {
        status: [f"{profile} {check.rule.subject}" for check in checks if check.status == status]
        for status in ("passed", "skipped", "failed")
    }
    result = "FAILED" if named["failed"] else "WARNED" if named["skipped"] else "PASSED"
    return {
        "_type": STATEMENT,
        "subject": [{"name": report.target.name, "digest": {"sha256": report.file_digest}}],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": result,
            "configuration": [
                {"name": outcome.method.name, "digest": {"sha256": outcome.key}}
                for outcome in report.outcomes
                if outcome.status == "done"
            ],
            "passedTests": named["passed"],
            "warnedTests": named["skipped"],
            "failedTests": named["failed"],
        },
    }


def taxa(outcome: Outcome) -> dict[str, tuple[str, ...]]:
    """The ids of an outcome, by standard."""
    ids = ids_of(outcome.method.name, outcome.method.family, not outcome.serving)
    return {AISVS: ids.aisvs, TESTING_GUIDE: ids.testing_guide, NIST: ids.nist, ATLAS: outcome.method.atlas}


def sarif(report: Report) -> dict[str, Any]:
    """Every finding of a report, the good ones too, each with its ids in four standards; SARIF 2.1.0."""
    known: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        for name, ids in taxa(outcome).items():
            known[name] = sorted({*known.get(name, ()), *ids})
    rules = [
        {"id": name, "shortDescription": {"text": title}}
        for name, title in {o.method.name: o.method.title for o in report.outcomes}.items()
    ]
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    driver = {
        "name": "Assay",
        "version": version("modelassay"),
        "rules": rules,
        "supportedTaxonomies": [{"name": name, "index": place} for place, name in enumerate(known)],
    }
    run = {
        "tool": {"driver": driver},
        "taxonomies": [{"name": name, "taxa": [{"id": one} for one in ids]} for name, ids in known.items()],
        "results": [_result(outcome, places[outcome.method.name], list(known)) for outcome in report.outcomes],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(outcome: Outcome, index: int, taxonomies: list[str]) -> dict[str, Any]:
    target = outcome.target
    kind, level = KINDS[outcome.verdict.level] if outcome.verdict else ("notApplicable", "none")
    sentence = outcome.verdict.sentence if outcome.verdict else f"Not measured: {outcome.reason}"
    file = target.facts.get("file")
    where = quote(file if isinstance(file, str) else target.name)
    return {
        "ruleId": outcome.method.name,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": f"{sentence} {metric_text(verdict_metric(outcome))} ({_bound(outcome)})"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": where}, "region": {"startLine": 1}},
                "logicalLocations": [{"name": target.name, "kind": "model"}],
            }
        ],
        "partialFingerprints": {"assayTrial/v1": outcome.key},
        "taxa": [
            {"id": one, "toolComponent": {"name": name, "index": taxonomies.index(name)}}
            for name, ids in taxa(outcome).items()
            for one in ids
        ],
    }


def _bound(outcome: Outcome) -> str:
    return scale_text(verdict_metric(outcome)) or "no bound"


def eval_results(report: Report, dataset: str) -> str:
    """A file for ``.eval_results/`` of a model's repository on the hub (YAML): the number that decided each verdict.

    ``dataset`` is the hub's id of a data set that is registered as a benchmark; a method's and metric's name is its
    task. Numbers that do not exist are left out.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for outcome in report.outcomes:
        metric = verdict_metric(outcome)
        if metric is not None and metric.value is not None:
            entries.append(
                EvalResultEntry(
                    dataset_id=dataset,
                    task_id=f"{outcome.method.name}.{metric.name}",
                    value=float(metric.value),
                    date=f"{outcome.started:%Y-%m-%d}",
                    notes=f"{metric_text(metric)}; seed {outcome.seed}; {outcome.method.access}",
                )
            )
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True))


def annex_iv(report: Report, checks: Sequence[Check]) -> str:
    """A section for technical documentation under Annex IV, 2(g), in Markdown: what was tested, and what came out."""
    parts = {(name, part) for outcome in report.outcomes for name, part in outcome.target.data.items()}
    builds = ", ".join(sorted({outcome.versions.get("assay", "unknown") for outcome in report.outcomes}))
    lines = [
        "## Validation and testing: robustness, confidentiality and integrity (Annex IV, 2(g); Article 15(5))",
        "",
        f"The model {plain(report.target.name)} "
        + (f"(file with SHA-256 `{report.file_digest}`) " if report.file_digest else "")
        + f"was tested from {date(report.measured_from)} to {date(report.measured_until)} with Assay "
        + f"{builds}. {plain(report.summary)}",
        "",
        "### Data",
        "",
        *table(
            ("part", "data", "samples", "digest"),
            [(name, part.name, str(part.size), part.digest) for name, part in sorted(parts, key=lambda x: x[0])],
        ),
        "",
        "### Requirements",
        "",
        *table(
            ("requirement", "result", "measured", "remarks"),
            [
                (f"{c.rule.subject}: {c.rule.demand}", EVALUATED[c.status], c.measured, f"{c.reason} {c.rule.reason}")
                for c in checks
            ],
        ),
        "",
        "### Tests",
        "",
    ]
    for outcome in report.outcomes:
        if outcome.verdict is None:
            lines += [f"**{plain(outcome.method.title)}.** Not measured: {plain(outcome.reason)}", ""]
            continue
        ids = "; ".join(f"{name}: {', '.join(found)}" for name, found in taxa(outcome).items() if found)
        lines += [
            f"**{plain(outcome.method.title)}** ({outcome.method.access}; seed {outcome.seed}). "
            f"{plain(outcome.method.threat_model)} {plain(outcome.verdict.sentence)} "
            f"Measured: {metric_text(verdict_metric(outcome))}; {_bound(outcome)}. {ids}.",
            "",
        ]
    return "\n".join(lines)
