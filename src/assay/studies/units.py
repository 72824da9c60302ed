"""From a study file to units: what one worker does for one model, with one method, serving and seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from assay.base.digests import digest_file, digest_json
from assay.base.frozen import Frozen
from assay.methods.finding import FAMILIES
from assay.studies.study_file import Study
from assay.targets.target_file import read_target_file


class Unit(Frozen):
    """A trial to be, whose key is known when its target has been opened.

    ``options`` are resolved; ``serving`` holds changes to what the target says; ``content`` is the digest of the target
    file and its weights, where there is one.
    """

    id: str
    reference: str
    data: str | None
    suspects: str | None
    content: str
    method: str
    version: int
    options: dict[str, Any]
    serving: dict[str, Any]
    seed: int

    @property
    def target(self) -> tuple[str, str | None, str | None]:
        """What a worker opens."""
        return self.reference, self.data, self.suspects


def plan_units(study: Study) -> list[Unit]:
    """Every unit once, those of one target together: by seed, then in the order of the four questions.

    That order is fixed, since answers are kept as they were first computed (see `assay.access.PosteriorStore`).
    """
    chosen = sorted(
        (method for choice in study.methods for method in choice.methods()),
        key=lambda method: (FAMILIES.index(method.family), method.name),
    )
    units: dict[str, Unit] = {}
    for choice in study.targets:
        for reference in choice.references():
            for seed in study.seeds:
                for method in chosen:
                    blind = method.needs == "white-box"
                    for serving in study.servings[:1] if blind else study.servings:
                        what = {
                            "reference": reference,
                            "data": choice.data,
                            "suspects": choice.suspects,
                            "content": _content(reference),
                            "method": method.name,
                            "version": method.version,
                            "options": method.model_dump(mode="json"),
                            "serving": {} if blind else serving.changes(),
                            "seed": seed,
                        }
                        name = digest_json(what)[:16]
                        units.setdefault(name, Unit(id=name, **what))
    return [unit for group in by_target(units.values()) for unit in group]


def by_target(units: Iterable[Unit]) -> list[list[Unit]]:
    """Units of one target together, targets and units in the order of their first appearance."""
    groups: dict[tuple[str, str | None, str | None], list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.target, []).append(unit)
    return list(groups.values())


def group_name(units: Sequence[Unit]) -> str:
    """A name for the units of one target."""
    return digest_json(units[0].target)[:16]


@cache
def _content(reference: str) -> str:
    if not reference.endswith(".toml"):
        return ""
    path = Path(reference)
    described = read_target_file(path)
    weights = path.parent / Path(described.weights).expanduser() if described.weights else None
    return digest_json([digest_file(path), digest_file(weights) if weights else described.sha256])
