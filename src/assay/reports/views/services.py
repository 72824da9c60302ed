"""Recorded services as views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.access.recorded import UNANSWERED, RecordedSet
from assay.analysis.change import LEVEL, Change
from assay.analysis.services import Comparison, label
from assay.base.intervals import Bounds
from assay.reports.views.page import Cell, Table, View

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart


def listed(sets: Sequence[RecordedSet]) -> View:
    """What there is."""
    columns = ("set", "examples", "classes", "services")
    rows: list[list[Cell]] = [
        [one.name, len(one.truth), one.recordings[0].num_classes, ", ".join(map(label, one.recordings))] for one in sets
    ]
    return View("Recorded services", [], [Table("Recorded services", columns, rows)])


def compared(found: Sequence[Comparison]) -> View:
    """Services of several sets beside each other."""
    notes = [
        "An example without an answer counts as wrong, and two services without an answer as agreeing. Intervals hold "
        "at 95 %: Wilson's for shares, Newcombe's for differences of accuracy on the same examples, the bootstrap's "
        "for the calibration error. p is McNemar's exact test, adjusted after Holm over the pairs of a set; 0 means "
        "below 1e-300.",
    ]
    if any(service.magnitudes for one in found for service in one.services):
        notes.append(
            "'below chance' is the share of answers whose confidence is below one over the number of classes, which no "
            "posterior of the most likely class can be: where it is large, the confidence is another kind of number."
        )
    tables = [Table("Accuracy, price and calibration", SERVICES, [row for one in found for row in _services(one)])]
    tables.append(Table("Agreement", PAIRS, [row for one in found for row in _pairs(one)]))

    def charts() -> list[Chart]:
        import altair as alt

        from assay.reports.views import service_pictures as pictures

        rows = []
        for one in found:
            beside = [pictures.agreement(one), pictures.prices(one), pictures.reliability(one)]
            row: Chart = alt.hconcat(*(chart for chart in beside if chart is not None)).resolve_scale(
                color="independent"
            )
            rows.append(row)
        return rows

    return View("Services beside each other", notes, tables, charts)


SERVICES = (
    "set", "service", "accuracy", "low", "high", "unanswered", "$ / 10,000", "worth it", "confidence",
    "calibration error", "error low", "error high", "below chance",
)  # fmt: skip
PAIRS = (
    "set", "first", "second", "agreement", "low", "high", "second is better by", "from", "to", "p (Holm)",
)  # fmt: skip


def _services(one: Comparison) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for service in one.services:
        curve = service.calibration
        known: list[Cell] = [None] * 4
        if curve is not None:
            known = [curve.sureness, curve.error, *_ends(curve.interval)]
        worth = "" if service.price_per_10k is None else "yes" if service.name in one.best else "no"
        rows.append(
            [one.name, service.name, service.accuracy, *_ends(service.interval), service.unanswered,
             service.price_per_10k, worth, *known, service.magnitudes]
        )  # fmt: skip
    return rows


def _pairs(one: Comparison) -> list[list[Cell]]:
    return [
        [one.name, pair.first, pair.second, pair.agreement, *_ends(pair.interval), pair.difference.difference,
         *_ends(pair.difference.interval), pair.holm]
        for pair in one.pairs
    ]  # fmt: skip


def changed(service: str, found: Sequence[Change]) -> View:
    """One service over time."""
    notes = [_sentence(service, one) for one in found]
    notes.append(
        "Only examples asked at both dates and with a true label are compared. p is McNemar's exact test; it is "
        "adjusted after Holm, of all classes over all classes and periods together."
    )
    columns = (
        "from", "to", "true class", "examples", "changed", "accuracy before", "after", "change", "low", "high",
        "p (Holm)",
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for one in found:
        parts = [("all", one.accuracy, one.changed, one.holm)]
        parts += [(str(part.label), part.accuracy, part.changed, part.holm) for part in one.classes]
        for name, accuracy, count, p in parts:
            shares = [accuracy.first, accuracy.second, accuracy.difference, *_ends(accuracy.interval)]
            rows.append([one.before, one.after, name, accuracy.n, count, *shares, p])
    moves: list[list[Cell]] = [
        [one.before, one.after, _answer(move.before), _answer(move.after), move.examples]
        for one in found
        for move in one.moves
    ]
    tables = [Table("Accuracy by class", columns, rows)]
    if moves:
        tables.append(Table("Answers that changed most", ("from", "to", "answer before", "after", "examples"), moves))

    def charts() -> list[Chart]:
        from assay.reports.views import service_pictures as pictures

        return [pictures.changed(found)]

    return View(f"{service} over time", notes, tables, charts)


def _sentence(service: str, one: Change) -> str:
    share = one.changed / one.n
    words = f"{one.before} to {one.after}: {service} changed {one.changed:,} of {one.n:,} answers ({share:.1%}"
    words += f", {one.interval.low:.1%} to {one.interval.high:.1%})"
    if one.holm < LEVEL:
        words += f" and became {'better' if one.accuracy.difference > 0 else 'worse'} overall"
    else:
        words += "; its accuracy overall did not change significantly"
    if one.significant:
        words += f"; classes whose accuracy changed: {', '.join(map(str, one.significant))}"
    if one.left_out:
        words += f". {one.left_out:,} examples were left out"
    return words + "."


def _answer(answer: int) -> str:
    return "none" if answer == UNANSWERED else str(answer)


def _ends(bounds: Bounds) -> tuple[float, float]:
    return bounds.low, bounds.high
