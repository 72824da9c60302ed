"""Study files: what to measure of which models, declared on a page of TOML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from assay.access import Output
from assay.access.opening import Terms, check_terms, is_service
from assay.access.policies import parse_policy
from assay.base.errors import AssayError, LoadError, UsageError, nearest
from assay.base.frozen import Frozen
from assay.base.reading import parse_toml, read_text
from assay.catalogue.catalogue import load_catalogue
from assay.catalogue.curated import expand
from assay.catalogue.loading import loaded_as
from assay.catalogue.record import Record
from assay.catalogue.table import Search
from assay.data.formats.registry import DATASETS, Named
from assay.methods.method import METHODS, Method, Preset
from assay.studies.grid import combinations
from assay.studies.plan import make_method
from assay.targets.reference import check_reference

PRESET = "preset:"
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class TargetChoice(Frozen):
    """Models, or a service.

    Either a ``reference`` (see `assay.access.opening.open_target`; with ``*``, all catalogue ids that match), or a
    catalogue ``query``: those records that it selects and that load by their id. ``data``, ``suspects`` and
    ``drop_duplicates`` are as for ``assay audit``, and so are ``live``, ``budget`` and ``price_per_1000`` for a
    service.
    """

    reference: str | None = None
    query: str | None = None
    data: str | None = None
    suspects: str | None = None
    drop_duplicates: bool = False
    live: bool = False
    budget: int | None = None
    price_per_1000: float | None = None

    @field_validator("reference", "data", "suspects")
    @classmethod
    def _anchored(cls, text: str | None, info: ValidationInfo) -> str | None:
        """Paths are relative to the study file."""
        if text is None or not isinstance(info.context, Path):
            return text
        if info.field_name == "reference":
            path = info.context / Path(text).expanduser()
            return str(path) if text.endswith(".toml") or path.is_dir() else text
        return text if text in _named_sets() else str(info.context / Path(text).expanduser())

    @model_validator(mode="after")
    def _exists(self) -> TargetChoice:
        if (self.reference is None) == (self.query is None):
            raise ValueError("say reference or query, one of them.")
        for text in (self.data, self.suspects):
            if text is not None and text not in _named_sets() and not Path(text).exists():
                raise ValueError(f"There is no data set, file or folder {text!r}: {nearest(text, _named_sets())}")
        _complain(self._check_terms)
        _complain(self.references)
        if self.data is None:
            bare = [each for each in self.references() if is_service(each) or not check_reference(each)]
            if bare:
                raise ValueError(f"{', '.join(bare)}: no data set of its own is at hand; say data = a name or path.")
        return self

    @property
    def terms(self) -> Terms:
        """The terms on which a service is asked."""
        return Terms(self.live, self.budget, self.price_per_1000)

    def _check_terms(self) -> None:
        check_terms(self.reference or f"the query {self.query!r}", self.terms)

    def references(self) -> list[str]:
        """The targets, each by its own reference.

        Raises:
            AssayError: if one does not exist, or nothing is selected.
        """
        if self.reference is not None:
            found = expand([self.reference])
        else:
            found = [name for record in self._selected() if (name := loaded_as(record.names))]
            if not found:
                raise UsageError(f"No model that loads by its id is selected by {self.query!r}.")
        for each in found:
            if not is_service(each):
                check_reference(each)
        return found

    def left_out(self) -> list[str]:
        """The ids of the catalogue records that the query selects and that do not load by their id."""
        return [record.id for record in self._selected() if loaded_as(record.names) is None]

    def _selected(self) -> list[Record]:
        """The records that the query selects; none without a query."""
        return [] if self.query is None else Search(load_catalogue()).find(self.query)


class MethodChoice(Frozen):
    """A method with a preset's options and then ``options``.

    A list stands for several values, and all combinations are run (see `assay.studies.grid.combinations`).
    """

    name: str
    preset: Preset | None = None
    options: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _valid(self) -> MethodChoice:
        _complain(self.methods)
        return self

    def methods(self) -> list[Method]:
        """Every combination.

        Raises:
            UsageError: if the method or an option is unknown or a value does not fit; all that is wrong is named.
        """
        kind, made = METHODS.get(self.name), list[Method]()
        wrong: dict[str, None] = {}
        for options in combinations(kind, self.options):
            try:
                made.append(make_method(self.name, self.preset, options))
            except UsageError as error:
                wrong[str(error)] = None
        if wrong:
            raise UsageError(" ".join(wrong))
        return made


class ServingChoice(Frozen):
    """How callers meet the models, in place of what each target says; see `assay.access.Serving`."""

    output: Output | None = None
    top_k: Count | None = None
    policies: tuple[str, ...] | None = None
    price_per_1000: Annotated[float, Field(ge=0)] | None = None
    budget: Count | None = None

    @field_validator("policies")
    @classmethod
    def _valid(cls, policies: tuple[str, ...] | None) -> tuple[str, ...] | None:
        _complain(lambda: [parse_policy(text) for text in policies or ()])
        return policies

    def changes(self) -> dict[str, Any]:
        """What is said."""
        return self.model_dump(mode="json", exclude_none=True)


class Limits(Frozen):
    """What one trial may use: ``seconds`` of wall time and ``memory_gb`` (10^9 bytes, of its whole worker)."""

    seconds: Positive | None = None
    memory_gb: Positive | None = None


class Budget(Frozen):
    """What the whole study may use.

    ``images`` charged; ``dollars`` for images, and for workers at ``dollars_per_hour``; ``hours`` of trials, over all
    workers. When it is spent, the study stops, and what is left waits.
    """

    images: Count | None = None
    dollars: Positive | None = None
    hours: Positive | None = None
    dollars_per_hour: Annotated[float, Field(ge=0)] = 0.0


class Cost(Frozen):
    """What a trial of a method is expected to cost where the workspace cannot tell; images are those charged."""

    seconds: Annotated[float, Field(ge=0)]
    images: Annotated[int, Field(ge=0)] = 0
    megabytes: Annotated[float, Field(ge=0)] = 0.0


class EngineChoice(Frozen):
    """Where trials run.

    In ``workers`` processes with ``threads`` each. On Ray, each asks for ``cpus`` (default: ``threads``) and ``gpus``,
    which may be a fraction; ``address`` is that of an existing cluster (``auto``: the one of this machine), and without
    it one is started. ``sync`` is an address that fsspec knows, for workers that do not see the workspace's folder.
    """

    kind: Literal["local", "ray"] = "local"
    workers: Count | None = None
    threads: Count | None = None
    address: str | None = None
    cpus: Positive | None = None
    gpus: Annotated[float, Field(ge=0)] = 0.0
    sync: str | None = None

    @model_validator(mode="after")
    def _of_ray(self) -> EngineChoice:
        if self.kind == "local" and (self.address or self.cpus or self.gpus or self.sync):
            raise ValueError('address, cpus, gpus and sync are for kind = "ray".')
        return self


def _reference(value: Any) -> Any:
    return {"reference": value} if isinstance(value, str) else value


def _method(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Study(Frozen):
    """A study: every target with every method, serving and seed. Paths are relative to the file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    summary: str = ""
    targets: Annotated[tuple[Annotated[TargetChoice, BeforeValidator(_reference)], ...], Field(min_length=1)]
    methods: Annotated[tuple[Annotated[MethodChoice, BeforeValidator(_method)], ...], Field(min_length=1)]
    servings: Annotated[tuple[ServingChoice, ...], Field(min_length=1)] = (ServingChoice(),)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    device: str = "cpu"
    workspace: str = "assay-workspace"
    limits: Limits = Limits()
    budget: Budget = Budget()
    costs: dict[str, Cost] = Field(default={})
    engine: EngineChoice = EngineChoice()

    @model_validator(mode="after")
    def _one_ledger(self) -> Study:
        services = [choice.reference for choice in self.targets if choice.reference and is_service(choice.reference)]
        if self.engine.sync and services:
            raise ValueError(
                f"engine: {services[0]} is a service, whose budget is kept in the workspace's own folder: all workers "
                "must see it, so leave out sync."
            )
        return self

    @field_validator("workspace")
    @classmethod
    def _anchored(cls, text: str, info: ValidationInfo) -> str:
        folder = info.context if isinstance(info.context, Path) else Path.cwd()
        return str(folder / Path(text).expanduser())

    @field_validator("costs")
    @classmethod
    def _known(cls, costs: dict[str, Cost]) -> dict[str, Cost]:
        _complain(lambda: [METHODS.get(name) for name in costs])
        return costs


