"""Pictures of what an input detector found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.data.images import Images
from assay.methods.backdoor.inputs.blocking import Region, blocked, dominant_colour, transplanted
from assay.methods.backdoor.inputs.results import Judged
from assay.methods.backdoor.inputs.search import Searched
from assay.methods.finding import Gallery, Histogram, Table
from assay.methods.measures import class_name, percent
from assay.methods.method import Context
from assay.methods.pictures import save_png


def histogram(judged: Judged, whom: str) -> Histogram:
    """Both distributions of what is measured, as shares that sum to 1, and the thresholds."""
    clean, suspects = judged.sign * judged.clean, judged.sign * judged.suspects
    low, high = (float(f(np.concatenate([clean, suspects]))) for f in (np.min, np.max))
    edges = np.linspace(min(low, 0.0), max(high, low + 1e-6), 41)
    side = "below" if judged.sign < 0 else "above"
    return Histogram(
        title=f"{judged.measured}: suspicious and clean images",
        caption=f"Images {side} a threshold are flagged; other clean images set the thresholds. Where both "
        f"distributions coincide, {judged.title} sees no difference.",
        x_label=judged.measured,
        edges=edges.tolist(),
        counts={
            name: (np.histogram(values, edges)[0] / len(values)).tolist()
            for name, values in (("clean", clean), (whom, suspects))
        },
        markers={
            f"{100 * rate:g} % of clean {side}": judged.sign * limit
            for rate, limit in judged.limits.items()
            if limit is not None
        },
    )


def patch_gallery(images: Images, found: Searched, context: Context, count: int = 4) -> Gallery:
    """Some evaluation images, clean and stamped, with their predicted classes; those that moved come first."""
    rows = found.others[np.argsort(found.after[found.others] != found.label, kind="stable")][:count]
    names = context.class_names

    def row(index: int) -> str:
        return f"{class_name(names, int(found.before[index]))} → {class_name(names, int(found.after[index]))}"

    pictures = images.take(rows)
    pairs = {"clean": pictures, "stamped": found.patch.stamp(pictures)}
    return Gallery(
        title="The most effective patch",
        caption=f"{found.patch}. Each row names the predicted class without and with the patch.",
        columns=list(pairs),
        rows=[row(int(index)) for index in rows],
        files=[
            [save_png(part[place], context.artefacts / f"{kind}_{place}.png") for kind, part in pairs.items()]
            for place in range(len(rows))
        ],
    )


def patch_table(found: Searched, names: tuple[str, ...], count: int = 10) -> Table:
    """The ``count`` most effective patches."""
    ranked = sorted(found.screened.pulls().items(), key=lambda item: (-item[1].share, item[0].side))[:count]
    return Table(
        title="Generic patches, the most effective first",
        caption=f"{len(found.screened.after)} patches were tried on {len(found.screened.before)} images; the first, "
        "and the first that leads to another class, were then measured on others.",
        columns=["patch", "class", "moved to it"],
        rows=[[str(patch), class_name(names, pull.label), percent(pull.share)] for patch, pull in ranked],
    )


def suspects_gallery(
    images: Images, judged: Judged, rows: NDArray[np.int64], context: Context, count: int = 6
) -> Gallery:
    """The most suspicious images; ``rows`` (n,) are their places in the user's set."""
    worst = np.argsort(-judged.suspects, kind="stable")[:count]
    p = judged.p_values
    return Gallery(
        title="The most suspicious images",
        caption="A trigger is what they have in common and clean images have not. The p-value is the share of clean "
        "images that are at least as suspicious.",
        columns=["image"],
        rows=[f"image {rows[index]}, p = {p[index]:.2g}" for index in worst],
        files=[
            [save_png(picture, context.artefacts / f"suspect_{place}.png")]
            for place, picture in enumerate(images.take(worst))
        ],
    )


def region_gallery(regions: list[Region], context: Context) -> Gallery:
    """Images, with a region blocked, and the region on a clean image."""
    names, files, rows = context.class_names, [], []
    for number, region in enumerate(regions):
        pictures = (
            region.image,
            blocked(region.image, [region.place], dominant_colour(region.image))[0],
            transplanted(region.image, region.place, region.clean[None])[0],
        )
        files.append([save_png(p, context.artefacts / f"region_{number}_{k}.png") for k, p in enumerate(pictures)])
        change = f"{class_name(names, region.label)} → {class_name(names, region.beneath)}"
        rows.append(f"{change} when blocked; leads {percent(region.share)} of clean images to the former")
    return Gallery(
        title="Regions that hide another class",
        caption="A trigger is a region that hides another class and leads clean images to the class that it shows.",
        columns=["image", "blocked", "region on a clean image"],
        rows=rows,
        files=files,
    )
