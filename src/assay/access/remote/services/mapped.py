"""A service with its own JSON, as a target file maps it."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from typing_extensions import override

from assay.access.remote.address import Address, check_url
from assay.access.remote.http import Call, Reply, excerpt
from assay.access.remote.inputs import png, text
from assay.access.remote.service import SERVICES, HttpService, Rows, credential, one_hot, scores
from assay.base.errors import DataError
from assay.targets.service_file import find_places, read_service_file
from assay.targets.target import Modality

VARIABLE = re.compile(r"\$\{(\w+)\}")
STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['([^']+)'\]|\[(\d+|\*)\]")
JPEG_QUALITY = 95


@SERVICES.add("json")
class MappedService(HttpService):
    """A service whose request and answer a target file describes (`assay.targets.service_file.Mapping`)."""

    scheme: ClassVar[str] = "json"
    title: ClassVar[str] = "A service with its own JSON"
    example: ClassVar[str] = "json:FILE.toml"
    credentials: ClassVar[tuple[str, ...]] = ("the environment variables that its headers name",)

    def __init__(self, address: Address) -> None:
        """Read the target file; nothing is sent."""
        file = read_service_file(Path(address.place).expanduser())
        self.mapping = mapping = file.service
        base = check_url(mapping.url).partition("?")[0]
        names = {"classes": ",".join(file.class_names)} if file.class_names else {}
        super().__init__(replace(address, shown=base.rstrip("/"), options={**names, **address.options}))
        self.shape = file.input_shape
        self.batch, self.concurrency = mapping.batch, mapping.concurrency
        self.price_per_1000 = mapping.price_per_1000
        self.kind = self.output = "posteriors" if mapping.gives == "logits" else mapping.gives

    @property
    @override
    def url(self) -> str:
        return self.address.shown

    @property
    @override
    def reads(self) -> Modality:
        return "text" if self.mapping.place == "{text}" else "image"

    @property
    @override
    def described(self) -> Any:
        return self.mapping.model_dump(mode="json", exclude={"headers", "batch", "concurrency", "price_per_1000"})

    def settle(self, names: tuple[str, ...]) -> None:
        """Columns are in the order of the data's classes."""
        self.classes = names

    def secrets(self) -> dict[str, str]:
        """The headers that name environment variables, with their values."""
        return {name: self._filled(value) for name, value in self.mapping.headers.items() if VARIABLE.search(value)}

    def _filled(self, value: str) -> str:
        return VARIABLE.sub(lambda found: credential(found[1], self.address.shown), value)

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        place = self.mapping.place
        fills = [_input(place, one) for one in inputs]
        headers = {name: value for name, value in self.mapping.headers.items() if not VARIABLE.search(value)}
        content = filled(self.mapping.body, place, fills)
        query = self.mapping.url.partition("?")[2]
        return Call(
            "POST",
            f"?{query}" if query else "",
            json.dumps(content).encode(),
            {"Content-Type": "application/json", **headers},
        )

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        found = follow(reply.json(), self.mapping.answers, self.address.shown, excerpt(reply.body))
        single = count == 1 and not _is_batch(found, self.mapping.gives)
        answers = [found] if single else found
        if not isinstance(answers, list) or len(answers) != count:
            there = f"{len(answers)} answers" if isinstance(answers, list) else type(answers).__name__
            raise DataError(
                f"{self.address.shown} has {there} at {self.mapping.answers}, and was asked about {count} inputs: say "
                "batch = 1, or a path that leads to all of them."
            )
        return np.concatenate([self._row(answer) for answer in answers])

    def _row(self, answer: Any) -> Rows:
        who, gives = self.address.shown, self.mapping.gives
        if gives == "label":
            return one_hot(self._label(answer), self.classes)
        if isinstance(answer, list) and all(isinstance(each, dict) for each in answer):
            answer = {str(each.get("label")): each.get("score") for each in answer}
        if isinstance(answer, dict):
            named: dict[str, Any] = {
                self.mapping.labels.get(str(label), str(label)): score for label, score in answer.items()
            }
            given: dict[str, Any] = {**dict.fromkeys(self.classes, 0.0), **named} if gives == "top-k" else named
        elif isinstance(answer, list) and len(answer) == len(self.classes):
            given = dict(zip(self.classes, answer, strict=True))
        else:
            size = f"{len(answer)} numbers" if isinstance(answer, list) else repr(answer)[:80]
            raise DataError(
                f"{who} has {size} at {self.mapping.answers}, and the data have {len(self.classes)} classes."
            )
        if gives == "logits":
            return _softmax(given, self.classes, who)
        row = scores(given, self.classes, who)
        if gives == "posteriors" and abs(float(row.sum()) - 1.0) > 0.01:
            raise DataError(
                f'{who} answered with scores that sum to {row.sum():.3g}: say gives = "logits" if they are.'
            )
        return row

    def _label(self, answer: Any) -> int:
        if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(self.classes):
            return answer
        name = self.mapping.labels.get(str(answer), str(answer))
        if name not in self.classes:
            raise DataError(
                f"{self.address.shown} answered {answer!r}, which is no class of the data, as {self.classes[0]!r} "
                "is: say which one it means under labels."
            )
        return self.classes.index(name)


