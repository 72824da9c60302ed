"""The method as a type, and its registry."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from assay.access import Oracle, Output, Published, WhiteBox
from assay.base.progress import Progress, silent
from assay.base.registry import Registry
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import FAMILIES, Family, Finding
from assay.methods.work import Sizes, Work
from assay.targets.target import Modality, Target

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


Result = TypeVar("Result")


class Method(BaseModel):
    """An attack, a detector or a defence; its fields are its options.

    A method is an `OracleMethod` or a `WhiteBoxMethod`, by the access that it takes. It names itself (``name`` is
    ``family.word``), says what it is (``about``), and declares every option as a field with a default, a range and a
    description. ``version`` goes up whenever the same options would give other numbers. ``presets`` maps a preset to
    the options it changes; a method takes part in the presets that it names. ``parts`` are the parts of the data that
    it cannot do without, ``uses`` those that it uses where they are there; no other can be reached. ``modalities`` are
    what it works on; ``suited`` gives, by modality, options that make sense for images alone the values that they
    take there, unless the caller chose them. ``novel_inputs`` is False for methods that ask only about images of the
    splits: recorded answers suffice for those. ``covered_by`` names a method that does the work of this one among its
    own: an audit by the preset ``quick`` leaves this one out where that one applies. ``true_labels`` is False for
    methods that need no true labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]
    about: ClassVar[About]
    needs: ClassVar[Need]
    family: ClassVar[Family]
    version: ClassVar[int] = 1
    parts: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    novel_inputs: ClassVar[bool] = True
    true_labels: ClassVar[bool] = True
    modalities: ClassVar[tuple[Modality, ...]] = ("image",)
    suited: ClassVar[dict[Modality, dict[str, Any]]] = {}
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {}
    covered_by: ClassVar[str | None] = None

    def on(self, modality: Modality) -> Method:
        """The same method for a modality, with its values of ``suited``.

        Options keep a value that neither the default nor a preset gave them; methods refuse it where it cannot be.
        """
        suited = self.suited.get(modality)
        if not suited:
            return self
        usual = {name: [self.__class__.model_fields[name].default] for name in suited}
        for changes in self.presets.values():
            for name in usual.keys() & changes.keys():
                usual[name].append(changes[name])
        return self.model_copy(
            update={name: value for name, value in suited.items() if getattr(self, name) in usual[name]}
        )

    def requires(self) -> Method | None:
        """A method whose artefacts this one builds on (a stolen surrogate, say); it is run first."""
        return None

    def companions(self) -> dict[str, str]:
        """Other models that the method is given, in hand and differentiable, by role.

        A text is the reference of a published model (see `assay.targets.reference.load_target`), the folder of a
        saved sibling, or a compression of the target, such as ``int8`` (see `assay.compression`).
        """
        return {}

    def public_companions(self, target: Target) -> dict[str, str]:
        """Published models that the method is given as far as they can be had, by role; see `companions`.

        One that cannot be had, does not fit or has the target's own weights is left out.
        """
        return {}

    def why_not(self, companions: Collection[str]) -> str:
        """Why the method makes no sense with companions of these roles alone; empty if it does."""
        return ""

    def work(self, sizes: Sizes) -> Work | None:
        """What the method will compute on a target of these sizes; None where nobody can tell beforehand.

        Work that answers kept from other methods may spare is counted; what `requires` does is not. It is right within
        a factor of 1.5, or it is None.
        """
        return None

    def files(self) -> tuple[Path, ...]:
        """Files that options name and that the numbers depend on; those that do not exist are passed over."""
        return ()


class OracleMethod(Method, Generic[Result]):
    """A method that asks questions. ``needs`` is the least that an answer must hold: label, top-k or posteriors.

    `measure` does the work, over access and data alone, and returns what it measured; `account` says what that means.
    """

    needs: ClassVar[Need] = "posteriors"

    def measure(self, access: Oracle, data: Splits, context: Context) -> Result:
        """Ask, and return what was measured.

        Raises:
            AssayError: with one clear sentence.
        """
        raise NotImplementedError

    def account(self, result: Result, context: Context) -> Finding:
        """Metrics with intervals, pictures and the verdict, from what was measured."""
        raise NotImplementedError

    def run(self, access: Oracle, data: Splits, context: Context) -> Finding:
        """Measure, then account for it."""
        return self.account(self.measure(access, data, context), context)


class WhiteBoxMethod(Method, Generic[Result]):
    """A method with the network in hand. See `OracleMethod` for `measure` and `account`."""

    needs: ClassVar[Need] = "white-box"

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Result:
        """Work on the network, and return what was measured.

        Raises:
            AssayError: with one clear sentence.
        """
        raise NotImplementedError

    def account(self, result: Result, context: Context) -> Finding:
        """Metrics with intervals, pictures and the verdict, from what was measured."""
        raise NotImplementedError

    def run(self, access: WhiteBox, data: Splits, context: Context) -> Finding:
        """Measure, then account for it."""
        return self.account(self.measure(access, data, context), context)


METHODS: Registry[type[Method]] = Registry("method", "assay.methods")

OUTPUT_OF_NEED: dict[Need, Output | None] = {
    "label": "label",
    "top-k": "top-k",
    "posteriors": "posteriors",
    "white-box": None,
}


def method(kind: type[M]) -> type[M]:
    """Class decorator that registers a method under its own name.

    Raises:
        TypeError: if it does not declare what every method must; the message says what.
        ValueError: if the name is taken.
    """
    if (wrong := _undeclared(kind)) is not None:
        raise TypeError(f"the method {kind.__name__} {wrong}")
    kind.family = _family(kind)
    kind.about = kind.about.of(kind.family, kind.needs == "white-box")
    METHODS.add(kind.name)(kind)
    return kind


M = TypeVar("M", bound=Method)


def _family(kind: type[Method]) -> Family:
    """The family that begins the name; raises StopIteration if none does."""
    return next(family for family in FAMILIES if kind.name.startswith(f"{family}."))


def _undeclared(kind: type[Method]) -> str | None:
    """What is wrong with a method's declaration, to follow its name; None if nothing is."""
    if not str(getattr(kind, "name", "")).startswith(tuple(f"{family}." for family in FAMILIES)):
        return f"must have a name that begins with its family: {', '.join(FAMILIES)}, such as evasion.mine"
    if not issubclass(kind, OracleMethod | WhiteBoxMethod):
        return "must be an OracleMethod or a WhiteBoxMethod, by the access that it takes"
    if not isinstance(getattr(kind, "about", None), About):
        return "must say what it is: about = About(title, summary, paper)"
    wanted = ("white-box",) if issubclass(kind, WhiteBoxMethod) else ("label", "top-k", "posteriors")
    if kind.needs not in wanted:
        return f"needs {kind.needs!r}, and by its base it can need {' or '.join(wanted)}"
    for part in (*kind.parts, *kind.uses):
        if part not in Splits._fields:
            return f"declares the part {part!r}; the parts of the data are {', '.join(Splits._fields)}"
    if kind.run not in (OracleMethod.run, WhiteBoxMethod.run):
        return "must not define run: implement measure and account"
    return None
