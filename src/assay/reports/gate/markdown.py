"""The gate's checks as Markdown, for the summary of a job."""

from __future__ import annotations

from pathlib import Path

from assay.reports.files import save
from assay.reports.gate.check import Check, Gate, Status
from assay.reports.markdown import table

SIGNS: dict[Status, str] = {"failed": "✗ failed", "skipped": "- did not apply", "passed": "✓ passed"}
"""What is wrong comes first."""


def write_markdown(gate: Gate, path: Path) -> None:
    """Write the verdict and a table of every check, the failed first.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    save(path, markdown(gate))


def markdown(gate: Gate) -> str:
    """The text; see `write_markdown`."""
    rows = [_row(check) for status in SIGNS for check in gate.having(status)]
    return "\n".join([f"## {gate.verdict}", "", *table(("", "model", "rule", "measured", "why"), rows)]) + "\n"


def _row(check: Check) -> tuple[str, ...]:
    rule = f"{check.rule.subject}: {check.rule.demand}"
    why = " ".join(part for part in (check.reason, check.rule.reason) if part)
    return SIGNS[check.status], check.target, rule, check.measured, why
