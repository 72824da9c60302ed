"""A study whose coordinator and workers are killed with kill -9 at random moments, beside the same study undisturbed.

    python -m benchmarks.studies.kills FOLDER [--study benchmarks/studies/thirty.toml] [--kills 20] [--seed 0]

Runs the study undisturbed in FOLDER/calm. Then runs it in FOLDER/torn: at each random moment a coin decides whether
the coordinator dies, after which the study is resumed, or one of its workers, with which the coordinator has to deal.
At the end every truth file must be the same, byte for byte apart from timing (see `Outcome.comparable`). Runs on Linux:
processes are found in /proc.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from assay.base.digests import canonical_json
from assay.studies.outcome import read_trial
from assay.studies.states import StudyFolder, read_studies


def command(action: str, study: Path, workspace: Path) -> list[str]:
    """``assay study ACTION`` on a workspace."""
    return [sys.executable, "-m", "assay", "study", action, str(study), "--workspace", str(workspace)]


def start(study: Path, workspace: Path) -> subprocess.Popen[bytes]:
    """A coordinator, whose output goes to a log beside the workspace."""
    with workspace.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command("run", study, workspace), stdout=log, stderr=log)


def children(parent: int) -> list[int]:
    """Processes that another started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


def wait_until_begun(process: subprocess.Popen[bytes], workspace: Path) -> None:
    """Wait until a coordinator has its study's lock: a busy machine may need a minute to import it."""
    folders = [StudyFolder(lock.parent) for lock in workspace.glob("studies/*/lock")]
    while process.poll() is None and not any(folder.running for folder in folders):
        time.sleep(0.1)
        folders = [StudyFolder(lock.parent) for lock in workspace.glob("studies/*/lock")]


def tear(study: Path, workspace: Path, kills: int, mean_pause: float, seed: int) -> Counter[str]:
    """Run a study to its end, killing on the way. Returns how often whom.

    Pauses are counted from when a coordinator has begun; one in ten from when its process was started.
    """
    moments, killed = random.Random(seed), Counter[str]()
    process = start(study, workspace)
    while sum(killed.values()) < kills:
        pause = moments.uniform(0.0, 2 * mean_pause)
        if moments.random() < 0.9:
            wait_until_begun(process, workspace)
        try:
            process.wait(pause)
            if process.returncode not in (0, 2):
                raise SystemExit(f"The coordinator ended with {process.returncode}: {workspace.with_suffix('.log')}")
            break
        except subprocess.TimeoutExpired:
            pass
        workers = children(process.pid)
        if workers and moments.random() < 0.5:
            os.kill(moments.choice(workers), signal.SIGKILL)
            killed["worker"] += 1
            continue
        process.kill()
        process.wait()
        killed["coordinator"] += 1
        process = start(study, workspace)
    process.wait()
    return killed


def truths(workspace: Path) -> dict[str, str]:
    """Every truth file apart from timing, by name; what failed or was skipped, too."""
    found = {}
    for file in sorted(workspace.glob("trials/*.json")):
        found[file.name] = _comparable(file, sealed=True)
    for file in sorted(workspace.glob("attempts/*.json")):
        found[f"attempt {file.name}"] = _comparable(file, sealed=False)
    return found


def _comparable(file: Path, sealed: bool) -> str:
    outcome = read_trial(file, sealed=sealed)
    return "damaged" if outcome is None else canonical_json(outcome.comparable())


def failures(workspace: Path) -> int:
    """Units that failed."""
    return sum(study.count("failed") for study in read_studies(workspace))


def main() -> int:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--study", type=Path, default=Path(__file__).with_name("thirty.toml"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    calm, torn = given.folder / "calm", given.folder / "torn"
    began = time.monotonic()
    start(given.study, calm).wait()
    calm_seconds = time.monotonic() - began
    print(f"undisturbed: {len(truths(calm))} outcomes, {failures(calm)} failures, {calm_seconds:.0f} s", flush=True)
    began = time.monotonic()
    killed = tear(given.study, torn, given.kills, calm_seconds / given.kills, given.seed)
    seconds = time.monotonic() - began
    print(f"killed: {killed['coordinator']} coordinators, {killed['worker']} workers; {seconds:.0f} s", flush=True)
    if twice := failures(torn):
        print(f"{twice} trials failed since their worker was killed twice in them; retried", flush=True)
        subprocess.run([*command("retry", given.study, torn), "--failed"], check=False, stdout=subprocess.DEVNULL)
    expected, found = truths(calm), truths(torn)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    print(f"truth files that differ: {len(differing)} of {len(expected)}")
    for name in differing[:10]:
        print(f"  {name}")
    again = subprocess.run(command("resume", given.study, torn), check=False, capture_output=True, text=True)
    print(f"once more: {again.stdout.splitlines()[0]}")
    return 1 if differing or "Nothing was measured" not in again.stdout else 0


if __name__ == "__main__":
    sys.exit(main())
