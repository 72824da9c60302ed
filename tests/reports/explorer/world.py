"""Workspaces of made-up outcomes, realistic in number, size and shape, written as an engine writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from assay.base.digests import canonical_json, digest_json
from assay.catalogue.catalogue import Catalogue, load_catalogue
from assay.methods.finding import Family, Level
from assay.studies.outcome import Outcome
from reports.samples import START, hexdigest, outcome, ratio, target, unfinished

METHODS: tuple[tuple[Family, str, str], ...] = (
    ("stealing", "Random queries", "agreement"),
    ("membership", "Confidence attack", "auc"),
    ("backdoor", "STRIP", "detection"),
    ("evasion", "FGSM", "success"),
)
LEVELS: tuple[Level, ...] = ("low", "elevated", "high", "undecided")
REASONS = (
    "Out of memory after 2,048 MB.",
    "The surrogate did not train: the loss is not a number.",
    "Time limit of 60 s.",
)


@cache
def catalogue(size: int = 60) -> Catalogue:
    """So many records of the packaged catalogue, spread over all of it; nobody's own."""
    records = load_catalogue(Path("/nonexistent")).records
    return Catalogue(records[:: max(1, len(records) // size)])


@dataclass
class World:
    """A workspace and how it came to be. ``complete`` are the models of which every trial was finished."""

    path: Path
    names: Sequence[str]
    complete: list[str] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def trials(self) -> int:
        return self.done + self.failed + self.skipped


def empty(path: Path) -> World:
    for folder in ("trials", "attempts"):
        (path / folder).mkdir(parents=True)
    (path / "workspace.json").write_text(canonical_json({"format": 1}))
    return World(path, [])


def save(path: Path, found: Outcome | dict[str, Any]) -> Path:
    """Write an outcome where the workspace keeps it."""
    content = found if isinstance(found, dict) else found.model_dump(mode="json")
    done = content["status"] == "done"
    file = path / ("trials" if done else "attempts") / f"{content['key']}.json"
    file.write_text(json.dumps({"sha256": digest_json(content), "outcome": content} if done else content))
    return file


def names(models: int, catalogued: int) -> list[str]:
    """So many names, the last of them from the catalogue."""
    known = [record.id for record in catalogue(max(catalogued, 60)).records][:catalogued]
    return [f"own/model-{i:05}" for i in range(models - catalogued)] + known


def build(path: Path, models: int, seeds: int = 2, catalogued: int = 0, seed: int = 0) -> World:
    """Four methods on every model, the first with so many seeds; some trials fail, some are skipped."""
    random = np.random.default_rng(seed)
    world = empty(path)
    world.names = names(models, catalogued)
    plan = [
        (family, title, metric, s)
        for family, title, metric in METHODS
        for s in range(seeds if family == "stealing" else 1)
    ]
    done = {each: _content(each) for each in plan}
    broken = unfinished("stealing", "Random queries", "failed", "").model_dump(mode="json")
    for place, name in enumerate(world.names):
        facts = target(name).model_dump(mode="json")
        before = world.done
        skill = float(random.beta(5, 2))
        for (family, title, _, s), base in done.items():
            value = float(np.clip(skill + random.normal(0, 0.08), 0.01, 0.99))
            luck = random.random()
            content = base | {"key": hexdigest(f"{name}{family}{title}{s}"), "target": facts}
            if luck < 0.05:
                status = "failed" if luck < 0.03 else "skipped"
                save(
                    path,
                    broken
                    | {key: content[key] for key in ("key", "target", "method", "seed")}
                    | {
                        "status": status,
                        "reason": REASONS[place % 3] if status == "failed" else "It needs white-box access.",
                    },
                )
                world.failed += status == "failed"
                world.skipped += status == "skipped"
                continue
            first, *rest = base["metrics"]
            number = first | {
                "value": value,
                "interval": first["interval"] | {"low": value - 0.009, "high": value + 0.009},
            }
            verdict = base["verdict"] | {"level": LEVELS[int(4 * random.random())]}
            save(path, content | {"metrics": [number, *rest], "verdict": verdict})
            world.done += 1
        if world.done - before == len(done):
            world.complete.append(name)
    return world


def _content(each: tuple[Family, str, str, int]) -> dict[str, Any]:
    family, title, metric, seed = each
    metrics = [ratio(metric, metric.capitalize(), 0.5, 0.49, 0.51, "bootstrap", n=1000)]
    metrics += [
        ratio(f"{metric}_{i}", f"{metric.capitalize()} at {i} %", i / 10, i / 11, i / 9, "Clopper-Pearson", n=500)
        for i in range(1, 7)
    ]
    found = outcome(family, title, metrics=metrics, white_box=family == "evasion", seed=seed)
    return found.model_dump(mode="json") | {"started": START.isoformat()}


def quoted(text: str) -> str:
    """A text as a literal of JavaScript."""
    return json.dumps(text)
