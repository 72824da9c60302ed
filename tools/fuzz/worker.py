"""Opens mutated files, one after another, and says what came of each. Run by `tools.fuzz.run` in a process of its own.

It reads lines ``KIND TAB FOLDER`` and answers each with a line of JSON. Whatever a file may execute is noticed by an
audit hook, which the children of the fence inherit, and by a file that the seeds' own code would make.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

EXECUTES = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect", "pty.spawn")
_OWN = "assay.reports.drawing"
"""What Assay itself starts: the process that draws charts where address space is limited, as it is here."""

ROOM = 6 << 30
_FENCED = re.compile(r"(cannot be opened \(\w+:|crashes the library|takes more than)")


def main() -> None:
    """Work until standard input ends."""
    warnings.simplefilter("ignore")
    canary = Path(os.environ["ASSAY_FUZZ_CANARY"])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from tools.fuzz.kinds import KINDS

    for module in ("torch", "onnxruntime", "ai_edge_litert.interpreter", "h5py", "transformers", "pyarrow.parquet"):
        __import__(module)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, resource.RLIM_INFINITY))
    sys.addaudithook(lambda event, arguments: _note(canary, event, arguments))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        kind, _, folder = line.rstrip("\n").partition("\t")
        print(json.dumps(_one(KINDS[kind].open, Path(folder), canary)), file=answers, flush=True)


def _note(canary: Path, event: str, arguments: tuple[Any, ...]) -> None:
    if event in EXECUTES and _OWN not in str(arguments):
        descriptor = os.open(canary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, event.encode() + b"\n")
        os.close(descriptor)


def _one(open_it: Any, folder: Path, canary: Path) -> dict[str, Any]:
    from assay.base.errors import AssayError

    began, before = time.monotonic(), _seconds()
    said: dict[str, Any]
    try:
        open_it(folder)
        said = {"outcome": "opened"}
    except AssayError as error:
        text = str(error)
        said = {"outcome": "refused", "message": text[:400], "fenced": bool(_FENCED.search(text))}
        if not text.strip() or "Traceback" in text or len(text) > 2000:
            said["outcome"] = "unreadable"
    except MemoryError:
        said = {"outcome": "memory", "trace": traceback.format_exc()[-3000:]}
    except BaseException:
        said = {"outcome": "traceback", "trace": traceback.format_exc()[-3000:]}
    if canary.exists():
        said = {"outcome": "executed", "what": canary.read_text()}
        canary.unlink()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**said, "seconds": round(_seconds() - before, 3), "wall": round(time.monotonic() - began, 3), "peak": peak}


def _seconds() -> float:
    """Seconds on a core, children included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
