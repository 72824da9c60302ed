"""Writes ``src/assay/methods/index.json`` anew: ``python -m tools.method_index``."""

from __future__ import annotations

from assay.methods.index import FILE, entry_of, index_text
from assay.methods.method import METHODS


def current() -> str:
    """The index of the methods of this package as they are now."""
    return index_text({name: entry_of(kind) for name, kind in METHODS.items() if kind.__module__.startswith("assay.")})


if __name__ == "__main__":
    FILE.write_text(current(), encoding="utf-8")
