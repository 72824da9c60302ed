"""The target: a model ready to be assessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from assay.base.digests import digest_json
from assay.base.errors import DataError
from assay.base.printable import printable
from assay.catalogue.weights import Preprocessing
from assay.data.images import Shape, is_labelled
from assay.data.splits import Splits
from assay.data.vectors import Box, box_of, within
from assay.targets.module import Preprocessed, evaluate, module_digest
from assay.targets.posteriors import PosteriorRows, posteriors_to_logits

NO_SPLITS = Splits()
PLAIN = Preprocessing()
CPU = torch.device("cpu")

Modality = Literal["image", "text", "vector"]
"""What a target takes: images, texts as rows of bytes (`assay.targets.text`), or vectors (`assay.data.vectors`)."""

Logits = Callable[[torch.Tensor], torch.Tensor]
"""Images float32 (n, c, h, w) in [0, 1] to logits float32 (n, classes), on the CPU, without gradients."""

Kind = Literal["logits", "posteriors", "top-k", "label"]
"""What a target's numbers are. A softmax makes posteriors of logits; what a service answers is taken as it is: whole
posteriors, those of its k most probable classes and zeros, or a one-hot row.
"""


@dataclass(frozen=True)
class Unscaled:
    """A model of vectors, asked with rows in [0, 1]: ``logits`` gets the raw features that they stand for."""

    logits: Logits
    box: Box

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return self.logits(self.box.vectors(rows))


class UnscaledModule(torch.nn.Module):
    """`Unscaled` for a network, with gradients."""

    def __init__(self, module: torch.nn.Module, box: Box) -> None:
        super().__init__()
        self.module, self.box = module, box

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (n, 1, 1, features) in [0, 1] to logits."""
        logits: torch.Tensor = self.module(self.box.vectors(rows))
        return logits


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model, its preprocessing and its data.

    ``logits`` evaluates images. ``module`` is None if there are no gradients; else it takes pixels in [0, 1] (the
    preprocessing is inside), is in evaluation mode, and its parameters do not require gradients. ``answers`` says what
    ``logits`` returns: a service may return posteriors or labels.
    ``weights_digest`` is the SHA-256 of the weights (never a name). ``recorded`` marks recorded answers: new inputs
    cannot be evaluated. ``modality`` says what the pixels represent. ``serving`` is how the owner will expose the
    model, as `assay.access.Serving` takes it.
    ``box`` is the range of features that rows in [0, 1] stand for, where the target reads vectors and has data.
    ``facts`` are shown by reports (format, architecture, parameters, claimed accuracy).
    """

    name: str
    weights_digest: str
    input_shape: Shape
    num_classes: int
    logits: Logits
    answers: Kind = "logits"
    module: torch.nn.Module | None = None
    splits: Splits = NO_SPLITS
    preprocessing: Preprocessing = PLAIN
    class_names: tuple[str, ...] = ()
    device: torch.device = CPU
    recorded: bool = False
    modality: Modality = "image"
    box: Box | None = None
    serving: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Names come from files, and are shown on terminals."""
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "class_names", tuple(printable(name) for name in self.class_names))

    @property
    def labelled(self) -> bool:
        """Whether the true labels of members and non-members are known; recorded answers may have none."""
        return all(part is None or is_labelled(part) for part in (self.splits.members, self.splits.non_members))

    @property
    def digest(self) -> str:
        """SHA-256 of what the outputs depend on: weights, preprocessing and, unless logits, the kind of output."""
        kind = {} if self.answers == "logits" else {"answers": self.answers}
        box = {} if self.box is None else {"box": self.box.digest}
        return digest_json(
            {"weights": self.weights_digest, "preprocessing": self.preprocessing.model_dump(), **kind, **box}
        )

    def with_splits(self, splits: Splits) -> Target:
        """The same model with other data.

        Raises:
            DataError: if a part's images or labels do not fit the model, or a part is no `Images`.
        """
        for kind, part in splits._asdict().items():
            if part is None:
                continue
            if not hasattr(part, "take"):
                raise DataError(
                    f"The {kind} are a {type(part).__name__}, not images with labels: say assay.ArrayImages(images, "
                    'labels, "name") for arrays.'
                )
            if part.shape != self.input_shape:
                if self.modality == "vector":
                    raise DataError(
                        f"{self.name} takes vectors of {self.input_shape[2]} features, and {part.name} has "
                        f"{part.shape[2]}: the table's columns must be those of the training, in its order."
                    )
                raise DataError(
                    f"{self.name} takes images of {'x'.join(map(str, self.input_shape))} (channels x height x width), "
                    f"and {part.name} has {'x'.join(map(str, part.shape))}."
                )
        for part in (splits.members, splits.non_members):
            if part is not None and self.recorded and not is_labelled(part):
                continue
            if part is not None and not (part.labels.min() >= 0 and part.labels.max() < self.num_classes):
                first, last = int(part.labels.min()), int(part.labels.max())
                shifted = first == 1 and last == self.num_classes
                hint = " They are shifted by one: subtract 1 from them." if shifted else ""
                raise DataError(
                    f"{self.name} has classes 0 to {self.num_classes - 1}, and {part.name} has labels {first} to "
                    f"{last}.{hint}"
                )
        return self._boxed(splits) if self.modality == "vector" else replace(self, splits=splits)

    def _boxed(self, splits: Splits) -> Target:
        """All parts scaled over one box, and the model behind the way back to raw features."""
        parts = [part for part in splits if part is not None]
        if not parts:
            return replace(self, splits=splits)
        box = reduce(Box.joined, map(box_of, parts))
        raw = self.logits.logits if isinstance(self.logits, Unscaled) else self.logits
        module = self.module.module if isinstance(self.module, UnscaledModule) else self.module
        return replace(
            self,
            splits=Splits(*(None if part is None else within(part, box) for part in splits)),
            box=box,
            logits=Unscaled(raw, box),
            module=None if module is None else UnscaledModule(module, box).eval().requires_grad_(False),
        )

    @classmethod
    def from_module(
        cls,
        module: torch.nn.Module,
        *,
        input_shape: Shape,
        num_classes: int,
        splits: Splits = NO_SPLITS,
        name: str = "module",
        preprocessing: Preprocessing = PLAIN,
        class_names: tuple[str, ...] = (),
        device: str | torch.device = "cpu",
        weights_digest: str | None = None,
        facts: dict[str, Any] | None = None,
        modality: Modality = "image",
    ) -> Target:
        """A network whose forward pass gives logits (n, num_classes) for preprocessed images.

        The module is put into evaluation mode and its parameters are frozen. A forward pass of two grey images
        checks that it answers with finite logits of the right shape, and not with probabilities.

        Raises:
            DataError: if it does not, or the splits do not fit.
        """
        place = torch.device(device)
        network = torch.nn.Sequential(torch.nn.Flatten(), module) if modality == "vector" else module
        inner = Preprocessed(network, preprocessing).to(place).eval().requires_grad_(False)
        _check(inner, input_shape, num_classes, name, place)
        target = cls(
            name=name,
            weights_digest=weights_digest or module_digest(module),
            input_shape=input_shape,
            num_classes=num_classes,
            logits=lambda images: evaluate(inner, images, place),
            module=inner,
            preprocessing=preprocessing,
            class_names=class_names,
            device=place,
            modality=modality,
            facts={"parameters": sum(p.numel() for p in module.parameters()), **(facts or {})},
        )
        return target.with_splits(splits)

    @classmethod
    def from_function(
        cls,
        function: Callable[[NDArray[np.float32]], NDArray[Any]],
        *,
        digest: str,
        input_shape: Shape,
        num_classes: int,
        splits: Splits = NO_SPLITS,
        name: str = "function",
        class_names: tuple[str, ...] = (),
        facts: dict[str, Any] | None = None,
        modality: Modality = "image",
    ) -> Target:
        """A target from any callable: images float32 (n, c, h, w) in [0, 1] to posteriors (n, num_classes).

        With ``modality="vector"`` it gets raw features float32 (n, features).

        ``digest`` must identify the version of the model: results and cached answers are stored under it.

        Raises:
            DataError: when it is asked and answers with another shape, NaN, or rows that do not sum to 1.
        """

        def logits(images: torch.Tensor) -> torch.Tensor:
            asked = images.flatten(1) if modality == "vector" else images
            return posteriors_to_logits(function(asked.numpy()), len(images), num_classes, name)

        target = cls(
            name=name,
            weights_digest=digest_json({"function": digest}),
            input_shape=input_shape,
            num_classes=num_classes,
            logits=logits,
            class_names=class_names,
            facts=facts or {},
            modality=modality,
        )
        return target.with_splits(splits)

    @classmethod
    def from_outputs(
        cls,
        members: tuple[NDArray[Any], NDArray[Any] | None],
        non_members: tuple[NDArray[Any], NDArray[Any] | None],
        *,
        name: str = "recorded answers",
        class_names: tuple[str, ...] = (),
    ) -> Target:
        """Recorded answers only: (posteriors (n, classes), labels (n,)) of members and of non-members.

        The answers stand in for the images, one row of ``classes`` pixels each, so that methods that only read answers
        work on them; methods that query new images do not apply. Labels that are None are not known: methods that need
        them do not apply either.

        Raises:
            DataError: if widths differ, posteriors are not finite, negative, or do not sum to 1, or one part alone has
                labels.
        """
        if (members[1] is None) != (non_members[1] is None):
            raise DataError(f"{name} has labels of one part alone: give those of members and non-members, or neither.")
        parts = [
            PosteriorRows(np.asanyarray(posteriors), labels, f"recorded {part}")
            for part, (posteriors, labels) in (("members", members), ("non-members", non_members))
        ]
        classes = parts[0].shape[2]
        if classes != parts[1].shape[2]:
            raise DataError(
                "Members and non-members were answered with different numbers of classes: "
                f"{sorted(part.shape[2] for part in parts)}."
            )
        splits = Splits(*parts)
        target = cls(
            name=name,
            weights_digest=digest_json({"members": parts[0].content, "non_members": parts[1].content}),
            input_shape=(1, 1, classes),
            num_classes=classes,
            logits=lambda rows: torch.log(rows.reshape(len(rows), classes).clamp_min(1e-30)),
            class_names=class_names,
            recorded=True,
        )
        return target.with_splits(splits)


def _check(module: torch.nn.Module, shape: Shape, classes: int, name: str, device: torch.device) -> None:
    try:
        answer = evaluate(module, torch.stack([torch.full(shape, grey) for grey in (0.25, 0.5)]), device)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise DataError(
            f"{name} cannot process images of {'x'.join(map(str, shape))} (channels x height x width): {error}"
        ) from error
    if tuple(answer.shape) != (2, classes):
        raise DataError(f"{name} answers with shape {tuple(answer.shape)} for 2 images; (2, {classes}) was expected.")
    if not torch.isfinite(answer).all():
        raise DataError(f"{name} answers with NaN or infinity to a grey image.")
    if (answer > 0).all() and ((answer.sum(dim=1) - 1).abs() < 1e-4).all():
        raise DataError(f"{name} answers with probabilities, and logits are needed: leave out its last softmax.")
