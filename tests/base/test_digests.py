"""Digests tell apart whatever could give other numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from assay.base import digests
from assay.base.digests import canonical_json, digest_arrays, digest_json

VALUES = np.arange(12, dtype=np.int32)


def test_arrays_of_other_shape_type_name_or_content_have_other_digests() -> None:
    kept = digest_arrays(x=VALUES)
    others = [
        digest_arrays(x=VALUES.reshape(3, 4)),
        digest_arrays(x=VALUES.reshape(4, 3)),
        digest_arrays(x=VALUES.view(np.uint32)),
        digest_arrays(y=VALUES),
        digest_arrays(x=VALUES[::-1]),
        digest_arrays(x=VALUES[:6], y=VALUES[6:]),
    ]
    assert len({kept, *others}) == 7


def test_order_and_memory_layout_do_not_matter() -> None:
    table = VALUES.reshape(3, 4)
    assert digest_arrays(a=table, b=VALUES) == digest_arrays(b=VALUES, a=np.asfortranarray(table))
    assert digest_arrays(a=np.repeat(table, 2, axis=0)[::2]) == digest_arrays(a=table)


def test_json_has_one_form_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": ["é", None]}) == '{"a":["é",null],"b":1}'
    assert digest_json({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_a_mapped_array_has_the_digest_of_the_same_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAPPED", 16)
    VALUES.reshape(6, 2).tofile(tmp_path / "values")
    mapped = np.memmap(tmp_path / "values", np.int32, "r", shape=(6, 2))
    assert digest_arrays(x=mapped) == digest_arrays(x=VALUES.reshape(6, 2))
    assert [block.tolist() for block in digests.blocks(mapped, 32)] == [
        [[0, 1], [2, 3], [4, 5], [6, 7]],
        [[8, 9], [10, 11]],
    ]
