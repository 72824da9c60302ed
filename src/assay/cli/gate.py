"""``assay gate``: one verdict on a result, for continuous integration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Result = Annotated[Path, Parameter(help="A report.json, a workspace, or a folder of reports.")]


def gate(
    result: Result,
    /,
    *,
    policy: Annotated[Path, Parameter(help="Rules (TOML).")],
    baseline: Annotated[Path | None, Parameter(help="What relative rules compare with, named like the result.")] = None,
    junit: Annotated[Path | None, Parameter(help="File for the checks as JUnit XML.")] = None,
    sarif: Annotated[Path | None, Parameter(help="File for the checks as SARIF 2.1.0.")] = None,
    markdown: Annotated[Path | None, Parameter(help="File for the checks as a Markdown table.")] = None,
) -> int:
    """Hold a result against a policy. Exit code 0 if it passes, 1 if it fails, 3 if nothing could be judged."""
    from rich.console import Console

    from assay.reports.gate.check import check
    from assay.reports.gate.markdown import print_gate, write_markdown
    from assay.reports.gate.policy import read_policy
    from assay.reports.results import load_results

    rules = read_policy(policy)
    judged = check(rules, load_results(result), load_results(baseline) if baseline else None)
    if junit is not None:
        from assay.reports.gate.junit import write_junit

        write_junit(judged, junit)
    if sarif is not None:
        from assay.reports.gate.sarif import write_sarif

        write_sarif(judged, sarif)
    if markdown is not None:
        write_markdown(judged, markdown)
    print_gate(judged, Console())
    return judged.exit_code
