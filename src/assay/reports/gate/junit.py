"""The gate's checks as JUnit XML, which continuous integration servers show as tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from assay.reports.gate.check import Check, Gate
from assay.reports.report import save

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def write_junit(gate: Gate, path: Path) -> None:
    """Write a suite of tests for each target, one test a check.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    root = ElementTree.Element("testsuites", {"name": "assay gate", **_counts(gate.checks)})
    for target in dict.fromkeys(check.target for check in gate.checks):
        checks = [check for check in gate.checks if check.target == target]
        suite = ElementTree.SubElement(root, "testsuite", {"name": _text(target), **_counts(checks)})
        for check in checks:
            name = _text(f"{check.rule.subject} {check.rule.demand}")
            case = ElementTree.SubElement(suite, "testcase", classname=_text(target), name=name)
            if check.status != "passed":
                kind = "failure" if check.status == "failed" else "skipped"
                ElementTree.SubElement(case, kind, message=_text(check.reason))
            if check.measured:
                ElementTree.SubElement(case, "system-out").text = _text(check.measured)
    ElementTree.indent(root)
    save(path, ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")


def _counts(checks: Sequence[Check]) -> dict[str, str]:
    statuses = [check.status for check in checks]
    return {
        "tests": str(len(statuses)),
        "failures": str(statuses.count("failed")),
        "errors": "0",
        "skipped": str(statuses.count("skipped")),
    }


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