def follow(content: Any, path: str, who: str, shown: str) -> Any:
    """What a path leads to in JSON; ``[*]`` goes on in every item of a list.

    Raises:
        DataError: if there is nothing; the sentence says what the answer has.
    """
    found, walked = [content], "$"
    many = False
    for step in STEP.finditer(path):
        name, index = step[1] or step[2], step[3]
        if index == "*":
            many = True
            if not all(isinstance(each, list) for each in found):
                raise _missing(who, path, walked, found[0], shown)
            found = [item for each in found for item in each]
        else:
            try:
                found = [each[name if name is not None else int(index)] for each in found]
            except (KeyError, IndexError, TypeError):
                raise _missing(who, path, walked, found[0] if found else None, shown) from None
        walked += step[0]
    return found if many else found[0]


def _missing(who: str, path: str, walked: str, there: Any, shown: str) -> DataError:
    if isinstance(there, dict):
        has = f"the keys {', '.join(map(repr, list(there)[:8]))}" if there else "an empty table"
    else:
        has = f"a list of {len(there)}" if isinstance(there, list) else repr(there)[:80]
    return DataError(
        f"{who} answered without {path}: at {walked} it has {has} ({shown}); mend answers in the target file."
    )


def filled(body: Any, place: str, fills: list[Any]) -> Any:
    """A body with inputs in their place; the innermost list around it holds one item for each."""
    if isinstance(body, str):
        if body == place:
            return fills[0]
        return body.replace(place, str(fills[0])) if place in body else body
    if isinstance(body, dict):
        return {key: filled(value, place, fills) for key, value in body.items()}
    if not isinstance(body, list | tuple):
        return body
    if len(fills) > 1 and find_places(list(body)) and not any(_holds_list(each) for each in body):
        return [filled(each, place, [one]) for one in fills for each in body]
    return [filled(each, place, fills) for each in body]


def _holds_list(body: Any) -> bool:
    """Whether the place for an input stands in a list inside this."""
    if isinstance(body, dict):
        return any(_holds_list(each) for each in body.values())
    return isinstance(body, list | tuple) and bool(find_places(list(body)))


def _jpeg(pixels: torch.Tensor) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(png(pixels))) as image:
        image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


_FORMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "{png}": lambda one: base64.b64encode(png(one)).decode(),
    "{jpeg}": lambda one: base64.b64encode(_jpeg(one)).decode(),
    "{floats}": lambda one: one.tolist(),
    "{floats_last}": lambda one: one.permute(1, 2, 0).tolist(),
    "{text}": text,
}


def _input(place: str, one: torch.Tensor) -> Any:
    return _FORMS[place](one)


def _is_batch(found: Any, gives: str) -> bool:
    """Whether what a path led to is a list of answers, not one: answers are lists themselves, or tables, or labels."""
    if not isinstance(found, list):
        return False
    if gives == "label":
        return True
    return bool(found) and all(
        isinstance(each, list) or (isinstance(each, dict) and not {"label", "score"} <= each.keys()) for each in found
    )


def _softmax(given: dict[str, Any], classes: tuple[str, ...], who: str) -> Rows:
    numbers = [given.get(name) for name in classes]
    good = [isinstance(each, int | float) and not isinstance(each, bool) and np.isfinite(each) for each in numbers]
    if not all(good):
        name = classes[good.index(False)]
        raise DataError(f"{who} answered {given.get(name)!r} for {name}, which is not a finite number.")
    return torch.softmax(torch.tensor([numbers], dtype=torch.float64), dim=1).float().numpy()
