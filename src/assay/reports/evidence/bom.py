"""A report as an AI bill of materials: CycloneDX 1.7 (ECMA-424), with metrics and declarations of conformance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from assay.methods.metric import Metric
from assay.reports.gate.check import Check
from assay.reports.gate.profile import Profile, Requirement
from assay.reports.report import Report
from assay.studies.outcome import Outcome

SPEC = "1.7"
SCHEMA = f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json"
CONFORMANCE = {"passed": 1, "failed": 0}


def bill_of_materials(report: Report, standards: Mapping[str, tuple[Profile, list[Check]]]) -> dict[str, Any]:
    """The bill of one model; ``standards`` maps names to profiles and what became of their requirements."""
    serial = uuid5(NAMESPACE_URL, "|".join([report.target.digest, *(outcome.key for outcome in report.outcomes)]))
    tool = {"type": "application", "name": "Assay", "version": version("modelassay"), "bom-ref": "assay"}
    declared = [_declared(name, profile, checks, report) for name, (profile, checks) in standards.items()]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": report.measured_until.isoformat(),
            "tools": {"components": [tool]},
            "component": _component(report),
        },
        "definitions": {"standards": [_standard(name, profile) for name, (profile, _) in standards.items()]},
        "declarations": {
            "assessors": [{"bom-ref": "assessor", "thirdParty": False}],
            "attestations": [attestation for attestation, _ in declared],
            "claims": [claim for _, claims in declared for claim in claims],
            "evidence": [_evidence(outcome) for outcome in report.outcomes if outcome.status == "done"],
        },
    }


def _component(report: Report) -> dict[str, Any]:
    target = report.target
    parts = {part.name: part for outcome in report.outcomes for part in outcome.target.data.values()}
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": target.name,
        "modelCard": {
            "modelParameters": {
                "task": "image-classification",
                "datasets": [{"type": "dataset", "name": name} for name in sorted(parts)],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(report))},
            "considerations": {
                "technicalLimitations": [
                    "No answer clears the model: it says what these attacks found, at this effort, on these data."
                ]
            },
        },
        "properties": [{"name": "assay:weights-digest", "value": target.weights_digest}],
    }
    architecture = target.facts.get("architecture")
    if isinstance(architecture, str):
        found["modelCard"]["modelParameters"]["modelArchitecture"] = architecture
    if report.file_digest:
        found["hashes"] = [{"alg": "SHA-256", "content": report.file_digest}]
    return found


def _metrics(report: Report) -> Iterator[dict[str, Any]]:
    for outcome in report.outcomes:
        for metric in outcome.metrics:
            if metric.value is None:
                continue
            found: dict[str, Any] = {
                "type": f"{outcome.method.name} {metric.name}",
                "value": _text(metric.value),
                "slice": f"{outcome.method.access}; seed {outcome.seed}",
            }
            if metric.interval is not None:
                low, high = metric.interval.low, metric.interval.high
                found["confidenceInterval"] = {"lowerBound": _text(low), "upperBound": _text(high)}
            yield found


def _text(value: float) -> str:
    return repr(float(value))


def _standard(name: str, profile: Profile) -> dict[str, Any]:
    requirements = [
        {"bom-ref": f"{name}#{one.id}", "identifier": one.id, "title": one.text, "descriptions": [one.scope]}
        for one in profile.requirement
    ]
    found: dict[str, Any] = {"bom-ref": name, "name": profile.title, "requirements": requirements}
    if profile.url:
        found["externalReferences"] = [{"type": "documentation", "url": profile.url}]
    return found


def _declared(
    name: str, profile: Profile, checks: list[Check], report: Report
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An attestation of one standard, and its claims; what was not measured has neither claim nor score."""
    rows, claims = [], []
    for check in checks:
        ref = f"{name}#{check.rule.subject}"
        told = " ".join(part for part in (check.measured, check.reason) if part) or "Measured."
        row: dict[str, Any] = {"requirement": ref, "conformance": {"rationale": told}}
        if check.status in CONFORMANCE:
            row["conformance"]["score"] = CONFORMANCE[check.status]
            row["claims" if check.status == "passed" else "counterClaims"] = [f"{ref} claim"]
            claims.append(
                {
                    "bom-ref": f"{ref} claim",
                    "target": "model",
                    "predicate": f"{check.rule.demand}: {'met' if check.status == 'passed' else 'not met'}.",
                    "reasoning": f"{told} {check.rule.reason}".strip(),
                    "evidence": [_ref(outcome) for outcome in report.outcomes if _supports(outcome, check)],
                }
            )
        else:
            row["conformance"]["rationale"] = f"Not evaluable. {told}"
        rows.append(row)
    met = sum(check.status == "passed" for check in checks)
    summary = f"{profile.title}: {met} of {len(checks)} requirements met, {len(checks) - len(claims)} not evaluable."
    return {"summary": summary, "assessor": "assessor", "map": rows}, claims


def _supports(outcome: Outcome, check: Check) -> bool:
    rule = check.rule
    assert isinstance(rule, Requirement)
    if outcome.status != "done":
        return False
    return outcome.method.family in rule.families or outcome.method.name in rule.methods or rule.check == "release"


def _ref(outcome: Outcome) -> str:
    return f"trial {outcome.key}"


def _evidence(outcome: Outcome) -> dict[str, Any]:
    """One finished measurement: its sentence, and every number as JSON."""
    return {
        "bom-ref": _ref(outcome),
        "description": f"{outcome.method.title}: {outcome.verdict.sentence if outcome.verdict else ''}",
        "created": outcome.started.isoformat(),
        "data": [_number(metric) for metric in outcome.metrics],
    }


def _number(metric: Metric) -> dict[str, Any]:
    content = metric.model_dump_json(exclude_defaults=True)
    return {
        "name": metric.label,
        "contents": {"attachment": {"contentType": "application/json", "content": content}},
    }
