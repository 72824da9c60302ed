"""Opens mutated files of every kind, and counts what came of it.

    python -m tools.fuzz [--mutations 5000] [--seed 0] [--kinds onnx h5] [--keep FOLDER] [--out FILE]

Mutates good files of every kind that Assay opens, opens each as an audit would, and counts what came of it: opened,
refused in a sentence, or bad: something was executed, a traceback, a hang of more than 20 s on a core, more than 2 GiB
of memory, or the process died. Writes the counts as JSON, with every bad case, whose files `--keep` copies; a case is
drawn from its name, so that it can be made again. Exit code 1 if any was bad.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the seeds are made with the tests' writers

from tools.fuzz.kinds import KINDS
from tools.fuzz.run import Case, cases, run, summary


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=[], choices=list(KINDS))
    parser.add_argument("--case", help="only this one, by its name")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.case:
        kind, _, number = given.case.rpartition("-")
        todo = [Case(kind, int(number))]
    else:
        todo = cases(given.mutations, given.seed, given.kinds)
    found = summary(run(todo, given.keep))
    text = json.dumps(found, indent=1) + "\n"
    if given.out:
        given.out.write_text(text)
    print(text if not given.out or given.case else json.dumps({**found, "bad": len(found["bad"])}))
    return 1 if found["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
