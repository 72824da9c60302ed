"""What an audit says that it will take, beside what it takes; and whether `--minutes 2` ends within two minutes.

    python -m benchmarks.users.estimates [PAGE] [--results FILE] [--only NAME]

Each audit runs by the command line in an empty workspace. Its estimate is the line that it prints before its first
method; the truth is the time by the clock from that line to its end, the report included. Then the same audit runs
in another empty workspace with `--minutes 2`, from start to end. Finished audits are kept in FILE, and not run again.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from assay.base.files import write_text
from benchmarks.users.making import onnx_export, recorded, table, text_folder

LIMIT = 1800
MINUTES = 2
WITHIN = (0.67, 1.5)
HEAD = ("audit", "said, s", "took, s", "ratio", "CPU s", "with two minutes, s", "reported")
_SAID = re.compile(r"methods?, about (?:(\d+) h )?(?:(\d+) min )?(?:(\d+) s)?")


class Audit(NamedTuple):
    """An audit: ``make`` writes what it needs into an empty folder and returns the arguments of ``assay audit``."""

    name: str
    make: Callable[[Path], list[str]]


def known(*arguments: str) -> Callable[[Path], list[str]]:
    """Arguments that need no file."""
    return lambda folder: list(arguments)


def methods(*names: str) -> tuple[str, ...]:
    """Those methods alone."""
    return tuple(word for name in names for word in ("--method", name))


AUDITS = (
    Audit("CNN of digits", known("starter/digits-cnn")),
    Audit(
        "ViT of digits, standard, three methods",
        known(
            "starter/digits-vit",
            *("--preset", "standard"),
            *methods("stealing.basic", "membership.mlp", "evasion.autoattack"),
        ),
    ),
    Audit("ResNet-20 of CIFAR-10", known("akamaster/cifar10-resnet20")),
    Audit("LeNet of CIFAR-10 (Keras)", known("hyperparticle/cifar10-lenet")),
    Audit("ResNet-8 of CIFAR-10 (TFLite, int8)", known("mlcommons/cifar10-resnet8-int8")),
    Audit("CNN of Fashion-MNIST", known("locuslab/fashion-mnist-small")),
    Audit(
        "CNN of MNIST, shadow models",
        known(
            "abcrown/mnist-conv-small-nat",
            *("--preset", "standard", "--set", "membership.lira.models=4", "--set", "membership.lira.max_members=2000"),
            *methods("membership.lira", "membership.metrics"),
        ),
    ),
    Audit("badly trained CNN of CIFAR-10, labels only", known("badnets/cifar10-cnn", "--output", "label")),
    Audit("BERT folder, texts", text_folder("bert")),
    Audit("random forest (ONNX), CSV", table("forest", "csv")),
    Audit("CNN of digits (ONNX)", onnx_export(True)),
    Audit("recorded answers", recorded),
)


def run(audit: Audit, *, minutes: int | None) -> dict[str, Any]:
    """Run an audit in an empty folder: seconds from its estimate (with ``minutes``: from its start) to its end.

    Also the estimate, CPU seconds, and whether a report was written.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = [*audit.make(folder), "--workspace", str(folder / "w"), "--no-changes"]
        arguments += [] if minutes is None else ["--minutes", str(minutes)]
        before, began, said = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), None
        with subprocess.Popen(
            [sys.executable, "-m", "assay", "audit", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if minutes is None and said is None and (found := _SAID.search(line)):
                    hours, whole, seconds = (int(number or 0) for number in found.groups())
                    said, began = 3600 * hours + 60 * whole + seconds, time.monotonic()
            code = process.wait(LIMIT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "code": code,
            "said": said,
            "seconds": time.monotonic() - began,
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "reported": any((folder / "w" / "reports").glob("*/report.html")),
        }


def line(name: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    whole, short = found["whole"], found["short"]
    said, took = whole["said"], whole["seconds"]
    ratio = "" if not said else f"{said / took:.2f}"
    cells = (name, said, f"{took:.0f}", ratio, f"{whole['cpu']:.0f}", f"{short['seconds']:.0f}")
    return f"| {' | '.join(map(str, cells))} | {'yes' if short['reported'] else 'no'} |"


def page(results: dict[str, Any]) -> str:
    """The documentation's page."""
    there = {audit.name: results[audit.name] for audit in AUDITS if audit.name in results}
    whole, short = ([found[part] for found in there.values()] for part in ("whole", "short"))
    ratios = [found["said"] / found["seconds"] for found in whole if found["said"]]
    right = sum(WITHIN[0] <= ratio <= WITHIN[1] for ratio in ratios)
    timely = sum(found["seconds"] <= 66 * MINUTES and found["reported"] for found in short)
    rows = "\n".join([f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *(line(*each) for each in there.items())])
    purpose = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip()
    return (
        "# Estimates beside the truth\n\n`python -m benchmarks.users.estimates` makes this table. "
        f"{purpose}\n\n{rows}\n\n"
        f"{right} of {len(there)} estimates are within {WITHIN[0]} and {WITHIN[1]} times the truth. With "
        f"`--minutes {MINUTES}`, {timely} of {len(there)} end within {1.1 * MINUTES:.1f} minutes with a report.\n"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--results", type=Path, default=Path("estimates.json"))
    parser.add_argument("--only")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    for audit in AUDITS:
        if options.only not in (None, audit.name):
            continue
        if audit.name not in results:
            results[audit.name] = {"whole": run(audit, minutes=None), "short": run(audit, minutes=MINUTES)}
            write_text(options.results, json.dumps(results, indent=1) + "\n")
        print(line(audit.name, results[audit.name]), flush=True)
    if options.page:
        write_text(options.page, page(results))


if __name__ == "__main__":
    main()
