"""Configurations in one line."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from assay.base.errors import UsageError
from assay.base.frozen import Frozen
from assay.base.registry import Registry
from assay.base.settings import parse_setting


class Bare(Frozen):
    pass


class Full(Bare):
    rate: float = Field(default=1.0, gt=0.0)
    sides: str = ""
    fast: bool = False


KINDS: Registry[type[BaseModel]] = Registry("thing", "assay.base")
KINDS.add("bare")(Bare)
KINDS.add("full")(Full)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bare", Bare()),
        ("full", Full()),
        ("full=2", Full(rate=2)),
        ("full:sides=a,fast=yes", Full(sides="a", fast=True)),
        ("full=3:fast=1", Full(rate=3, fast=True)),
        ("full:sides=1,2,3,rate=0.5", Full(sides="1,2,3", rate=0.5)),
        ("full:sides=a=b", Full(sides="a=b")),
    ],
)
def test_what_a_line_says(text, expected):
    assert parse_setting(KINDS, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ful", "no thing 'ful': did you mean 'full'"),
        ("bare=1", "The thing 'bare' takes no value"),
        ("bare:rate=1", "The thing 'bare' has no option 'rate'"),
        ("full:rat=1", "no option 'rat': did you mean 'rate'"),
        ("full:rate", "is not of the form full:option=value"),
        ("full=1:rate=2", "each given once"),
        ("full=0", "'full=0' is not valid: rate: Input should be greater than 0"),
    ],
)
def test_what_is_wrong_with_a_line(text, message):
    with pytest.raises(UsageError, match=message):
        parse_setting(KINDS, text)
