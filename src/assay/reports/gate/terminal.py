"""The gate's checks on a terminal: what did not pass, then the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from assay.reports.gate.check import Gate, Status

STYLES: dict[Status, str] = {"skipped": "dim", "failed": "red"}


def print_gate(gate: Gate, console: Console) -> None:
    """Print each check that failed or did not apply with its reason, and one verdict."""
    for status, style in STYLES.items():
        for check in gate.having(status):
            head = Text.assemble((status, style), f"  {check.target}: {check.rule.subject}, {check.rule.demand}")
            console.print(head, soft_wrap=True)
            console.print(Text(" ".join(part for part in (check.measured, check.reason) if part)), soft_wrap=True)
    console.print(Text(gate.verdict, style="bold"), soft_wrap=True)
