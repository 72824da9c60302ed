"""What every service is to the client: a description, and one question with one answer."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from assay.access.remote.address import Address
from assay.access.remote.failures import DeniedError
from assay.access.remote.http import Call, Line, Reply
from assay.access.serving import Output
from assay.base.digests import digest_json
from assay.base.errors import DataError, UsageError, nearest
from assay.base.registry import Registry
from assay.data.images import Shape
from assay.targets.target import Kind, Modality

Rows = NDArray[np.float32]

COMMON = {"classes": "the names of the data's classes, in the order of its labels, joined by commas"}
"""Options of every service."""


class Service(ABC):
    """A prediction service at one address.

    ``classes`` are the service's own, in the order of its answers' columns; empty where it does not say, until
    `settle`. ``shape`` is None where any size is taken. ``output`` is the most that it answers, ``kind`` what its
    numbers are. An ``idempotent`` service never charges an id twice. ``price_per_1000`` (US dollars) is None where the
    service does not say. ``task`` names the label map (see `assay.access.remote.labels`). ``ended`` says why a service
    cannot be asked any more.
    """

    scheme: ClassVar[str]
    title: ClassVar[str]
    example: ClassVar[str]
    credentials: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[dict[str, str]] = {}
    modality: ClassVar[Literal["image", "text", "any"]] = "image"
    task: ClassVar[str | None] = None
    ended: ClassVar[str] = ""

    classes: tuple[str, ...] = ()
    shape: Shape | None = None
    output: Output = "posteriors"
    kind: Kind = "posteriors"
    batch: int = 1
    concurrency: int = 4
    idempotent: bool = False
    price_per_1000: float | None = None

    def __init__(self, address: Address) -> None:
        """Take an address; nothing is sent.

        Raises:
            UsageError: if the place or an option is not understood.
        """
        known = {**self.options, **COMMON}
        for option in address.options:
            if option not in known:
                raise UsageError(f"{address.shown} has no option {option!r}: {nearest(option, known)}")
        self.address = address

    @property
    def reads(self) -> Modality:
        """What inputs stand for; `connect` comes first."""
        return "text" if self.modality == "text" else "image"

    @property
    @abstractmethod
    def url(self) -> str:
        """Where questions go."""

    @abstractmethod
    def ask(self, id: str, inputs: torch.Tensor) -> Rows:
        """Answers (n, classes) to images or rows of text, float32 (n, c, h, w) in [0, 1]; one request.

        Raises:
            AssayError: see `assay.access.remote.failures`; DataError if the answer is not understood.
        """

    def connect(self) -> None:  # noqa: B027
        """Learn from the service what it says of itself; no question is asked, and nothing is charged."""

    def settle(self, names: tuple[str, ...]) -> None:  # noqa: B027
        """Learn the names of the data's classes, for a service that does not say its own."""

    def same(self) -> None:  # noqa: B027
        """Make sure, after a break, that the service is what it was.

        Raises:
            AccessError: if it is not.
        """

    @property
    def identity(self) -> str:
        """What answers depend on: service, address, options, version, classes, and what the numbers are."""
        return digest_json(
            {
                "service": self.scheme,
                "place": self.address.place,
                "options": self.address.options,
                "described": self.described,
                "classes": self.classes,
                "kind": self.kind,
                "output": self.output,
            }
        )

    @property
    def described(self) -> Any:
        """What else the service says of itself, versions above all."""
        return None

    def number(self, option: str, default: int) -> int:
        """An option that is a whole number of 1 or more.

        Raises:
            UsageError: if it is none.
        """
        text = self.address.options.get(option, str(default))
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"{self.address.shown}: {option} must be a whole number of 1 or more, not {text!r}.")
        return int(text)


SERVICES: Registry[type[Service]] = Registry("service", "assay.access.remote.services")


class HttpService(Service):
    """A service over HTTP: a pure request builder and a pure response parser."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._line: Line | None = None

    @abstractmethod
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        """The request."""

    @abstractmethod
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        """The answer, (count, classes).

        Raises:
            DataError: if it is not understood.
        """

    def secrets(self) -> dict[str, str]:
        """Headers with credentials."""
        return {}

    @property
    def line(self) -> Line:
        """The line, opened when it is first used."""
        if self._line is None:
            self._line = Line(self.url, secrets=self.secrets())
        return self._line

    @override
    def ask(self, id: str, inputs: torch.Tensor) -> Rows:
        return self.parse(self.line.send(self.build(id, inputs)), id, len(inputs))


def credential(name: str, service: str) -> str:
    """An environment variable that holds a credential.

    Raises:
        DeniedError: if it is not set.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        raise DeniedError(f"{service} needs credentials: set the environment variable {name}.")
    return value


def scores(given: dict[str, Any], classes: tuple[str, ...], who: str) -> Rows:
    """One row of numbers, by class name.

    Raises:
        DataError: if a class is missing or unknown, or a number is none, negative or not finite.
    """
    if missing := [name for name in classes if name not in given]:
        raise DataError(f"{who} omits {len(missing)} of its {len(classes)} classes: {', '.join(missing[:5])}.")
    if unknown := [name for name in given if name not in classes]:
        raise DataError(f"{who} changed its classes: {', '.join(map(str, unknown[:5]))} was not among them before.")
    if wrong := [name for name in classes if not is_number(given[name])]:
        raise DataError(f"{who} answered {given[wrong[0]]!r} for {wrong[0]}, which is not a number of 0 or more.")
    return np.array([[given[name] for name in classes]], np.float64).astype(np.float32)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value from JSON is a finite number of 0 or more."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < float("inf")


def shares(rows: Rows, who: str) -> Rows:
    """Rows of numbers of 0 or more, such as percentages, divided by their sums.

    Raises:
        DataError: if a row sums to 0.
    """
    sums = rows.sum(axis=1, keepdims=True, dtype=np.float64)
    if not (sums > 0).all():
        raise DataError(f"{who} answered with zeros only.")
    divided: Rows = (rows / sums).astype(np.float32)
    return divided


def one_hot(label: int, classes: tuple[str, ...]) -> Rows:
    """One row that says a label and nothing else."""
    row = np.zeros((1, len(classes)), np.float32)
    row[0, label] = 1.0
    return row


def no_face(classes: tuple[str, ...]) -> Rows:
    """The row of an image in which the service finds no face: every class alike."""
    return np.full((1, len(classes)), 1.0 / len(classes), np.float32)
