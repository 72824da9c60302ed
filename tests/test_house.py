"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import graphlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
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
TREES = {file: ast.parse(file.read_text("utf-8")) for file in FILES}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def imported(nodes: Iterable[ast.AST], *, below: bool) -> set[str]:
    """Modules of Assay that statements import; with ``below`` also inside functions, and for type checking alone."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inner & MODULES.keys()) or {node.module}
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif below or (isinstance(node, ast.If | ast.Try) and "TYPE_CHECKING" not in ast.dump(node)):
            names |= imported(ast.iter_child_nodes(node), below=below)
    return {name for name in names if name.startswith("assay.")}


def rooms(file: Path) -> set[str]:
    """Rooms that a file imports, anywhere in it."""
    return {name.split(".")[1] for name in imported(TREES[file].body, below=True)} & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downwards(room: str) -> None:
    above = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        str(file.relative_to(SOURCE)): found for file in (SOURCE / room).rglob("*.py") if (found := rooms(file) & above)
    }
    assert wrong == {}


def test_every_folder_is_a_room() -> None:
    folders = {file.relative_to(SOURCE).parts[0] for file in FILES if file.parent != SOURCE}
    assert folders == set(ROOMS)


def test_no_circle_of_imports() -> None:
    """By the imports that run when a module is loaded."""
    graph = {name: imported(TREES[file].body, below=False) & MODULES.keys() for name, file in MODULES.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_files_are_short() -> None:
    lengths = {str(file.relative_to(SOURCE)): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) <= 110


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | Function, ast.ClassDef | None]]:
    """Public classes and functions of a module, and methods of its public classes with their class."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        yield node.name, node, None
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, Function) and not inner.name.startswith("_"):
                yield f"{node.name}.{inner.name}", inner, node


CLASSES: dict[str, list[ast.ClassDef]] = {}
for each in (node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
    CLASSES.setdefault(each.name, []).append(each)


def inherited(kind: ast.ClassDef, method: str) -> str | None:
    """The docstring that a method has from a class of Assay that its class derives from."""
    names = (base.value if isinstance(base, ast.Subscript) else base for base in kind.bases)
    named = (name.id if isinstance(name, ast.Name) else getattr(name, "attr", "") for name in names)
    for parent in (parent for name in named for parent in CLASSES.get(name, ()) if parent is not kind):
        own = next((node for node in parent.body if isinstance(node, Function) and node.name == method), None)
        if found := (own and ast.get_docstring(own)) or inherited(parent, method):
            return found
    return None


def without_docstring(tree: ast.Module) -> Iterator[str]:
    """What lacks a docstring of its own words: the module, public classes and functions.

    A method that overrides a documented one of Assay needs none.
    """
    if not ast.get_docstring(tree):
        yield "the module"
    for name, node, kind in public(tree):
        text = ast.get_docstring(node) or (kind and inherited(kind, node.name)) or ""
        if not text or re.match(r"See `+[^`]+`+\.?$", text.split("\n")[0]):
            yield name


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


def test_the_rule_of_circles_sees_what_is_imported_when_a_module_is_loaded() -> None:
    source = """
from assay.base import errors
if TYPE_CHECKING:
    from assay.data.images import Images
def f():
    from assay.data.splits import Splits
"""
    nodes = ast.parse(source).body
    assert imported(nodes, below=False) == {"assay.base.errors"}
    assert imported(nodes, below=True) == {"assay.base.errors", "assay.data.images", "assay.data.splits"}
