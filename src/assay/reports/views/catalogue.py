"""The catalogue, its statistics and its analyses as views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.analysis.position import Standing
from assay.base.intervals import Bounds
from assay.catalogue.agreement import Agreement
from assay.catalogue.annotation import Vote, to_text
from assay.catalogue.codebook import CODEBOOK, CODES
from assay.catalogue.measurement import Measurement
from assay.catalogue.record import Record
from assay.catalogue.stats import Statistics
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.analysis.columns import Correlated
    from assay.analysis.securitynet import Analysis
    from assay.catalogue.importers.securitynet import Tables
    from assay.reports.views.pictures import Chart

SHOWN = 50
"""Rows of a search that are shown; the rest is counted."""


def found(records: Sequence[Record], total: int, limit: int = SHOWN) -> View:
    """The result of a search."""
    rows = [_row(record) for record in records[:limit]]
    columns = ("id", "data set", "family", "parameters", "MACs", "top-1", "year", "purpose", "also in")
    notes = [f"{len(records)} of {total} models."]
    if len(records) > limit:
        notes.append(f"The first {limit} are shown; 'limit' in the query, or assay catalogue export, gives others.")
    known = [record for record in records if record.facts.top1 is not None and record.facts.parameters]

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import scatter

        points = [
            {
                "name": record.id,
                "parameters": record.facts.parameters,
                "top1": record.facts.top1,
                "dataset": record.facts.dataset or "unknown",
            }
            for record in known
        ]
        return [scatter(points, "parameters", "top1", "dataset", "Accuracy and size")] if points else []

    return View("Models", notes, [Table("Models", columns, rows)] if rows else [], charts)


def _row(record: Record) -> list[Cell]:
    facts = record.facts
    also = ", ".join(dict.fromkeys(source.split()[0] for source in record.sources[1:]))
    counts = (count_text(facts.parameters), count_text(facts.macs))
    return [record.id, facts.dataset, facts.model_type, *counts, facts.top1, facts.year, facts.purpose, also]


def count_text(value: int | None) -> str | None:
    """A large count in three digits: 25.6 M."""
    if value is None:
        return None
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def one(record: Record, measured: Sequence[Measurement], places: Sequence[Standing]) -> View:
    """Everything known of one model."""
    rows: list[list[Cell]] = []
    for name, code in CODEBOOK.items():
        value = getattr(record.facts, name)
        if value is not None:
            text = value.model_dump_json() if code.kind == "object" else to_text(name, value)
            rows.append([name, text, code.unit, record.origins[name]])
    tables = [Table(record.id, ("field", "value", "unit", "according to"), rows)]
    if record.conflicts:
        told: list[list[Cell]] = [
            [c.field, to_text(c.field, c.value), c.source, to_text(c.field, getattr(record.facts, c.field))]
            for c in record.conflicts
        ]
        tables.append(Table("Contradictions", ("field", "value", "according to", "instead of"), told))
    if measured:
        numbers: list[list[Cell]] = [[m.metric, m.value, m.low, m.high, m.n, m.protocol, m.source] for m in measured]
        columns = ("metric", "value", "low", "high", "n", "protocol", "measured by")
        tables.append(Table("Measured", columns, numbers))
    unknown = [name for name in CODEBOOK if getattr(record.facts, name) is None]
    notes = [f"Also known as {', '.join(record.names[1:])}."] if len(record.names) > 1 else []
    notes += [place.sentence for place in places]
    notes.append(f"Unknown: {', '.join(unknown)}.")
    return View(record.id, notes, tables)


def statistics(found: Statistics, remarks: Sequence[str] = ()) -> View:
    """Counts and coverage of a catalogue; ``remarks`` are shown with its other notes."""
    share = f"{found.with_parameters} have parameters ({_percent(found.with_parameters, found.buildable)})"
    macs = f"{found.with_macs} MACs ({_percent(found.with_macs, found.buildable)})"
    notes = [
        f"{found.records} distinct models of {found.datasets} data sets; {found.classifiers} are image classifiers.",
        f"{found.merged} are listed by several sources; of {found.conflicts} two sources contradict each other.",
        f"Installed packages can build {found.buildable}: of these {share} and {macs}.",
        f"By their ids {found.loading['offline']} load offline, {found.loading['online']} once their weights are "
        f"fetched, and {found.loading['never']} never: they are only described.",
        *remarks,
    ]
    tables = [Table("Sources", ("source", "models"), list(found.sources.items()))]
    for name, counts in found.counts.items():
        shown = sorted(counts.items()) if name == "year" else list(counts.items())[:20]
        rest = len(counts) - len(shown)
        title = f"{CODEBOOK[name].description}" + (f" (and {rest} more)" if rest > 0 else "")
        tables.append(Table(title, (name.replace("_", " "), "models"), shown))
    coverage: list[list[Cell]] = [[c.field, c.known, _percent(c.known, found.records)] for c in found.coverage]
    tables.append(Table("Known of how many", ("field", "models", "share"), coverage))

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import bars, years

        titles = {"model_type": "Families of architectures", "country": "Countries", "dataset": "Data sets"}
        known = {row.field: row.known for row in found.coverage}
        return [
            years(found.counts["year"], "Year of the paper"),
            *(bars(found.counts[name], title) for name, title in titles.items()),
            bars(known, "Known of how many models", most=len(known)),
        ]

    return View("The catalogue", notes, tables, charts)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def codebook() -> View:
    """Every field of the codebook."""
    rows: list[list[Cell]] = [
        [name, code.description, code.kind, code.unit, ", ".join(code.choices), "yes" if name in CODES else ""]
        for name, code in CODEBOOK.items()
    ]
    return View("Codebook", (), [Table("Codebook", ("field", "meaning", "kind", "unit", "values", "annotated"), rows)])


def agreements(found: Sequence[Agreement], votes: Sequence[Vote]) -> View:
    """Agreement of coders, and what they disagree on."""
    rows: list[list[Cell]] = [[a.name, a.items, a.observed, a.kappa, *_bounds(a.interval), a.note] for a in found]
    columns = ("code", "models", "observed", "kappa", "low", "high", "note")
    return View("Agreement", (), [Table("Agreement of coders", columns, rows), *disagreements(votes)])


def disagreements(votes: Sequence[Vote]) -> list[Table]:
    """Codes to which coders gave different answers; no table where there is none."""
    rows: list[list[Cell]] = [
        [vote.record, vote.code, "; ".join(f"{value} ({', '.join(who)})" for value, who in vote.votes.items())]
        for vote in votes
    ]
    return [Table("Disagreement", ("model", "code", "answers"), rows)] if rows else []


def claims(analysis: Analysis, tables: Tables) -> View:
    """SecurityNet's claims, recomputed, with leverage and pictures."""
    rows: list[list[Cell]] = []
    for q in analysis.quantities:
        numbers = [q.paper, q.value, *_bounds(q.interval), q.n, q.rho, q.holm, q.bh]
        rows.append([q.claim, q.label, *(_digits(number) for number in numbers), q.verdict, q.note])
    head = ("claim", "quantity", "paper", "here", "low", "high", "n", "rho", "Holm p", "BH p", "paper's number", "note")
    dropped: list[list[Cell]] = [
        [name, w.k, w.n, round(w.r, 3)] for name, steps in analysis.leverage.items() for w in steps
    ]
    notes = [
        f"{len(tables.benchmark)} benchmark and {len(tables.security)} security models; "
        f"{len(tables.new)} titles without measurements.",
        "Intervals are 95 % (10,000 resamples of models, or exact for shares); p-values are adjusted over all "
        "correlations of this table.",
    ]
    leverage = Table("r(attack, task accuracy) without the weakest victims", ("data set", "without", "n", "r"), dropped)

    def charts() -> list[Chart]:
        from assay.analysis.securitynet import STUDIED, TITLES, dataset
        from assay.reports.views.pictures import lines, scatter

        points = [
            {"name": row.texts["Model Name"], "dataset": TITLES[dataset(row)], **row.numbers}
            for row in tables.benchmark
            if dataset(row) in STUDIED
        ]
        steps = [
            {"data set": TITLES[name], "weakest left out": w.k, "r": w.r}
            for name, without in analysis.leverage.items()
            for w in without
        ]
        gaps = [point for point in points if "entropy_auc" in point]
        return [
            scatter(points, "agreement", "attack_accuracy", "dataset", "Agreement and attack accuracy (D1)"),
            scatter(points, "accuracy", "attack_accuracy", "dataset", "Task and attack accuracy (D2)"),
            lines(
                steps, "weakest left out", "r", "data set", "r(attack, task accuracy) without the weakest victims (D2)"
            ),
            scatter(gaps, "gap", "entropy_auc", "dataset", "Overfitting and membership inference (D8)"),
        ]

    return View("SecurityNet's findings, recomputed", notes, [Table("Claims", head, rows), leverage], charts)


