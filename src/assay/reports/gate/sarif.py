"""What the gate found wrong as SARIF 2.1.0 (OASIS, 2020), which code hosts show as security alerts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assay.base.digests import digest_json
from assay.methods.about import USUAL
from assay.methods.index import find_method
from assay.methods.standards import ids_of, tags_of
from assay.reports.gate.check import Check, Gate
from assay.reports.gate.profile import Requirement
from assay.reports.report import save
from assay.reports.wording import QUESTIONS, AnswerLevel

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
TECHNIQUE = "https://atlas.mitre.org/techniques/"
SEVERITY: dict[AnswerLevel, float] = {
    "high": 8.0,
    "elevated": 6.0,
    "undecided": 5.0,
    "not assessed": 4.0,
    "low": 3.0,
}
"""By the level of what failed; code hosts call 7.0 and more high, 4.0 and more medium."""


def write_sarif(gate: Gate, path: Path) -> None:
    """Write one run. Its results are the checks that failed, at the file of the model; rules carry their severity.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    failed = gate.having("failed")
    subjects = list(dict.fromkeys(check.rule.subject for check in failed))
    rules = [_rule([check for check in failed if check.rule.subject == subject]) for subject in subjects]
    driver = {"name": "Assay", "version": version("modelassay"), "rules": rules}
    results = [_result(check, subjects.index(check.rule.subject)) for check in failed]
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    save(path, json.dumps(log, indent=1) + "\n")


def _rule(checks: Sequence[Check]) -> dict[str, Any]:
    """A rule that failed: what it is about, where to read on, and its severity by the worst of its failures."""
    rule = checks[0].rule
    atlas: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    if isinstance(rule, Requirement):
        about = f"{rule.text} {rule.scope}"
    elif rule.question is not None:
        about, atlas = QUESTIONS[rule.question], USUAL[rule.question, False][1]
        ids = tags_of(ids_of("", rule.question, True))
    else:
        entry = find_method(rule.method or "")
        about, atlas = f"{entry.about.title}: {entry.about.summary}", entry.about.atlas
        ids = tags_of(ids_of(entry.name, entry.family, entry.needs == "white-box"))
    found: dict[str, Any] = {
        "id": rule.subject,
        "shortDescription": {"text": rule.subject},
        "fullDescription": {"text": about},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "security-severity": f"{max(SEVERITY[check.level] for check in checks):.1f}",
            "tags": ["security", "machine learning", *ids],
        },
    }
    return found | ({"helpUri": TECHNIQUE + atlas[0]} if atlas else {})


def _result(check: Check, index: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(check.file or check.target)}, "region": {"startLine": 1}}
    return {
        "ruleId": check.rule.subject,
        "ruleIndex": index,
        "kind": "fail",
        "level": "error",
        "message": {"text": _message(check)},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"name": check.target, "kind": "model"}]}],
        "partialFingerprints": {"assayCheck/v1": digest_json([check.target, check.rule.model_dump(mode="json")])},
    }


def _message(check: Check) -> str:
    rule = check.rule
    told = f"{check.target}: {rule.subject}, {rule.demand}: failed"
    told += f" with {check.measured}" if check.measured else ""
    return " ".join(part for part in (f"{told}.", check.reason, rule.reason) if part)
