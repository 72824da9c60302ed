"""Targets of recorded answers: a NumPy archive of posteriors and true labels."""

from __future__ import annotations

from pathlib import Path

from assay.base.errors import DataError, LoadError, UsageError, nearest
from assay.data.formats.npz import read_arrays
from assay.targets.target import Target

ANSWERS = ("members", "non_members")
LABEL_ARRAYS = ("member_labels", "non_member_labels")
ARRAYS = (*ANSWERS, *LABEL_ARRAYS)


def read_outputs(path: Path) -> Target:
    """A target of recorded answers.

    The archive holds ``members`` and ``non_members``, posteriors (n, classes) with rows that sum to 1, and, if the true
    labels are known, ``member_labels`` and ``non_member_labels``, whole numbers (n,). Equal rows do not count as
    overlap: a confident model answers many samples alike.

    Raises:
        UsageError: if there is no such file.
        LoadError: if it is damaged or lacks an array; the message names the nearest.
        UnsafeFileError: if it holds pickled objects.
        DataError: if the arrays are not posteriors and labels.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    found = read_arrays(path)
    spare = set(found) - set(ARRAYS)
    labelled = bool(spare) or any(name in found for name in LABEL_ARRAYS)
    for name in ARRAYS if labelled else ANSWERS:
        if name not in found:
            hint = nearest(name, spare) if spare else f"it takes {', '.join(ARRAYS)}."
            raise LoadError(f"{path} has no array {name!r}: {hint}")
    for name in ("members", "non_members"):
        posteriors = found[name]
        if posteriors.ndim != 2 or posteriors.shape[1] < 2 or posteriors.dtype.kind not in "fiu":
            raise DataError(
                f"{path}: {name} must be posteriors (samples, classes) of at least 2 classes; these are "
                f"{posteriors.dtype} {posteriors.shape}."
            )
        if len(posteriors) == 0:
            raise DataError(f"{path}: {name} is empty; membership is measured on members and non-members together.")
        labels = found.get(f"{name[:-1]}_labels")
        if labels is not None and labels.shape != (len(posteriors),):
            raise DataError(f"{path}: {name} has {len(posteriors)} rows, and its labels are {labels.shape}.")
    members, non_members, member_labels, non_member_labels = (found.get(name) for name in ARRAYS)
    assert members is not None
    assert non_members is not None
    return Target.from_outputs((members, member_labels), (non_members, non_member_labels), name=path.stem)
