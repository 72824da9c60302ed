"""Models as users bring them: the lines they write, the first verdict's time, or the sentence of the refusal.

    python -m benchmarks.users.cases [PAGE] [--results FILE]

Each case is made in an empty folder and audited by the command line, in a process of its own with one thread, by one
method (membership by metrics, the quickest verdict that all kinds of models have). The seconds are of the whole
command, imports and the opening of model and data included. Finished cases are kept in FILE, and not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from assay.base.files import write_text
from benchmarks.users.making import CASES, Case

METHOD = ("--method", "membership.metrics")
HEAD = ("case", "lines", "first verdict after, s", "CPU s", "the model is right on", "refused with")
LIMIT = 600


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Make a case and audit it; its exit code, seconds, CPU seconds, accuracy, and the sentence of an error."""
    arguments = case.make(folder)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "assay", "audit", *arguments, *METHOD, "--workspace", str(folder / "w")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=LIMIT,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = [line for line in done.stderr.splitlines() if line.startswith("assay:")]
    return {
        "code": done.returncode,
        "seconds": time.monotonic() - began,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "accuracy": accuracy(folder / "w"),
        "said": said[0].removeprefix("assay: ").replace(f"{folder}/", "") if said else "",
    }


def accuracy(workspace: Path) -> float | None:
    """What the model got right on non-members, as the report says it; None where it does not."""
    for file in workspace.glob("reports/*/report.json"):
        sanity = json.loads(file.read_text())["outcomes"][0]["target"].get("sanity")
        if sanity:
            return float(sanity["accuracy"].get("non_members", {}).get("value"))
    return None


def line(case: Case, found: dict[str, Any]) -> str:
    """A row of the table."""
    right = "" if found["accuracy"] is None else f"{found['accuracy']:.1%}"
    good = found["code"] == 0
    times = (f"{found['seconds']:.1f}" if good else "", f"{found['cpu']:.1f}")
    said = found["said"].replace("|", "\\|")
    return f"| {' | '.join((case.name, str(case.lines), *times, right, '' if good else said))} |"


def as_wanted(case: Case, found: dict[str, Any]) -> bool:
    """Whether a case was judged, or refused in one sentence, as it should be."""
    return case.refused in found["said"] and found["code"] in (2, 4) if case.refused else found["code"] == 0


def page(results: dict[str, Any]) -> str:
    """The documentation's page."""
    purpose = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip()
    known = [case for case in CASES if case.name in results]
    right = sum(as_wanted(case, results[case.name]) for case in known)
    rows = [line(case, results[case.name]) for case in known]
    table = "\n".join([f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *rows])
    return (
        f"# Models as users bring them\n\n`python -m benchmarks.users.cases` makes this table. {purpose}\n\n{table}\n\n"
        f"{right} of {len(known)} cases end as they should: judged, or refused in one sentence. Hugging Face and Keras "
        "cases are untrained networks on noise, so that what they get right is chance.\n"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--results", type=Path, default=Path("users.json"))
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    for case in CASES:
        if case.name not in results:
            with tempfile.TemporaryDirectory() as folder:
                results[case.name] = run(case, Path(folder))
            write_text(options.results, json.dumps(results, indent=1) + "\n")
        print(line(case, results[case.name]), flush=True)
    if options.page:
        write_text(options.page, page(results))


if __name__ == "__main__":
    main()
