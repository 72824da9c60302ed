"""Label maps: the classes of a service beside the classes of a task."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from assay.access.remote.service import Rows
from assay.base.errors import DataError


class Arranged(NamedTuple):
    """A target's classes, and for each of the service's own the column that its number is added to.

    The task's classes come first, in the data's order, so that labels keep their meaning; what the service tells apart
    besides (confusion, say, among Rekognition's emotions) follows. Nothing is left out, and rows keep their sum.
    """

    classes: tuple[str, ...]
    columns: tuple[int, ...]

    def rows(self, native: Rows) -> Rows:
        """Answers (n, the service's classes) as answers (n, classes)."""
        if self.columns == tuple(range(len(self.classes))):
            return native
        arranged = np.zeros((len(native), len(self.classes)), np.float32)
        for column, values in zip(self.columns, native.T, strict=True):
            arranged[:, column] += values
        return arranged


@cache
def words(task: str) -> dict[str, str]:
    """Every word for a class of a task, and the common name."""
    table = tomllib.loads(files("assay.access.remote").joinpath("labels.toml").read_text("utf-8"))[task]
    return {plain(word): name for name, others in table.items() for word in (name, *others)}


def plain(word: str) -> str:
    """A word without case, blanks, hyphens and underscores."""
    return "".join(c for c in word.casefold() if c.isalnum())


def arrange(native: tuple[str, ...], names: tuple[str, ...], task: str | None, who: str) -> Arranged:
    """The classes of a target whose data call theirs ``names``; without a task, words must be the same.

    Raises:
        DataError: if the data's classes have no names, or the service knows none of them.
    """
    if not names:
        raise DataError(
            f"{who} answers with names, and the data set's classes have none: name them in the order of its labels, "
            "with ?classes=NAME,NAME."
        )
    common = words(task) if task else {}
    known = {common.get(plain(name), plain(name)): column for column, name in enumerate(names)}
    outside = tuple(word for word in native if common.get(plain(word), plain(word)) not in known)
    if len(outside) == len(native):
        raise DataError(f"{who} tells {', '.join(native)} apart, and the data set {', '.join(names)}: none in common.")
    places = {word: len(names) + place for place, word in enumerate(outside)}
    columns = tuple(places[word] if word in places else known[common.get(plain(word), plain(word))] for word in native)
    return Arranged((*names, *(word.lower() for word in outside)), columns)
