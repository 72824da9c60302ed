"""RobustBench's models, from the tables in its package's source, which is parsed and never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.packages import find_package

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet": "imagenet-1k"}
THREATS = {"linf": "Linf", "l2": "L2", "common_corruptions": "corruptions"}


def entries(wheels: Path | None) -> Listing:
    """One entry for each model of the ``model_zoo`` modules."""
    package = find_package("robustbench", wheels)
    found = []
    for module, dataset in DATASETS.items():
        source = (package.root / "robustbench" / "model_zoo" / f"{module}.py").read_text(encoding="utf-8")
        for threat, name, properties in _tables(ast.parse(source)):
            found.append(_entry(module, dataset, threat, name, properties))
    return listing(Source(name="robustbench", title="RobustBench", version=package.version), found)


def _tables(tree: ast.Module) -> Iterator[tuple[str, str, dict[str, ast.expr]]]:
    for statement in tree.body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        threat = THREATS.get(statement.targets[0].id)
        if threat and isinstance(statement.value, ast.Call) and isinstance(statement.value.args[0], ast.List):
            for pair in statement.value.args[0].elts:
                if isinstance(pair, ast.Tuple) and isinstance(pair.elts[1], ast.Dict):
                    table = pair.elts[1]
                    keys = [ast.literal_eval(key) for key in table.keys if key is not None]
                    yield threat, ast.literal_eval(pair.elts[0]), dict(zip(keys, table.values, strict=True))


def _entry(module: str, dataset: str, threat: str, name: str, properties: dict[str, ast.expr]) -> Entry:
    files = ast.literal_eval(properties["gdrive_id"])
    first = files[0] if isinstance(files, list) else files
    year = re.match(r"[^\W\d_]+?(\d{4})", name)
    return Entry(
        id=f"robustbench/{module}/{threat}/{name}",
        task="image classification",
        dataset=dataset,
        input=None if module == "imagenet" else (3, 32, 32),
        year=int(year[1]) if year else None,
        architecture=_architecture(properties["model"]),
        purpose="security",
        weights_url=f"https://drive.google.com/uc?id={first}" if first else None,
        format="torch" if first else None,
    )


def _architecture(builder: ast.expr) -> str | None:
    """``WideResNet-28-10`` from the call that builds it; None where a class of its own hides the architecture."""
    call = next((node for node in ast.walk(builder) if isinstance(node, ast.Call) and _called(node)), None)
    if call is None:
        return None
    name = _called(call)
    if name == "create_model":
        return str(ast.literal_eval(call.args[0]))
    numbers = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    depth, width = numbers.get("depth"), numbers.get("widen_factor", numbers.get("width"))
    if depth is None and len(call.args) == 2 and all(isinstance(arg, ast.Constant) for arg in call.args):
        depth, width = (ast.literal_eval(arg) for arg in call.args)
    name = {"DMWideResNet": "WideResNet", "RobustWideResNet": "WideResNet", "DMPreActResNet": "PreActResNet"}.get(
        name, name
    )
    return "-".join([name, *(str(number) for number in (depth, width) if isinstance(number, int))])


def _called(call: ast.Call) -> str:
    """The name of a called architecture; empty for the helpers that wrap one."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return "" if name == "normalize_model" or name.startswith("get_") else name
