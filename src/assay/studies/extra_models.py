"""The other models that a method is given beside its target: published ones, and siblings made from the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.access import Published
from assay.base.digests import digest_file, digest_json
from assay.base.errors import AssayError, DataError
from assay.base.progress import Progress, silent
from assay.compression.compression import (
    Compression,
    Workshop,
    compress,
    identity,
    is_compression,
    parse,
)
from assay.compression.storage import DESCRIPTION, WEIGHTS, Sibling, load_sibling, read_description, save_sibling
from assay.data.images import shape_text
from assay.targets.reference import open_model
from assay.targets.target import Target


@dataclass(frozen=True)
class Companion:
    """A model named by a text, as `Method.companions` gives it, for one target."""

    role: str
    text: str
    target: Target
    seed: int

    @cached_property
    def steps(self) -> tuple[Compression, ...]:
        """The compressions, where the text names some.

        Raises:
            UsageError: if they are not valid.
        """
        return parse(self.text) if is_compression(self.text) else ()

    @property
    def workshop(self) -> Workshop:
        """What the owner compresses with."""
        target, splits = self.target, self.target.splits
        images = splits.members if splits.members is not None else splits.auxiliary
        return Workshop(target.input_shape, target.num_classes, images, self.seed, target.device)

    @cached_property
    def published(self) -> Target:
        """The model that a reference or a folder names.

        Raises:
            AssayError: if it cannot be had.
        """
        folder = Path(self.text).expanduser()
        if not (folder / DESCRIPTION).is_file():
            return open_model(self.text, device=str(self.target.device), seed=self.seed).target
        named = read_description(folder).architecture is not None
        module, sibling = load_sibling(folder, None if named else self.target.module)
        return Target.from_module(
            module,
            input_shape=sibling.input_shape,
            num_classes=sibling.num_classes,
            name=folder.name,
            device=self.target.device,
            weights_digest=digest_json([digest_file(folder / name) for name in (WEIGHTS, DESCRIPTION)]),
        )

    @cached_property
    def why_not(self) -> str:
        """Why this model cannot stand beside the target; empty if it can."""
        target = self.target
        try:
            if self.steps:
                if target.module is None:
                    raise DataError(f"it is made from the network itself, and {target.name} shows none")
                return ""
            found = self.published
        except AssayError as error:
            return f"The {self.role} {self.text!r} cannot be had: {str(error).rstrip('.')}."
        if found.num_classes != target.num_classes:
            return (
                f"The {self.role} {found.name} tells {found.num_classes} classes apart, and {target.name} "
                f"{target.num_classes}."
            )
        if found.input_shape != target.input_shape:
            return (
                f"The {self.role} {found.name} takes images of {shape_text(found.input_shape)}, and {target.name} of "
                f"{shape_text(target.input_shape)} (channels x height x width)."
            )
        if found.module is None:
            known = found.facts.get("gradients", "it is not a network")
            return f"The {self.role} {found.name} cannot be differentiated ({known})."
        return ""

    @cached_property
    def stands_apart(self) -> bool:
        """Whether it can be had, fits, and is not the target itself under another name."""
        return not self.why_not and self.published.weights_digest != self.target.weights_digest

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the numbers depend on: what the model answers, or how it is made from the target."""
        if self.why_not:
            return {"unavailable": self.text}
        return {"made": identity(self.steps, self.workshop)} if self.steps else {"model": self.published.digest}

    def open(self, shared: Path, progress: Progress | None = None) -> Published:
        """The model in hand. A sibling that takes making is made once and kept in ``shared``.

        Raises:
            AssayError: if it cannot be made.
        """
        if not self.steps:
            return Published(self.published)
        target = self.target
        assert target.module is not None, "why_not() was asked"
        folder = shared / "siblings" / digest_json({"of": target.digest, **self.identity})
        if (folder / DESCRIPTION).exists():
            module, _ = load_sibling(folder, target.module)
        else:
            workshop = replace(self.workshop, progress=progress or silent())
            module = compress(target.module, self.steps, workshop)
            described = Sibling.of(self.steps, workshop, target.preprocessing, target.facts.get("architecture"))
            save_sibling(module, described, folder)
        return Published(
            Target.from_module(
                module,
                input_shape=target.input_shape,
                num_classes=target.num_classes,
                name=f"{target.name}, {self.text}",
                device=target.device,
            )
        )
