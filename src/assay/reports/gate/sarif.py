"""The gate's checks as SARIF 2.1.0 (OASIS, 2020), which code hosts show beside the code."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assay.base.digests import digest_json
from assay.reports.gate.check import Check, Gate, Status
from assay.reports.gate.policy import Rule
from assay.reports.report import save

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
KINDS: dict[Status, tuple[str, str]] = {
    "passed": ("pass", "none"),
    "failed": ("fail", "error"),
    "skipped": ("notApplicable", "none"),
}
"""A check's status to a result's kind and level (SARIF 2.1.0, 3.27.9 and 3.27.10)."""


def write_sarif(gate: Gate, path: Path) -> None:
    """Write one run, whose results point at the rule's line in the policy file.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    subjects = list(dict.fromkeys(check.rule.subject for check in gate.checks))
    driver = {
        "name": "Assay",
        "version": version("modelassay"),
        "rules": [{"id": subject, "shortDescription": {"text": subject}} for subject in subjects],
    }
    results = [_result(check, subjects.index(check.rule.subject), gate.policy.path) for check in gate.checks]
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    save(path, json.dumps(log, indent=1) + "\n")


def _result(check: Check, index: int, policy: Path) -> dict[str, Any]:
    kind, level = KINDS[check.status]
    place = {"artifactLocation": {"uri": quote(policy.as_posix())}, "region": {"startLine": check.line}}
    return {
        "ruleId": check.rule.subject,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": _message(check.rule, check)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"assayCheck/v1": digest_json([check.target, check.rule.model_dump(mode="json")])},
    }


def _message(rule: Rule, check: Check) -> str:
    told = f"{check.target}: {rule.subject}, {rule.demand}: {check.status}"
    told += f" with {check.measured}" if check.measured else ""
    return " ".join(part for part in (f"{told}.", check.reason, rule.reason) if part)
