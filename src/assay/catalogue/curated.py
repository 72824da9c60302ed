"""Public models that can be assessed by name: the files ``data/*.toml`` whose entries are ``[[model]]``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from assay.base.errors import UsageError
from assay.base.frozen import Frozen
from assay.catalogue.weights import Preprocessing, Weights

DATA = Path(__file__).resolve().parent / "data"
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Loadable(Frozen):
    """What loading a public model requires, and the accuracy that shows whether it was loaded correctly.

    ``architecture`` is None where the file itself says what the network is. ``input_shape`` is (channels, height,
    width). ``dataset`` names the set that the model was trained on: its first ``train_rows`` training images, or all
    of them if that is None. ``claimed`` holds what the authors say, shares in [0, 1] by name (``accuracy``);
    ``measured_accuracy`` is what was found elsewhere for this very file, on the first ``measured_images`` test images.
    ``licence`` is that of the source's repository.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
    title: str
    weights: Weights
    architecture: str | None = None
    num_classes: Annotated[int, Field(ge=2)]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing = Preprocessing()
    dataset: str
    train_rows: Annotated[int, Field(ge=1)] | None = None
    class_names: tuple[str, ...] = ()
    licence: str
    source: str
    claimed: dict[str, Share] = Field(default={})
    measured_accuracy: Share | None = None
    measured_images: Annotated[int, Field(ge=1)] | None = None
    note: str = ""


@cache
def curated() -> dict[str, Loadable]:
    """All entries by id, sorted.

    Raises:
        ValueError: if a file is not valid or two entries share an id: the package itself is broken then.
    """
    entries: dict[str, Loadable] = {}
    for path in sorted(DATA.glob("*.toml")):
        for table in tomllib.loads(path.read_text("utf-8")).get("model", []):
            entry = Loadable.model_validate(table)
            if entry.id in entries:
                raise ValueError(f"{path.name}: the id {entry.id!r} is taken already")
            entries[entry.id] = entry
    return dict(sorted(entries.items()))


def expand(references: Iterable[str]) -> list[str]:
    """Replace references with ``*`` or ``?`` by the matching catalogue ids, without duplicates.

    Raises:
        UsageError: if a pattern matches nothing.
    """
    found: dict[str, None] = {}
    for reference in references:
        is_pattern = "*" in reference
        matches = [known for known in curated() if fnmatchcase(known, reference)] if is_pattern else [reference]
        if not matches:
            raise UsageError(f"No catalogue id matches {reference!r}.")
        found.update(dict.fromkeys(matches))
    return list(found)
