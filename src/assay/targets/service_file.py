"""Target files of services: what is sent where, and what is read from the answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from assay.base.errors import LoadError, UsageError
from assay.base.frozen import Frozen
from assay.base.reading import read_toml
from assay.data.images import Shape

PLACES = ("{png}", "{jpeg}", "{floats}", "{floats_last}", "{text}")
"""What stands for an input in a body."""

PATH = re.compile(r"\$(\.[A-Za-z_][\w-]*|\['[^']+'\]|\[\d+\]|\[\*\])*")


class Mapping(Frozen):
    """How a service with its own JSON is asked, and how its answers are read.

    ``body`` is a table in which one string stands for the input: ``{png}`` or ``{jpeg}`` (base64), ``{floats}``
    (channels, height, width) or ``{floats_last}`` (height, width, channels), nested lists in [0, 1], or ``{text}``.
    With a ``batch`` above 1 the innermost list around it holds one item for each input. ``headers`` may name
    environment variables, as in ``Bearer ${API_KEY}``, whose values are kept nowhere. ``answers`` is a path such as
    ``$.scores`` or ``$.predictions[*].scores`` to one answer, or to a list of them: a list of scores in the order of
    the data's classes, a list of tables of a label and a score, or a table of scores by label. ``labels`` says which
    class of the data a label of the service means. ``gives`` is what the scores are.
    """

    url: str
    body: dict[str, Any]
    answers: str
    headers: dict[str, str] = Field(default={})
    labels: dict[str, str] = Field(default={})
    gives: Literal["posteriors", "logits", "top-k", "label"] = "posteriors"
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    price_per_1000: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _usable(self) -> Mapping:
        if not PATH.fullmatch(self.answers):
            raise ValueError(f"answers must be a path such as $.scores or $.items[*].scores, not {self.answers!r}")
        places = list(find_places(self.body))
        if len(places) != 1:
            raise ValueError(f"body must hold one of {', '.join(PLACES)} once; it holds {len(places)}")
        if self.batch > 1 and not in_a_list(self.body):
            raise ValueError("with a batch above 1 the input must stand in a list in the body")
        return self

    @property
    def place(self) -> str:
        """Which of `PLACES` the body holds."""
        return next(iter(find_places(self.body)))


class ServiceFile(Frozen):
    """The keys of a target file with a ``[service]``. A relative ``data`` path is relative to the file."""

    service: Mapping
    name: str | None = None
    data: str | None = None
    input_shape: Shape | None = None
    class_names: tuple[str, ...] = ()


def find_places(body: Any) -> list[str]:
    """The places for an input that a body holds."""
    if isinstance(body, str):
        return [place for place in PLACES for _ in range(body.count(place))]
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list | tuple) else ()
    return [place for each in inner for place in find_places(each)]


def in_a_list(body: Any) -> bool:
    """Whether the place for an input stands somewhere inside a list."""
    if isinstance(body, dict):
        return any(in_a_list(each) for each in body.values())
    return isinstance(body, list | tuple) and bool(find_places(list(body)))


def is_service_file(reference: str) -> bool:
    """Whether a reference is the path of a target file with a ``[service]``."""
    path = Path(reference).expanduser()
    if path.suffix != ".toml" or not path.is_file():
        return False
    try:
        return "service" in read_toml(path, "The target file")
    except LoadError:  # whoever reads it as a model's says what is wrong
        return False


def read_service_file(path: Path) -> ServiceFile:
    """Read and check a target file with a ``[service]``.

    Raises:
        LoadError: if it cannot be read or is not TOML.
        UsageError: if a key is unknown or a value is wrong.
    """
    table = read_toml(path, "The target file")
    try:
        return ServiceFile.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = "is no key of it" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"The target file {path.name} is wrong: {where}: {said}.") from None
