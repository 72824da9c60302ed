"""The packaged index of methods: current, complete, and no obstacle to somebody else's method."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest

from assay.base.errors import UsageError
from assay.methods import index
from assay.methods.index import FILE, entry_of, find_method, known_methods, packaged_methods
from assay.methods.method import METHODS
from tools.method_index import current


def test_the_packaged_index_is_current() -> None:
    told = "python -m tools.method_index writes it anew"
    packaged, now = json.loads(FILE.read_text("utf-8")), json.loads(current())
    assert {name for name in packaged.keys() | now.keys() if packaged.get(name) != now.get(name)} == set(), told
    assert FILE.read_text("utf-8") == current(), told


@pytest.mark.parametrize("name", packaged_methods())
def test_an_entry_says_what_the_method_says(name: str) -> None:
    entry, kind = find_method(name), METHODS.get(name)
    assert (entry.needs, entry.version, entry.about, entry.parts) == (kind.needs, kind.version, kind.about, kind.parts)
    assert list(entry.presets) == sorted(kind.presets)
    assert list(entry.options["properties"]) == sorted(kind.model_fields)
    plain = kind().model_dump(mode="json") if not _required(kind) else {}
    assert {option: entry.default(option) for option in plain} == plain


def _required(kind: Any) -> bool:
    return any(field.is_required() for field in kind.model_fields.values())


def test_an_unknown_method_is_told_from_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no method 'evasion\.fgms'; did you mean 'evasion\.fgsm'"):
        find_method("evasion.fgms")


def test_somebody_elses_method_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fgsm = METHODS.get("evasion.fgsm")
    theirs = type("Theirs", (fgsm,), {"name": "evasion.theirs", "__doc__": "Theirs."})
    own = {name: kind for name, kind in METHODS.items() if name in packaged_methods()}  # not what other tests register
    everything = {**own, "evasion.theirs": theirs}
    monkeypatch.setattr("assay.methods.method.METHODS", SimpleNamespace(items=everything.items))
    known_methods.cache_clear()
    with pytest.raises(UsageError):
        find_method("evasion.theirs")
    monkeypatch.setattr(index, "entry_points", lambda group: [EntryPoint("theirs", "theirs", group)])
    known_methods.cache_clear()
    try:
        assert find_method("evasion.theirs") == entry_of(theirs)
        assert list(known_methods()) == sorted([*packaged_methods(), "evasion.theirs"])
    finally:
        known_methods.cache_clear()
