"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "assay"
ROOMS = [
    "base",
    "catalogue",
    "data",
    "targets",
    "access",
    "training",
    "server",
    "compression",
    "methods",
    "studies",
    "analysis",
    "reports",
    "cli",
]
FILES = sorted(SOURCE.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Rooms that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("assay.") and name.split(".")[1] in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room: str) -> None:
    above = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        str(file.relative_to(SOURCE)): found
        for file in (SOURCE / room).rglob("*.py")
        if (found := imported(file) & above)
    }
    assert wrong == {}


def test_no_file_is_over_400_lines() -> None:
    assert {str(f): n for f in FILES if (n := len(f.read_text().splitlines())) > 400} == {}


def test_every_room_says_what_it_is_for() -> None:
    silent = [room for room in ROOMS if not ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text()))]
    assert silent == []


def test_help_answers_quickly_and_imports_no_torch() -> None:
    code = "import sys; from assay.cli import main; main(['--help']); assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    start = time.process_time()
    children = _children_seconds()
    subprocess.run([sys.executable, "-m", "assay", "--help"], check=True, capture_output=True)
    assert _children_seconds() - children < 1.0
    assert time.process_time() - start < 1.0


def _children_seconds() -> float:
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
