"""Applies small faults to copies of the repository, one at a time, and says which of them no test notices.

    python -m tools.mutants [NAME ...] [--jobs 1] [--list]

``mutants.toml`` holds the faults: a name, a file, a text that stands in it exactly once, what is put in its place, and
the tests that must notice. A fault is caught where these tests pass without it and fail with it. Exit codes: 0 all
caught, 1 some survived, 2 the list or the tests are wrong.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")

PATIENCE = 900.0
"""Seconds in which a mutant's tests must end."""

FAILED = 1
"""Pytest's exit code where tests ran and some failed; other codes than this and 0 mean that they did not run."""

Result = Literal["caught", "survived"]


class MutantError(Exception):
    """The list of mutants, or the tests without any, are wrong."""


class Mutant(NamedTuple):
    """A fault: ``old`` in ``file`` becomes ``new``; ``tests`` are files or node ids, both relative to the root."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """The file's text with the fault.

        Raises:
            MutantError: if the old text does not stand in the file exactly once, or the new file is no Python.
        """
        file = root / self.file
        if not file.is_file():
            raise MutantError(f"{self.name}: there is no file {self.file}.")
        text = file.read_text("utf-8")
        if (count := text.count(self.old)) != 1:
            raise MutantError(f"{self.name}: its text stands in {self.file} {count} times, not once.")
        changed = text.replace(self.old, self.new)
        try:
            same = ast.dump(ast.parse(changed)) == ast.dump(ast.parse(text))
        except SyntaxError as error:
            raise MutantError(f"{self.name}: {self.file} would be no Python: {error}.") from error
        if same:
            raise MutantError(f"{self.name}: it changes nothing but layout or comments.")
        return changed


def read_mutants(file: Path = LIST) -> list[Mutant]:
    """The list, in its order.

    Raises:
        MutantError: if an entry lacks a field or has another, or two have one name.
    """
    found: list[Mutant] = []
    for entry in tomllib.loads(file.read_text("utf-8"))["mutant"]:
        if set(entry) != set(Mutant._fields):
            raise MutantError(f"{entry.get('name', 'a mutant')}: the fields are {', '.join(Mutant._fields)}.")
        found.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
    names = [mutant.name for mutant in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MutantError(f"There are several mutants called {twice[0]}.")
    return found


def copy_repository(root: Path, to: Path) -> None:
    """The files of a working tree that git keeps or would keep.

    Raises:
        MutantError: if the folder is no working tree.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        raise MutantError(f"The files of {root} cannot be listed: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)


def run_tests(tests: Sequence[str], root: Path, patience: float = PATIENCE) -> tuple[int, str]:
    """Pytest's exit code and output for tests of a copy, which stops at the first failure.

    Raises:
        MutantError: if they do not end.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=ci", *tests]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    # The copy's sources come before an installed package.
    environment = {**os.environ, **threads, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        raise MutantError(f"{', '.join(tests)}: no end after {patience:g} seconds.") from None
    return done.returncode, done.stdout + done.stderr


def judge(mutant: Mutant, root: Path) -> Result:
    """Whether a copy's tests notice the mutant; the copy is as before afterwards.

    Raises:
        MutantError: if its tests do not run.
    """
    file = root / mutant.file
    original = file.read_text("utf-8")
    _replace(file, mutant.applied(root))
    try:
        code, output = run_tests(mutant.tests, root)
    finally:
        _replace(file, original)
    if code not in (0, FAILED):
        raise MutantError(f"{mutant.name}: its tests do not run with it (pytest ends with {code}):\n{output[-2000:]}")
    return "caught" if code == FAILED else "survived"


def _replace(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    # Python takes a compiled file for the source's if time, in seconds, and length agree: a small fault may keep both.
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()


@contextmanager
def copies(root: Path, count: int) -> Iterator[list[Path]]:
    """Copies of the repository, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        made = [Path(folder) / str(number) for number in range(count)]
        for one in made:
            copy_repository(root, one)
        yield made


def judge_all(mutants: Sequence[Mutant], jobs: int, root: Path = ROOT) -> dict[str, Result]:
    """What becomes of every mutant by name, printed as it is known.

    Raises:
        MutantError: if an entry of the list is wrong, or tests fail without any mutant.
    """
    with copies(root, jobs) as folders:
        for mutant in mutants:
            mutant.applied(folders[0])
        tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        code, output = run_tests(tests, folders[0], PATIENCE * len(mutants))
        if code != 0:
            raise MutantError(f"The tests fail without any mutant:\n{output[-2000:]}")
        free: SimpleQueue[Path] = SimpleQueue()
        for folder in folders:
            free.put(folder)

        def one(mutant: Mutant) -> tuple[str, Result]:
            folder, clock = free.get(), time.monotonic()
            try:
                result = judge(mutant, folder)
            finally:
                free.put(folder)
            print(f"{result:9}{time.monotonic() - clock:6.1f} s  {mutant.name}", flush=True)
            return mutant.name, result

        with ThreadPoolExecutor(jobs) as workers:
            return dict(workers.map(one, mutants))


def chosen(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """Those of these names, or all.

    Raises:
        MutantError: if there is none of a name.
    """
    if unknown := sorted(set(names) - {mutant.name for mutant in mutants}):
        raise MutantError(f"There is no mutant called {unknown[0]}.")
    return [mutant for mutant in mutants if not names or mutant.name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to apply; all of them by default")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--list", action="store_true", help="name them, and apply none")
    options = parser.parse_args(arguments)
    try:
        mutants = chosen(read_mutants(), options.names)
        if options.list:
            for mutant in mutants:
                print(f"{mutant.name:50} {mutant.file}")
            return 0
        results = judge_all(mutants, max(1, options.jobs))
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [name for name, result in results.items() if result == "survived"]
    print(f"{len(results) - len(survivors)} of {len(results)} caught" + "".join(f"\nsurvived: {n}" for n in survivors))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
