"""A pair of small networks that are trained, and siblings of different likeness."""

from __future__ import annotations

from functools import cache

from assay.access import Published, WhiteBox
from assay.compression.compression import Workshop, compress, parse
from assay.targets.reference import load_target
from assay.targets.target import Target


@cache
def digits() -> Target:
    return load_target("starter/digits-cnn")


def box() -> WhiteBox:
    return WhiteBox(digits())


@cache
def sibling(text: str) -> Published:
    target = digits()
    if "/" in text:
        return Published(load_target(text))
    assert target.module is not None
    made = compress(target.module, parse(text), Workshop(target.input_shape, 10, target.splits.members))
    return Published(Target.from_module(made, input_shape=target.input_shape, num_classes=10, name=text))
