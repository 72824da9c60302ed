"""Files of every kind cut off, doubled, empty, or with another kind's content: opened, or refused in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.fuzz.kinds import KINDS
from tools.fuzz.worker import _one

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "eight bytes": lambda content: content[:8],
    "sixty-four bytes": lambda content: content[:64],
    "a half": lambda content: content[: len(content) // 2],
    "all but a byte": lambda content: content[:-1],
    "twice": lambda content: content + content,
    "zeros": lambda content: bytes(len(content)),
    "a byte before it": lambda content: b"\n" + content,
}


@pytest.mark.parametrize("name", KINDS)
def test_whatever_is_cut_is_one_sentence(name: str, tmp_path: Path) -> None:
    kind, good = KINDS[name], tmp_path / "good"
    good.mkdir()
    file = kind.make(good).relative_to(good)
    content = (good / file).read_bytes()
    for number, (what, change) in enumerate(CHANGES.items()):
        folder = tmp_path / str(number)
        shutil.copytree(good, folder)
        (folder / file).write_bytes(change(content))
        found = _one(kind.open, folder, tmp_path / "canary")
        assert found["outcome"] in ("opened", "refused"), (what, found)
        assert "\n" not in found.get("message", "").strip() or name == "study"
