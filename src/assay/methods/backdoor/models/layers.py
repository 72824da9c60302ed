"""The layers of a network as it runs, whatever modules or files they come from: what they are given and answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from assay.access import WhiteBox
from assay.methods.backdoor.inversion.search import AT_ONCE

WEIGHTED = frozenset({torch.conv2d, torch.nn.functional.linear})
"""Convolutions and dense layers."""

NORMALISED = frozenset({torch.nn.functional.batch_norm})
"""Batch normalisation."""

PARAMETERS = {
    torch.conv2d: ("input", "weight", "bias"),
    torch.nn.functional.linear: ("input", "weight", "bias"),
    torch.nn.functional.batch_norm: (
        "input",
        "running_mean",
        "running_var",
        "weight",
        "bias",
        "training",
        "momentum",
        "eps",
    ),
}
"""The names of their positional parameters."""


class Call(NamedTuple):
    """One layer at work: its ``number`` among those of a forward pass, what it was given by name, and its answer."""

    number: int
    given: dict[str, Any]
    answer: torch.Tensor


class Watch(TorchFunctionMode):
    """While it is entered, hands every call of some ``functions`` to ``see``; what that returns replaces the answer.

    Calls are numbered in the order in which they are made, from 0 at every entrance. It sees convolutions that a
    module, a file's graph or a plain function makes alike; those inside fused kernels (attention) it does not see.
    """

    def __init__(self, functions: Iterable[Any], see: Callable[[Call], torch.Tensor | None]) -> None:
        super().__init__()
        self.functions, self.see = frozenset(functions), see
        self.count = 0

    def __enter__(self) -> Watch:
        self.count = 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, and show it."""
        answer = func(*args, **(kwargs or {}))
        if func not in self.functions:
            return answer
        given = {**dict(zip(PARAMETERS[func], args, strict=False)), **(kwargs or {})}
        seen = self.see(Call(self.count, given, answer))
        self.count += 1
        return answer if seen is None else seen


def watched_logits(
    box: WhiteBox, images: torch.Tensor, functions: Iterable[Any], see: Callable[[Call], torch.Tensor | None]
) -> torch.Tensor:
    """Logits of images (n, c, h, w), as many at once as memory allows, each pass watched."""
    watch, answers = Watch(functions, see), []
    for part in torch.split(images, max(1, AT_ONCE // images[0].numel())):
        with watch:
            answers.append(box.logits(part))
    return torch.cat(answers)


def last_weight(box: WhiteBox, images: torch.Tensor) -> torch.Tensor | None:
    """The weight (labels, features) of the last dense layer or convolution, None if it has not a row for every label.

    A few ``images`` (n, c, h, w) show which is the last one.
    """
    calls: list[Call] = []
    watched_logits(box, images, WEIGHTED, calls.append)
    if not calls:
        return None
    weight: torch.Tensor = calls[-1].given["weight"]
    whole = calls[-1].answer.numel() == len(images) * box.num_classes
    if weight.shape[0] != box.num_classes or not whole:
        return None
    return weight.detach().flatten(1).double().cpu()


def running_means(box: WhiteBox) -> dict[str, torch.Tensor]:
    """The running mean (channels,) of every batch normalisation that an image passes, by its number as text."""
    found: dict[str, torch.Tensor] = {}

    def see(call: Call) -> None:
        means = call.given.get("running_mean")
        if isinstance(means, torch.Tensor) and not call.given.get("training", False):
            found[name_of(call)] = means.detach()

    watched_logits(box, torch.full((1, *box.input_shape), 0.5), NORMALISED, see)
    return found


def name_of(call: Call) -> str:
    """What a layer of batch normalisation is called: by its number."""
    return f"normalisation {call.number + 1}"
