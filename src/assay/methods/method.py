"""The method as a type, and its registry."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from assay.access import Oracle, Output, Published, WhiteBox
from assay.base.errors import AccessError
from assay.base.progress import Progress, silent
from assay.base.registry import Registry
from assay.data.splits import Splits
from assay.methods.finding import Family, Finding
from assay.targets.target import Modality

Need = Literal["label", "top-k", "posteriors", "white-box"]
Preset = Literal["quick", "standard", "full"]


@dataclass(frozen=True)
class Context:
    """What a method is given besides access and data.

    ``artefacts`` is an existing folder for files; everything written there is kept with the outcome. ``shared`` is one
    for what trials can share (shadow models), in subfolders named by digests of what they depend on. ``provided`` is
    the artefact folder of the method named by `Method.requires`, already run. ``companions`` are the other models that
    `Method.companions` names, by role. ``weights`` is the target's weights digest: a method that
    compares the target with models that were measured before leaves out the target itself.
    """

    seed: int
    device: torch.device
    artefacts: Path
    shared: Path
    progress: Progress = field(default_factory=silent)
    provided: Path | None = None
    class_names: tuple[str, ...] = ()
    modality: Modality = "image"
    companions: Mapping[str, Published] = field(default_factory=dict)
    weights: str = ""

    def generator(self, purpose: str) -> torch.Generator:
        """A random generator for one purpose: the same for the same seed, independent between purposes."""
        mixed = np.random.SeedSequence([self.seed, zlib.crc32(purpose.encode())]).generate_state(1)
        return torch.Generator().manual_seed(int(mixed[0]))


class Method(BaseModel):
    """An attack, a detector or a defence; its fields are its options.

    A subclass names itself and what it needs in class variables, declares every option as a field with a default, a
    range and a description, and implements `run`. ``version`` goes up whenever the same options would give other
    numbers. ``presets`` maps a preset to the options it changes; a method takes part in the presets that it names.
    ``parts`` are the parts of the data that it cannot do without, ``uses`` those that it uses where they are there.
    ``modalities`` are what it works on; ``on_text`` gives options that make sense for images alone the values that they
    take on texts, unless the caller chose them.
    ``novel_inputs`` is False for methods that ask only about images of the splits: recorded answers suffice for those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]
    family: ClassVar[Family]
    needs: ClassVar[Need]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    summary: ClassVar[str]
    threat_model: ClassVar[str]
    paper: ClassVar[str]
    atlas: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    novel_inputs: ClassVar[bool] = True
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)
    on_text: ClassVar[dict[str, Any]] = {}
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {}

    def on(self, modality: Modality) -> Method:
        """The same method for a modality: on texts with the values of ``on_text``.

        Options keep a value that neither the default nor a preset gave them; methods refuse it where it cannot be.
        """
        if modality == "image":
            return self
        usual = {name: [self.__class__.model_fields[name].default] for name in self.on_text}
        for changes in self.presets.values():
            for name in usual.keys() & changes.keys():
                usual[name].append(changes[name])
        return self.model_copy(
            update={name: value for name, value in self.on_text.items() if getattr(self, name) in usual[name]}
        )

    def requires(self) -> Method | None:
        """A method whose artefacts this one builds on (a stolen surrogate, say); it is run first."""
        return None

    def companions(self) -> dict[str, str]:
        """Other models that the method is given, in hand and differentiable, by role.

        A text is the reference of a published model (see `assay.targets.reference.load_target`), the folder of a
        saved sibling, or a compression of the target, such as ``int8`` (see `assay.methods.siblings`).
        """
        return {}

    def files(self) -> tuple[Path, ...]:
        """Files that options name and that the numbers depend on; those that do not exist are passed over."""
        return ()

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """Do it. ``access`` is an `Oracle`, or a `WhiteBox` where `needs` says so.

        Raises:
            AssayError: with one clear sentence.
        """
        raise NotImplementedError


METHODS: Registry[type[Method]] = Registry("method", "assay.methods")

OUTPUT_OF_NEED: dict[Need, Output | None] = {
    "label": "label",
    "top-k": "top-k",
    "posteriors": "posteriors",
    "white-box": None,
}


def method(kind: type[Method]) -> type[Method]:
    """Class decorator that registers a method under its own name."""
    return METHODS.add(kind.name)(kind)


def require_oracle(access: Any) -> Oracle:
    """``access`` as an oracle.

    Raises:
        AccessError: if it is something else.
    """
    if not isinstance(access, Oracle):
        raise AccessError("This method asks an oracle, and was given another kind of access.")
    return access


def require_white_box(access: Any) -> WhiteBox:
    """``access`` as a white box.

    Raises:
        AccessError: if it is something else.
    """
    if not isinstance(access, WhiteBox):
        raise AccessError("This method needs white-box access, and was given another kind.")
    return access
