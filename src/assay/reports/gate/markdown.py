"""The gate's checks for people: on a terminal, and as Markdown for the summary of a job."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.reports.gate.check import Check, Gate, Status
from assay.reports.markdown import table
from assay.reports.report import save

SIGNS: dict[Status, str] = {"failed": "✗ failed", "skipped": "- did not apply", "passed": "✓ passed"}
"""What is wrong comes first."""


STYLES: dict[Status, str] = {"skipped": "dim", "failed": "red"}


def print_gate(gate: Gate, console: Console) -> None:
    """Print each check that failed or did not apply with its reason, and one verdict."""
    for status, style in STYLES.items():
        for check in gate.having(status):
            head = Text.assemble((status, style), f"  {check.target}: {check.rule.subject}, {check.rule.demand}")
            console.print(head, soft_wrap=True)
            console.print(Text(" ".join(part for part in (check.measured, check.reason) if part)), soft_wrap=True)
    console.print(Text(gate.verdict, style="bold"), soft_wrap=True)


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
