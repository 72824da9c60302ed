"""From an owner's wishes to a service: a target opened, its detectors made, its address listened at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from pydantic import ValidationError

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.detectors import DETECTORS, Traffic, Watch
from assay.base.errors import DataError, UsageError, WorkspaceError
from assay.base.progress import Progress
from assay.base.settings import parse_setting
from assay.server.keys import KeyFile
from assay.server.limits import Limits
from assay.server.log import Log
from assay.server.running import bind, run
from assay.server.service import Service
from assay.targets.reference import load_target, open_model
from assay.targets.target import Target

ORDINARY = 2000
"""Images of the model's non-members that detectors are shown as ordinary traffic, at most."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How a reference is to be served.

    ``serving`` replaces some of what the target says (see `assay.access.Serving`), ``limits`` some of `Limits`.
    ``keys`` is the file of keys, by default ``keys.json`` in ``state``; where the file exists, a key is needed.
    ``detectors`` are texts such as ``prada`` or ``shift:alpha=0.001``. ``log`` is a file; None: standard error.
    """

    state: Path
    host: str = "127.0.0.1"
    exposed: bool = False
    port: int = 8000
    name: str | None = None
    keys: Path | None = None
    serving: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    detectors: tuple[str, ...] = ()
    data: str | None = None
    device: str = "cpu"
    log: Path | None = None


def start(reference: str, wishes: Wishes, progress: Progress) -> None:
    """Serve a reference until SIGTERM or SIGINT; ``progress`` is told warnings, and the address.

    Raises:
        AssayError: if the target cannot be loaded, or the service cannot be made as wished.
    """
    try:
        limits = Limits.model_validate(wishes.limits)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"The limit {wrong['loc'][0]} is not valid: {wrong['msg']}.") from None
    keys = KeyFile(wishes.keys or wishes.state / "keys.json")
    if wishes.keys is not None or keys.exists():
        keys.read()
    with bind(wishes.host, wishes.port, wishes.exposed) as listener, ExitStack() as closing:
        if wishes.data is not None:
            target = load_target(reference, data=wishes.data, device=wishes.device, progress=progress)
        else:
            target = open_model(reference, device=wishes.device, progress=progress).target
        watches = {text: _watches(target, text, wishes.state) for text in wishes.detectors}
        log = Log(closing.enter_context(_opened(wishes.log)) if wishes.log else sys.stderr)
        service = Service(
            target,
            _serving(target, wishes.serving),
            wishes.state,
            name=wishes.name,
            keys=keys,
            limits=limits,
            watches=watches,
            log=log,
        )
        if wishes.exposed:
            progress.say("Other machines may reach this service, over plain HTTP: put a TLS proxy before it.")
            if not keys.exists():
                progress.say("It asks for no key: anybody who reaches it may use it.")
        run(service, listener, lambda address: progress.say(f"Serving {service.name} at {address}; Ctrl-C stops it."))


def _serving(target: Target, wished: dict[str, Any]) -> Serving:
    try:
        serving = Serving.model_validate(Serving.of(target).model_dump() | wished)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"The serving is not valid: {wrong['loc'][0]}: {wrong['msg']}.") from None
    serving.build_policies()
    return serving


def _watches(target: Target, text: str, state: Path) -> Callable[[], Watch]:
    """A maker of watches, shown non-members of the model's data, where there are data, as ordinary traffic."""
    detector, images = parse_setting(DETECTORS, text), target.splits.non_members
    store = PosteriorStore(state / "stores" / f"{target.digest}.logits", target.num_classes)
    pixels = torch.empty(0, *target.input_shape)
    if images is not None:
        pixels = images.take(np.arange(min(len(images), ORDINARY)))
    try:
        return detector.watches(Traffic(pixels, Oracle(target, Serving(), store).ask(pixels)))
    except DataError as error:
        raise UsageError(f"The detector {text!r} cannot watch: {error} Say --data, a set with more of them.") from None


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a")
    except OSError as error:
        raise WorkspaceError(f"The log {path} cannot be written: {error.strerror}.") from error