def presets() -> dict[str, str]:
    """The studies that come with Assay: their text by name."""
    folder = files("assay.studies") / "presets"
    found = {file.name.removesuffix(".toml"): file.read_text("utf-8") for file in folder.iterdir()}
    return dict(sorted(found.items()))


def study_text(place: str) -> str:
    """The text of a study file, or of ``preset:NAME``.

    Raises:
        LoadError: if it cannot be read.
        UsageError: if there is no such preset.
    """
    if place.startswith(PRESET):
        name = place.removeprefix(PRESET)
        if name not in presets():
            raise UsageError(f"There is no preset {name!r}: {nearest(name, presets())}")
        return presets()[name]
    return read_text(Path(place).expanduser(), "The study file")


def read_study(place: str) -> Study:
    """A study file, or ``preset:NAME``, checked: models, methods, options and values exist and fit.

    Raises:
        LoadError: if it cannot be read or is not TOML.
        UsageError: naming all that is wrong at once.
    """
    table = parse_toml(study_text(place), f"The study file {place}")
    folder = None if place.startswith(PRESET) else Path(place).expanduser().resolve().parent
    try:
        return Study.model_validate(table, context=folder)
    except OSError as error:  # a name that no file can have, or one that may not be read
        raise LoadError(f"The study file {place}: {error.filename} cannot be used: {error.strerror}.") from None
    except ValidationError as error:
        lines = [_line(each) for each in error.errors() if each["type"] != "too_short" or not each["input"]]
        count = f"{len(lines)} errors" if len(lines) > 1 else "an error"
        raise UsageError(f"The study {place} has {count}; nothing was run.\n" + "\n".join(lines)) from None


_TABLES: dict[str, type[BaseModel]] = {
    "targets": TargetChoice,
    "methods": MethodChoice,
    "servings": ServingChoice,
    "limits": Limits,
    "budget": Budget,
    "costs": Cost,
    "engine": EngineChoice,
}


def _line(error: Mapping[str, Any]) -> str:
    """One complaint: where, and what. Entries of lists are counted from 1."""
    where = [str(part + 1) if isinstance(part, int) else str(part) for part in error["loc"]]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = _TABLES[where[0]] if len(where) > 1 else Study
        message = f"there is no key {where.pop()!r} here: {nearest(str(error['loc'][-1]), known.model_fields)}"
    return f"  {' '.join(where)}: {message}" if where else f"  {message}"


def _complain(check: Callable[[], object]) -> None:
    """Pydantic gathers ValueErrors: one of ours becomes one of them."""
    try:
        check()
    except AssayError as error:
        raise ValueError(str(error)) from None


def _named_sets() -> list[str]:
    return [name for name, source in DATASETS.items() if isinstance(source, Named)]
