"""The planner: from targets, methods, servings and seeds to units, each of which becomes one trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from assay.access.opening import NO_TERMS, Terms
from assay.base.digests import digest_json
from assay.base.frozen import Frozen
from assay.methods.method import Method
from assay.methods.metric import FAMILIES
from assay.studies.study_file import Study
from assay.targets.described import content_digest


class Place(Frozen):
    """What is opened: a reference, its data and suspects, and the terms on which a service is asked.

    See `assay.access.opening.open_target`.
    """

    reference: str
    data: str | None = None
    suspects: str | None = None
    drop_duplicates: bool = False
    terms: Terms = NO_TERMS


class Unit(Frozen):
    """A trial to be, whose key is known when its target has been opened.

    ``options`` are resolved; ``serving`` holds changes to what the target says; ``content`` is the digest of the target
    file and its weights, or of a folder, where there is one. ``id`` covers all but the terms, so that a raised budget
    goes on with what was begun.
    """

    id: str
    place: Place
    content: str
    method: str
    version: int
    options: dict[str, Any]
    serving: dict[str, Any]
    seed: int

    @property
    def reference(self) -> str:
        """The reference of its target."""
        return self.place.reference


def plan_units(study: Study) -> list[Unit]:
    """Every unit of a study once, those of one target together; see `plan_target`."""
    methods = [method for choice in study.methods for method in choice.methods()]
    servings = [serving.changes() for serving in study.servings]
    units: dict[str, Unit] = {}
    for choice in study.targets:
        for reference in choice.references():
            place = Place(
                reference=reference,
                data=choice.data,
                suspects=choice.suspects,
                drop_duplicates=choice.drop_duplicates,
                terms=choice.terms,
            )
            for unit in plan_target(place, methods, servings, study.seeds):
                units.setdefault(unit.id, unit)
    return [unit for group in by_target(units.values()) for unit in group]


def plan_target(
    place: Place, methods: Iterable[Method], servings: Sequence[Mapping[str, Any]], seeds: Sequence[int]
) -> list[Unit]:
    """Every unit of one target once: by seed, then in the order of the four questions.

    ``servings`` are changes to what the target says of its serving; white-box methods do not meet it, and run once.
    The order is fixed, since answers are kept as they were first computed (see `assay.access.PosteriorStore`).
    """
    ordered = sorted(methods, key=lambda method: (FAMILIES.index(method.family), method.name))
    units: dict[str, Unit] = {}
    for seed in seeds:
        for method in ordered:
            blind = method.needs == "white-box"
            for serving in servings[:1] if blind else servings:
                unit = _unit(place, method, {} if blind else dict(serving), seed)
                units.setdefault(unit.id, unit)
    return list(units.values())


def _unit(place: Place, method: Method, serving: dict[str, Any], seed: int) -> Unit:
    what = {
        "content": _content(place.reference),
        "method": method.name,
        "version": method.version,
        "options": method.model_dump(mode="json"),
        "serving": serving,
        "seed": seed,
    }
    usual = {"terms"} if place.drop_duplicates else {"terms", "drop_duplicates"}
    name = digest_json({**what, **place.model_dump(mode="json", exclude=usual)})[:16]
    return Unit(id=name, place=place, **what)


def by_target(units: Iterable[Unit]) -> list[list[Unit]]:
    """Units of one target together, targets and units in the order of their first appearance."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(group_name([unit]), []).append(unit)
    return list(groups.values())


def group_name(units: Sequence[Unit]) -> str:
    """A name for the units of one target."""
    place = units[0].place
    return digest_json([place.reference, place.data, place.suspects, *["distinct"] * place.drop_duplicates])[:16]


_content = cache(content_digest)
