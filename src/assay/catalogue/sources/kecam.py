"""Image classifiers of keras-cv-attention-models, from the tables in its package's description."""

from __future__ import annotations

import re
from pathlib import Path

from assay.catalogue.entry import Entry, Listing, Source, listing
from assay.catalogue.packages import find_package
from assay.catalogue.sources.addresses import arxiv_id

UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}
SUFFIXES = r"imagenet.*|21k-ft1k|mim_.*|mae_.*|clip.*|usi|distill|ssld|swsl|mill|noisy_student|laion_2b|token_label"
"""How the names of weights files end after the architecture's."""
COLUMNS = ("Model", "Params", "FLOPs", "Input", "Top1 Acc")


def entries(wheels: Path | None) -> Listing:
    """One entry for each row of its recognition tables that has weights and an accuracy."""
    package = find_package("keras-cv-attention-models", wheels)
    part = package.description.partition("# Recognition Models")[2].partition("\n# Detection Models")[0]
    found: dict[str, Entry] = {}
    paper: str | None = None
    for line in part.splitlines():
        if line.startswith("## "):
            paper = None
        paper = paper or arxiv_id(line)
        entry = _entry(line, paper)
        if entry:
            found.setdefault(entry.id, entry)
    return listing(Source(name="kecam", title="keras-cv-attention-models", version=package.version), found.values())


def _entry(line: str, paper: str | None) -> Entry | None:
    """A row. Its numbers are rounded; what it calls FLOPs counts a multiplication and an addition as one.

    Of weights for 21,841 classes the table does not say what the accuracy was measured on.
    """
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    link = re.search(r"\]\((https://\S+/([\w.-]+)\.h5)\)", line)
    if not link or len(cells) < len(COLUMNS) or not re.fullmatch(r"\d\d\.\d+", cells[4]):
        return None
    size = int(cells[3]) if cells[3].isdigit() else None
    fine_tuned = not re.search(r"imagenet2[12]k$", link[2])
    return Entry(
        id=f"kecam/{link[2]}",
        task="image classification",
        dataset="imagenet-1k" if fine_tuned else None,
        input=(3, size, size) if size else None,
        architecture=re.sub(rf"[_-](\d{{3}}_)?({SUFFIXES})$", "", link[2]),
        parameters=_number(cells[1]),
        macs=_number(cells[2]),
        purpose="benchmark",
        paper=paper,
        top1=round(float(cells[4]) / 100, 5) if fine_tuned else None,
        evaluated_on="imagenet-1k validation" if fine_tuned else None,
        weights_url=link[1],
        format="keras",
    )


def _number(text: str) -> int | None:
    match = re.fullmatch(r"([\d.]+)([KMG]?)", text)
    return round(float(match[1]) * UNITS[match[2]]) if match else None
