"""From a file or folder of recorded answers to sets, whichever of the known formats it is in."""

from __future__ import annotations

from pathlib import Path

from assay.access.recorded import frugalml, hapi
from assay.access.recorded.recording import RecordedSet
from assay.base.errors import UsageError, nearest


def load_sets(path: Path, names: tuple[str, ...] = ()) -> list[RecordedSet]:
    """Recorded sets by name; ``names`` chooses some.

    ``path`` is FrugalML's folder ``dataset`` or one of the folders in it, a table ``NAME.tsv.gz`` or a folder of
    tables, or HAPI's folder.

    Raises:
        UsageError: if there is no such path, nothing recorded in it, or no set of a name.
        LoadError: if a file is damaged or is not in its format.
        DataError: if what it holds is no recording.
    """
    if not path.exists():
        raise UsageError(f"There is no file or folder {path}.")
    tables = frugalml.tables(path)
    known = {frugalml.set_name(table): table for table in tables}
    listed = {} if known else hapi.listed(path)
    if not known and not listed:
        raise UsageError(
            f"{path} holds no recorded answers: neither FrugalML's {frugalml.PREFIX}NAME or "
            f"NAME{frugalml.SUFFIX}, nor HAPI's {hapi.META}."
        )
    there = list(known or listed)
    for name in names:
        if name not in there:
            raise UsageError(f"{path} has no set {name!r}: {nearest(name, there)}")
    chosen = names or there
    if known:
        return [frugalml.read(known[name]) for name in chosen]
    return [hapi.read(path, listed[name]) for name in chosen]
