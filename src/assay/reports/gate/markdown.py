"""The gate's checks for people: on a terminal, and as Markdown for the summary of a job."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.reports.gate.check import Check, Gate, Status
from assay.reports.gate.profile import Requirement
from assay.reports.markdown import table
from assay.reports.report import save

SIGNS: dict[Status, str] = {"failed": "✗ failed", "skipped": "- did not apply", "passed": "✓ passed"}
"""What is wrong comes first."""


STYLES: dict[Status, str] = {"passed": "green", "skipped": "dim", "failed": "red"}

EVALUATED: dict[Status, str] = {"passed": "met", "failed": "not met", "skipped": "not evaluable"}
"""What became of a requirement, in its standard's words."""


def word_of(check: Check) -> str:
    """What became of a rule, or of a requirement."""
    return EVALUATED[check.status] if isinstance(check.rule, Requirement) else check.status


def print_gate(gate: Gate, console: Console) -> None:
    """Print each check that failed or did not apply with its reason, every requirement, and one verdict."""
    for status, style in STYLES.items():
        for check in gate.having(status):
            if status == "passed" and not isinstance(check.rule, Requirement):
                continue
            word = word_of(check)
            head = Text.assemble((word, style), f"  {check.target}: {check.rule.subject}, {check.rule.demand}")
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
    sign = EVALUATED[check.status] if isinstance(check.rule, Requirement) else SIGNS[check.status]
    return sign, check.target, rule, check.measured, why
