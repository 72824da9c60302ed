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
    policy: Annotated[Path | None, Parameter(help="Rules (TOML).")] = None,
    profile: Annotated[
        str | None, Parameter(help="A standard's requirements: aisvs-1.0, annex-iv, or a file (TOML).")
    ] = None,
    baseline: Annotated[Path | None, Parameter(help="What relative rules compare with, named like the result.")] = None,
    junit: Annotated[Path | None, Parameter(help="File for the checks as JUnit XML.")] = None,
    sarif: Annotated[Path | None, Parameter(help="File for the checks as SARIF 2.1.0.")] = None,
    markdown: Annotated[Path | None, Parameter(help="File for the checks as a Markdown table.")] = None,
) -> int:
    """Hold a result against a policy, or a standard's requirements, or both.

    Exit code 0 if it passes, 1 if it fails, 3 if nothing could be judged.
    """
    from rich.console import Console

    from assay.base.errors import UsageError
    from assay.reports.gate.check import Gate, check
    from assay.reports.gate.evaluate import evaluate
    from assay.reports.gate.markdown import print_gate, write_markdown
    from assay.reports.gate.policy import read_policy
    from assay.reports.gate.profile import read_profile
    from assay.reports.results import load_results

    if policy is None and profile is None:
        raise UsageError("Say what to hold the result against: --policy FILE, or --profile aisvs-1.0.")
    rules = read_policy(policy) if policy else None
    standard = read_profile(profile) if profile else None
    results = load_results(result)
    judged = Gate((), 0)
    if rules is not None:
        judged = check(rules, results, load_results(baseline) if baseline else None)
    if standard is not None:
        judged = Gate(judged.checks + evaluate(standard, results).checks, judged.comparisons)
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
