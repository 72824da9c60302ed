"""Check that public models load as published, by measuring their accuracy again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from assay.base.errors import DataError
from assay.base.progress import Progress, silent
from assay.catalogue.curated import curated
from assay.data.formats import load_dataset
from assay.data.images import Images, batches
from assay.targets.reference import open_model
from assay.targets.target import Target

BATCH = 250


class Checked(NamedTuple):
    """A model of the catalogue. Accuracies are shares in [0, 1], on ``images`` test images.

    ``claimed`` is the authors' number, ``recorded`` the catalogue's from an earlier measurement, and ``accuracy`` the
    one measured now; None if the model's data set is not available.
    """

    id: str
    format: str
    claimed: float | None
    recorded: float | None
    accuracy: float | None
    images: int

    @property
    def difference(self) -> float | None:
        """Accuracy measured now minus the recorded one, in percentage points."""
        if self.accuracy is None or self.recorded is None:
            return None
        return 100 * (self.accuracy - self.recorded)


def accuracy(target: Target, images: Images, progress: Progress) -> float:
    """The share of images whose most probable class is their label."""
    right = 0
    with progress.step(target.name, len(images)) as step:
        for batch in batches(images, BATCH):
            right += int((target.logits(batch.images).argmax(dim=1) == batch.labels).sum())
            step.advance(len(batch.labels))
    return right / len(images)


def check_model(reference: str, *, device: str = "cpu", progress: Progress | None = None) -> Checked:
    """Load a model of the catalogue from its published file and measure it on the whole test part of its data set.

    Raises:
        AssayError: if it cannot be loaded.
        UsageError: if the catalogue has no such model.
    """
    report = progress or silent()
    opened = open_model(reference, device=device, progress=report)
    entry = curated()[opened.target.name]
    found, count = None, 0
    if opened.data is not None and opened.data.dataset is not None:
        try:
            test = load_dataset(opened.data.dataset, progress=report).test
        except DataError as error:
            report.say(f"{reference} was loaded, but not measured: {error}")
        else:
            if test is not None:
                found, count = accuracy(opened.target, test, report), len(test)
    return Checked(entry.id, entry.weights.format, entry.claimed.get("accuracy"), entry.measured_accuracy, found, count)


def markdown_table(rows: Iterable[Checked]) -> str:
    """Checked models as a Markdown table, accuracies in per cent."""
    head = ("model", "format", "claimed, %", "recorded, %", "measured, %", "images", "difference, points")
    lines = [f"| {' | '.join(head)} |", "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for row in rows:
        numbers = (_per_cent(row.claimed), _per_cent(row.recorded), _per_cent(row.accuracy), str(row.images or "-"))
        difference = "-" if row.difference is None else f"{round(row.difference, 2) + 0.0:+.2f}"
        lines.append(f"| `{row.id}` | {row.format} | {' | '.join(numbers)} | {difference} |")
    return "\n".join(lines) + "\n"


def _per_cent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