def correlations(found: Correlated) -> View:
    """Correlations of two columns, group by group."""
    rows: list[list[Cell]] = []
    left: list[list[Cell]] = []
    for group in found.groups:
        c = group.correlation
        numbers = (c.r, *_bounds(c.interval), c.rho, *_bounds(group.rho_interval), c.p, group.holm, group.bh)
        rows.append([group.name, c.n, *(_digits(number) for number in numbers)])
        pairs = zip(group.without_lowest, group.without_most_influential, strict=True)
        left += [[group.name, low.k, low.n, round(low.r, 4), round(worst.r, 4)] for low, worst in pairs]
    head = ("group", "n", "r", "low", "high", "rho", "rho low", "rho high", "p", "Holm p", "BH p")
    without = ("group", "without", "n", f"lowest {found.x}", "most supporting")
    notes = ["Intervals are 95 % (10,000 resamples); p-values are adjusted over the groups."]
    if found.left_out:
        notes.append(f"Left out, with too few rows or a constant column: {', '.join(found.left_out)}.")

    def charts() -> list[Chart]:
        from assay.reports.views.pictures import scatter

        points = [
            {"name": group.name, "group": group.name, found.x: float(x), found.y: float(y)}
            for group in found.groups
            for x, y in zip(group.x, group.y, strict=True)
        ]
        return [scatter(points, found.x, found.y, "group", f"{found.x} and {found.y}")]

    tables = [Table(f"{found.x} and {found.y}", head, rows), Table("r without some rows", without, left)]
    return View(f"{found.x} and {found.y}", notes, tables, charts)


def _bounds(bounds: Bounds | None) -> tuple[float | None, float | None]:
    return (bounds.low, bounds.high) if bounds else (None, None)


def _digits(number: float | int | None) -> Cell:
    if number is None or isinstance(number, int):
        return number
    return float(f"{number:.2g}") if abs(number) < 0.01 else round(number, 4)
