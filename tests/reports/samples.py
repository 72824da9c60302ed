"""Outcomes made up for the reports' tests: every kind of figure, refused numbers, failures, names from hell."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.access import Serving, Spent
from assay.methods.finding import (
    Family,
    Figure,
    Gallery,
    Histogram,
    Interval,
    Level,
    Lines,
    Metric,
    Series,
    Table,
    Verdict,
)
from assay.studies.outcome import MethodFacts, Outcome, PartFacts, TargetFacts

HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}[red]"
START = datetime(2025, 11, 22, 9, 30, tzinfo=UTC)
SERVING = Serving(policies=("rounding=3",), price_per_1000=1.5, budget=2000).describe()


def hexdigest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def target(name: str = "digits/cnn-overfitted") -> TargetFacts:
    parts = {"members": 1000, "non_members": 797, "auxiliary": 1000}
    return TargetFacts(
        name=name,
        digest=hexdigest(name),
        weights_digest=hexdigest(name + "weights"),
        input_shape=(1, 8, 8),
        num_classes=10,
        preprocessing={"scale": 1.0, "mean": [0.3], "std": [0.38], "size": None},
        data={
            part: PartFacts(name=f"digits {part}", size=size, digest=hexdigest(part)) for part, size in parts.items()
        },
        facts={"format": "safetensors", "architecture": "cnn", "parameters": 20_410, "accuracy": 0.972, "tags": ["a"]},
    )


def ratio(name: str, label: str, value: float, low: float, high: float, how: str, **other: Any) -> Metric:
    return Metric(name=name, label=label, value=value, interval=Interval(low=low, high=high, method=how), **other)


def outcome(
    family: Family,
    title: str,
    *,
    metrics: list[Metric] | None = None,
    level: Level = "low",
    sentence: str = "The attack does hardly better than a guess.",
    facts: TargetFacts | None = None,
    figures: list[Figure] | None = None,
    artefacts: dict[str, str] | None = None,
    white_box: bool = False,
    seed: int = 0,
) -> Outcome:
    found = metrics if metrics is not None else [ratio("auc", "AUC", 0.538, 0.524, 0.552, "DeLong", n=1797)]
    return Outcome(
        key=hexdigest(f"{family}{title}{seed}"),
        status="done",
        target=facts or target(),
        method=MethodFacts(
            name=f"{family}.{title.split()[0].lower()}",
            version=1,
            family=family,
            title=title,
            threat_model="The attacker sees posteriors and holds some images like those that the model was trained on.",
            access="white-box" if white_box else "black-box, posteriors",
            paper="A. Author and B. Author, A paper, Venue 2020, https://example.org/paper",
            atlas=("AML.T0024.000", "AML.T0042"),
            options={"epsilon": 0.03, "steps": 10, "targeted": False, "recipe": {"epochs": 30, "optimiser": "sgd"}},
        ),
        serving={} if white_box else SERVING,
        seed=seed,
        metrics=found,
        verdict=Verdict(level=level, metric=found[0].name, sentence=sentence),
        figures=figures or [],
        artefacts=artefacts or {},
        spent=Spent(forwards=1797, gradients=1000)
        if white_box
        else Spent(images=1797, calls=8, duplicates=12, price=2.6955, forwards=800),
        seconds=12.4,
        started=START + timedelta(minutes=seed),
        versions={"assay": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        device="cpu",
    )


def unfinished(family: Family, title: str, status: str, reason: str, facts: TargetFacts | None = None) -> Outcome:
    base = outcome(family, title, facts=facts).model_dump()
    return Outcome.model_validate(
        {**base, "status": status, "reason": reason, "metrics": [], "verdict": None, "figures": []}
    )


def roc(separation: float, size: int = 5000) -> tuple[list[float], list[float]]:
    random = np.random.default_rng(1)
    scores = np.concatenate([random.normal(separation, 1, size), random.normal(0, 1, size)])
    truth = np.repeat([1, 0], size)[np.argsort(-scores)]
    return list((1 - truth).cumsum() / size), list(truth.cumsum() / size)


def roc_figure(**separations: float) -> Lines:
    return Lines(
        title="True against false positives",
        caption="How many members are found at each rate of false alarms, on log axes.",
        x_label="false-positive rate",
        y_label="true-positive rate",
        series=[Series(name=name, x=roc(d)[0], y=roc(d)[1]) for name, d in separations.items()],
        x_log=True,
        y_log=True,
        diagonal=True,
    )


def band_figure() -> Lines:
    x = [100.0, 200, 400, 800, 1600]
    middle = [0.55, 0.68, 0.79, 0.86, 0.9]
    return Lines(
        title="Agreement against queries",
        caption="Agreement of the surrogate with the target on held-out images; the band is a 95 % bootstrap interval.",
        x_label="queries",
        y_label="agreement",
        series=[
            Series(name="random", x=x, y=middle, low=[v - 0.04 for v in middle], high=[v + 0.03 for v in middle]),
            Series(name="entropy", x=x, y=[v - 0.06 for v in middle]),
        ],
        x_log=True,
    )


def histogram_figure() -> Histogram:
    random = np.random.default_rng(2)
    edges = np.linspace(0, 1, 31)
    members, others = random.beta(9, 1, 1000), random.beta(4, 1.2, 797)
    return Histogram(
        title="Confidence in the true class",
        caption="Members lie further right: the network is surer of what it was trained on.",
        x_label="posterior of the true class",
        edges=edges.tolist(),
        counts={
            "members": np.histogram(members, edges)[0].tolist(),
            "non-members": np.histogram(others, edges)[0].tolist(),
        },
        markers={"threshold": 0.83, "median": 0.6},
    )


def table_figure() -> Table:
    return Table(
        title="Success by class",
        caption="Adversarial examples that are misclassified, of those that were classified rightly before.",
        columns=["class", "images", "success"],
        rows=[["zero", 98.0, 0.8163265306], ["one", 91.0, 0.934], ["two <b>", None, None]],
    )


def png(seed: int, side: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def gallery_figure(workspace: Path, key: str) -> tuple[Gallery, dict[str, str]]:
    """A gallery of 2 x 3 whose last file is missing, and the digests of the files."""
    folder = workspace / "artefacts" / key
    folder.mkdir(parents=True)
    digests = {}
    files = [[f"{row}-{column}.png" for column in range(3)] for row in range(2)]
    for place, name in enumerate(name for row in files for name in row):
        content = png(place)
        digests[name] = hashlib.sha256(content).hexdigest()
        if place < 5:
            (folder / name).write_bytes(content)
    figure = Gallery(
        title="Before and after",
        caption="Images, the change that was made to them (tenfold), and what the network now sees.",
        columns=["image", "change", "adversarial"],
        rows=["three, taken for eight", "one, taken for seven"],
        files=files,
    )
    return figure, digests


def outcomes(workspace: Path, name: str = "digits/cnn-overfitted") -> list[Outcome]:
    """All four families, every kind of figure, a refused number, a failure and a skipped method."""
    facts = target(name)
    fgsm = outcome("evasion", "FGSM", facts=facts)
    gallery, digests = gallery_figure(workspace, fgsm.key)
    return [
        outcome(
            "membership",
            "Confidence attack",
            facts=facts,
            level="elevated",
            sentence="Someone who can ask about an image learns a little about whether it was in the training set.",
            figures=[roc_figure(confidence=0.4, entropy=0.2, **{"modified entropy": 0.45}), histogram_figure()],
            metrics=[
                ratio("auc", "AUC", 0.6184, 0.5921, 0.6447, "DeLong", n=1797),
                ratio(
                    "tpr_1", "True positives at 1 % false positives", 2.3, 1.4, 3.5, "Clopper-Pearson", n=1000, unit="%"
                ),
                Metric(
                    name="tpr_01",
                    label="True positives at 0.1 % false positives",
                    value=None,
                    n=797,
                    note="797 non-members cannot support a false-positive rate of 0.1 %; 1,000 are needed.",
                ),
            ],
        ),
        outcome("membership", "MLP attack", facts=facts, figures=[roc_figure(mlp=0.1)]),
        outcome(
            "stealing",
            "Random queries",
            facts=facts,
            level="high",
            sentence="A copy trained on 1,797 answers agrees with the model on nine images in ten.",
            figures=[band_figure()],
            metrics=[
                ratio("agreement", "Agreement", 0.9, 0.878, 0.92, "bootstrap", n=797),
                ratio("accuracy", "Accuracy of the copy", 0.893, 0.871, 0.914, "bootstrap", n=797),
                Metric(name="loss", label="Final loss", value=0.04217, note="One run; no interval."),
            ],
        ),
        outcome(
            "evasion",
            "FGSM",
            facts=facts,
            white_box=True,
            level="high",
            sentence="A change of 3 in 255 per pixel is enough to have most images taken for something else.",
            figures=[gallery, table_figure()],
            artefacts=digests,
            metrics=[ratio("success", "Success rate", 87.3, 85.1, 89.3, "Clopper-Pearson", n=1000, unit="%")],
        ),
        unfinished(
            "evasion", "Transfer through a surrogate", "failed", "The surrogate did not train: loss is NaN.", facts
        ),
        unfinished(
            "backdoor", "STRIP", "skipped", "It needs posteriors, and the target answers with label only.", facts
        ),
    ]
