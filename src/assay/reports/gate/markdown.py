"""The gate's checks as Markdown, for the summary of a job."""

from __future__ import annotations

import html
from pathlib import Path

from assay.reports.files import save
from assay.reports.gate.check import Check, Gate, Status

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
    lines = [f"## {gate.verdict}", "", "| | model | rule | measured | why |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(check) for status in SIGNS for check in gate.having(status)]
    return "\n".join(lines) + "\n"


def _row(check: Check) -> str:
    rule = f"{check.rule.subject}: {check.rule.demand}"
    why = " ".join(part for part in (check.reason, check.rule.reason) if part)
    cells = (SIGNS[check.status], check.target, rule, check.measured, why)
    return f"| {' | '.join(cell_text(cell) for cell in cells)} |"


def cell_text(text: str) -> str:
    """A text as the cell of a Markdown table: nothing in it is taken for markup."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in r"\`*_[]|~" else character for character in escaped)
