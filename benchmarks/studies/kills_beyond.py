"""kill -9 at random moments of an audit, of catalogue writes, and of explorer exports.

    python -m benchmarks.studies.kills_beyond FOLDER [--only audit] [--kills 20] [--seed 0]

Each is done once undisturbed and once with kills, after each of which the same command is run again, until it is
through. Then both must hold the same (outcomes byte for byte apart from timing), nothing that was reported as done may
be missing, and no temporary file may be left. `benchmarks.studies.kills` does the same to studies, and
`benchmarks.services.kills` to extractions from a served model.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from assay.catalogue.annotation import Project
from assay.catalogue.card import OWN, add_card
from assay.catalogue.entry import read_listing
from benchmarks.studies.kills import truths

ASSAY = [sys.executable, "-m", "assay"]
TINY = ["--set", "stealing.basic.architecture=tiny-cnn", "--set", "stealing.basic.up_to=300"]
TINY += ["--set", "stealing.basic.epochs=2", "--set", "stealing.basic.test_images=200"]
METHODS = ["membership.metrics", "stealing.basic", "evasion.fgsm", "evasion.pgd"]
NOTES, CARDS = 40, 40


class Result(NamedTuple):
    """What the kills did: how many there were, and everything that is wrong."""

    kills: int
    problems: list[str]


def tear(command: list[str], log: Path, kills: int, seconds: float, dice: random.Random) -> int:
    """Run a command again and again, killed each time but the last; how often it was killed before it was through."""
    for done in range(kills):
        with log.open("ab") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            process.wait(dice.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() == 0:
            return done
    finish(command, log)
    return kills


def finish(command: list[str], log: Path) -> float:
    """Run a command to its end; the seconds that it took."""
    began = time.monotonic()
    with log.open("ab") as file:
        code = subprocess.run(command, stdout=file, stderr=file).returncode
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}: {log}")
    return time.monotonic() - began


def strays(folder: Path) -> list[str]:
    """Temporary files that were left."""
    return [f"left: {file.relative_to(folder)}" for file in folder.rglob("*.partial*")]


def differing(calm: Path, torn: Path) -> list[str]:
    """Outcomes that are not the same in two workspaces."""
    one, two = truths(calm), truths(torn)
    return [f"differs: {name}" for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)]


def audit(folder: Path, kills: int, dice: random.Random) -> Result:
    """An audit of a starter network with four methods; several of them, since one is over soon."""
    methods = [part for name in METHODS for part in ("--method", name)]

    def command(workspace: str, seed: int) -> list[str]:
        where = ["--workspace", str(folder / workspace), "--seed", str(seed), "--no-changes"]
        return [*ASSAY, "audit", "starter/digits-cnn", "--data", "digits", *methods, *TINY, *where]

    killed, seed = 0, 0
    while killed < kills:
        seconds = finish(command("calm", seed), folder / "calm.log")
        killed += tear(command("torn", seed), folder / "torn.log", kills - killed, seconds, dice)
        seed += 1
    return Result(killed, differing(folder / "calm", folder / "torn") + strays(folder / "torn"))


def catalogue(folder: Path, kills: int, dice: random.Random) -> Result:
    """Annotations and model cards are added one after another; each that was reported must be there."""
    command = [sys.executable, "-m", "benchmarks.studies.kills_beyond", "--write"]
    seconds = finish([*command, str(folder / "calm")], folder / "calm.log")
    killed = rounds = 0
    problems: list[str] = []
    while killed < kills:
        torn = folder / f"torn-{rounds}"
        killed += tear([*command, str(torn)], folder / f"torn-{rounds}.log", kills - killed, seconds, dice)
        said = (folder / f"torn-{rounds}.log").read_text().split()
        there = {f"note:{one.record}" for one in Project(torn).annotations("one")}
        there |= {f"card:{entry.id}" for entry in read_listing(torn / OWN).entries}
        problems += [f"reported, and not there: {each}" for each in said if each[4:5] == ":" and each not in there]
        if len(there) != NOTES + CARDS:
            problems.append(f"{len(there)} records instead of {NOTES + CARDS}")
        problems += strays(torn)
        rounds += 1
    return Result(killed, problems)


def write(folder: Path) -> None:
    """Add what is not there yet, and report each record when it is kept."""
    project = Project(folder)
    project.add_coder("one")
    there = {one.record for one in project.annotations("one")}
    for number in range(NOTES):
        if f"own/{number}" not in there:
            project.annotate("one", f"own/{number}", {"year": "2024"})
        print(f"note:own/{number}", flush=True)
    cards = {entry.id for entry in read_listing(folder / OWN).entries} if (folder / OWN).exists() else set()
    for number in range(CARDS):
        if f"own/{number}" not in cards:
            card = folder / "card.toml"
            card.write_text(f'id = "own/{number}"\ndataset = "CIFAR-10"\narchitecture = "resnet18"\n')
            add_card(card, folder)
        print(f"card:own/{number}", flush=True)


def explorer(folder: Path, kills: int, dice: random.Random) -> Result:
    """The pages of a workspace are written again and again."""
    methods = [part for name in METHODS for part in ("--method", name)]
    where = ["--workspace", str(folder / "work"), "--no-changes"]
    finish([*ASSAY, "audit", "starter/*", "--data", "digits", *methods[:2], *where], folder / "work.log")

    def command(out: str) -> list[str]:
        return [*ASSAY, "explore", str(folder / "work"), "--out", str(folder / out)]

    seconds = finish(command("calm"), folder / "calm.log")
    killed = rounds = 0
    problems: list[str] = []
    while killed < kills:
        out = f"torn-{rounds}"
        killed += tear(command(out), folder / f"{out}.log", kills - killed, seconds, dice)
        problems += strays(folder / out)
        if contents(folder / out) != contents(folder / "calm"):
            problems.append(f"{out} holds other pages")
        rounds += 1
    return Result(killed, problems)


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file by its path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


WAYS: dict[str, Callable[[Path, int, random.Random], Result]] = {
    "audit": audit,
    "catalogue": catalogue,
    "explorer": explorer,
}


def main() -> int:
    """Do each and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.folder)
        return 0
    bad = False
    for name in [given.only] if given.only else WAYS:
        folder = given.folder / name
        folder.mkdir(parents=True)
        began = time.monotonic()
        done = WAYS[name](folder, given.kills, random.Random(given.seed))
        print(
            f"{name}: {done.kills} kills, {len(done.problems)} problems, {time.monotonic() - began:.0f} s", flush=True
        )
        for problem in done.problems[:10]:
            print(f"  {problem}")
        bad |= bool(done.problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
