"""What a study will take, from what its like took before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from assay.base.digests import canonical_json
from assay.studies.coordinator import study_folder
from assay.studies.outcome import Outcome
from assay.studies.study_file import Cost, Study
from assay.studies.units import Unit, by_target, plan_units
from assay.studies.workspace import Workspace


class Estimate(NamedTuple):
    """What units are expected to take. ``forwards`` are images that the networks compute, ``images`` those charged."""

    seconds: float = 0.0
    images: float = 0.0
    forwards: float = 0.0
    dollars: float = 0.0
    bytes: float = 0.0

    def plus(self, other: Estimate) -> Estimate:
        """The sum."""
        return Estimate(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass
class Row:
    """One method of a study. ``basis`` says on what the estimate rests, by number of units; ``unknown`` have none."""

    method: str
    units: int = 0
    finished: int = 0
    unknown: int = 0
    estimate: Estimate = field(default_factory=Estimate)
    basis: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A study before it is run."""

    study: Study
    targets: int
    rows: list[Row]

    @property
    def total(self) -> Estimate:
        """Over all methods."""
        found = Estimate()
        for row in self.rows:
            found = found.plus(row.estimate)
        return found


def plan_study(study: Study, workspace: Path | None = None) -> Plan:
    """Units by method, and what those that are not finished will take.

    An estimate rests on the first that there is: an earlier outcome of the same model, method and options; the median
    of those of other models; the median of the method's with other options; what the study file says under ``costs``.
    """
    place = workspace or Path(study.workspace)
    opened = Workspace(place) if (place / "workspace.json").exists() else None
    past = _Past(opened, study)
    state = study_folder(place, study.name).read()
    finished = {unit.id for unit in state.units if unit.state in ("done", "skipped")} if state else set()
    units, rows = plan_units(study), dict[str, Row]()
    for unit in units:
        row = rows.setdefault(unit.method, Row(unit.method))
        row.units += 1
        if unit.id in finished:
            row.finished += 1
            continue
        estimate, basis = past.estimate(unit)
        row.unknown += estimate is None
        row.estimate = row.estimate.plus(estimate or Estimate())
        row.basis = tuple(dict.fromkeys((*row.basis, basis)))
    return Plan(study, len(by_target(units)), list(rows.values()))


class _Past:
    """Earlier outcomes, as costs."""

    def __init__(self, workspace: Workspace | None, study: Study) -> None:
        self.study, self.workspace = study, workspace
        self.same: dict[tuple[str, str, str], list[Estimate]] = defaultdict(list)
        self.alike: dict[tuple[str, str], list[Estimate]] = defaultdict(list)
        self.method: dict[str, list[Estimate]] = defaultdict(list)
        for outcome in workspace.outcomes() if workspace else []:
            if workspace is None or outcome.status != "done":
                continue
            cost, name = self._cost(workspace, outcome), outcome.method.name
            options = canonical_json(outcome.method.options)
            self.same[outcome.target.name, name, options].append(cost)
            self.alike[name, options].append(cost)
            self.method[name].append(cost)

    def estimate(self, unit: Unit) -> tuple[Estimate | None, str]:
        """What a unit is expected to take, and on what that rests."""
        options = canonical_json(unit.options)
        for found, basis in (
            (self.same.get((unit.reference, unit.method, options)), "the same on this model"),
            (self.alike.get((unit.method, options)), "the same on other models"),
            (self.method.get(unit.method), "other options of the method"),
        ):
            if found:
                middle = Estimate(*(median(values) for values in zip(*found, strict=True)))
                return self._priced(unit, middle), f"{basis} (n = {len(found)})"
        cost = self.study.costs.get(unit.method)
        return (None, "nothing") if cost is None else (self._declared(unit, cost), "declared")

    def _declared(self, unit: Unit, cost: Cost) -> Estimate:
        return self._priced(unit, Estimate(cost.seconds, cost.images, cost.images, 0.0, cost.megabytes * 1e6))

    def _priced(self, unit: Unit, estimate: Estimate) -> Estimate:
        price = unit.serving.get("price_per_1000")
        asked = estimate.dollars if price is None else estimate.images * price / 1000
        return estimate._replace(dollars=asked + estimate.seconds / 3600 * self.study.budget.dollars_per_hour)

    @staticmethod
    def _cost(workspace: Workspace, outcome: Outcome) -> Estimate:
        truth = workspace.path / "trials" / f"{outcome.key}.json"
        files: Sequence[Path] = [truth, *(workspace.artefacts(outcome.key) / name for name in outcome.artefacts)]
        size = sum(file.stat().st_size for file in files if file.exists())
        spent = outcome.spent
        return Estimate(outcome.seconds, spent.images, max(spent.forwards, spent.images), spent.price, size)
