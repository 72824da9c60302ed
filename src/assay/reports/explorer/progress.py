"""How far studies are: every unit of work with its state, and the causes of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from assay.reports.explorer.models import Model
from assay.reports.format import date, duration
from assay.studies.states import read_studies

STATES: tuple[str, ...] = ("waiting", "running", "done", "failed", "skipped")


class Unit(NamedTuple):
    """One trial of a study. ``model`` is the key of the model's page, where it has one."""

    reference: str
    method: str
    seed: int
    state: str
    reason: str
    seconds: float | None
    worker: str | None
    model: str | None


class Study(NamedTuple):
    """A study, or all that was measured in a workspace."""

    name: str
    about: str
    units: Sequence[Unit]


def studies(workspace: Path, models: Sequence[Model]) -> list[Study]:
    """The studies of a workspace, the newest first, and last everything that it holds."""
    model_of = {outcome.key: model.key for model in models for outcome in model.outcomes}
    return [*_declared(workspace, model_of), everything(models)]


def everything(models: Iterable[Model]) -> Study:
    """All trials that were finished, failed or skipped, in a study or not."""
    units = [
        Unit(
            model.name,
            outcome.method.name,
            outcome.seed,
            outcome.status,
            outcome.reason,
            outcome.seconds if outcome.status == "done" else None,
            None,
            model.key,
        )
        for model in models
        for outcome in model.outcomes
    ]
    return Study("Everything in this workspace", "Every trial that was finished, failed or skipped.", units)


def _declared(workspace: Path, model_of: Mapping[str, str]) -> list[Study]:
    found = sorted(read_studies(workspace), key=lambda study: study.created, reverse=True)
    return [
        Study(
            study.name,
            f"Declared in {study.file}, {date(study.created)}.",
            [
                Unit(
                    unit.reference,
                    unit.method,
                    unit.seed,
                    unit.state,
                    unit.reason,
                    unit.seconds,
                    unit.worker,
                    model_of.get(unit.key or ""),
                )
                for unit in study.units
            ],
        )
        for study in found
    ]


def summary(study: Study, file: str) -> dict[str, Any]:
    """A study at a glance: how many units are in each state, and why units failed or were skipped, most often first.

    ``file`` is the data file that lists its units.
    """
    states = Counter(unit.state for unit in study.units)
    causes = Counter((unit.state, unit.reason) for unit in study.units if unit.reason)
    seconds = sum(unit.seconds or 0.0 for unit in study.units)
    return {
        "name": study.name,
        "about": study.about,
        "file": file,
        "states": [[state, states[state]] for state in STATES if states[state]],
        "causes": [[state, reason, number] for (state, reason), number in causes.most_common()],
        "time": duration(seconds),
    }


def listing(study: Study) -> dict[str, list[Any]]:
    """A study's units, column by column."""
    return {name: [getattr(unit, name) for unit in study.units] for name in Unit._fields}
