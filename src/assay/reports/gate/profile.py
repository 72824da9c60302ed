"""Requirements of a standard as the gate reads them: a packaged profile by its name, or a TOML file.

This is not the way of publishing that `assay audit --profile` decides for (`assay.reports.decision`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.base.reading import read_toml
from assay.methods.index import find_method
from assay.methods.metric import Family

FOLDER = Path(__file__).with_name("profiles")

PACKAGED = ("aisvs-1.0", "annex-iv")
"""The profiles that come with Assay."""

Check = Literal["measured", "accepted", "limited", "equivalent", "release", "loaded", "digest", "outside"]


class Requirement(Frozen):
    """One requirement, and how a report decides it.

    ``check`` is *measured* (each family has a finished method that could clear a model), *accepted* (each family's
    answer, or each method's verdict, is at worst ``worst``), *limited* (the same, from a service with a budget),
    *equivalent* (the upper bound of every metric that ``bounds`` names is at most that), *release* (all files were
    measured alike), *loaded* and *digest* (what is known of the file), or *outside*: no report can show it. ``text``
    says what is asked, ``scope`` how much of that is decided here. ``bounds`` maps metrics (``*`` matches any ending)
    to numbers.
    """

    id: Annotated[str, Field(min_length=1)]
    text: str
    scope: str = ""
    check: Check
    families: tuple[Family, ...] = ()
    methods: tuple[str, ...] = ()
    worst: Literal["low", "undecided", "elevated"] | None = None
    bounds: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        judged = self.check in ("measured", "accepted", "limited", "equivalent")
        if judged and not (self.families or self.methods):
            raise ValueError("say of which families or methods")
        if self.check in ("accepted", "limited") and self.worst is None:
            raise ValueError("say the worst level that is accepted: worst")
        if self.check == "equivalent" and not self.bounds:
            raise ValueError("say the bounds of the metrics: bounds")
        return self

    @property
    def subject(self) -> str:
        """The id."""
        return self.id

    @property
    def demand(self) -> str:
        """What is asked, in words."""
        return self.text.rstrip(".")

    @property
    def reason(self) -> str:
        """How much of it is decided here."""
        return self.scope


class Profile(Frozen):
    """The requirements of one standard, of different ids."""

    title: str
    url: str = ""
    requirement: Annotated[tuple[Requirement, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _different(self) -> Self:
        ids = [one.id for one in self.requirement]
        twice = next((one for one in ids if ids.count(one) > 1), None)
        if twice:
            raise ValueError(f"there are two requirements {twice!r}")
        return self


def read_profile(named: str) -> Profile:
    """A packaged profile by its name, or one from a TOML file.

    Raises:
        UsageError: if there is neither, or the file says what no profile may say.
        LoadError: if the file cannot be read or is not TOML.
    """
    packaged = {name: FOLDER / f"{name}.toml" for name in PACKAGED}
    file = packaged.get(named, Path(named))
    if named not in packaged and not file.exists():
        raise UsageError(f"There is no profile {named!r}, and no file of that name: {nearest(named, packaged)}")
    try:
        profile = Profile.model_validate(read_toml(file, "The profile"))
    except ValidationError as error:
        raise UsageError(f"The profile {file.name} is wrong: {_sentence(error)}") from None
    for one in profile.requirement:
        for method in one.methods:
            try:
                find_method(method)
            except UsageError as error:
                told = str(error)
                raise UsageError(f"The profile {file.name} is wrong: {one.id}: {told[0].lower()}{told[1:]}") from None
    return profile


def _sentence(error: ValidationError) -> str:
    """The first complaint, with its place; a requirement is named by its number."""
    first = error.errors()[0]
    place = [f"{part + 1}" if isinstance(part, int) else str(part) for part in first["loc"]]
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{' '.join(place)}: {message}." if place else f"{message}."
