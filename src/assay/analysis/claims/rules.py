"""The decision rules: pure functions from evidence to a verdict, written so that they can come out either way.

Each is named in a claim's file with its parameters. ``side`` is 1 for a claim that something is above, -1 below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot
from typing import Any, Literal, NamedTuple

from assay.analysis.claims.evidence import At, Book, Missing, Number, over_seeds
from assay.analysis.correlation import correlate
from assay.base.errors import DataError

Verdict = Literal[
    "reproduced", "contradicted", "scope-limited", "proxy agrees", "proxy disagrees", "open", "not run", "not testable"
]


class Point(NamedTuple):
    """What a picture shows of a check: a number with its interval, or with ``x`` a point of a scatter plot."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    group: str = ""
    x: float | None = None


class Found(NamedTuple):
    """What a rule made of the evidence: its verdict, the numbers in words, and what to draw.

    ``missing`` says that what it asks for was not run yet.
    """

    verdict: Verdict
    measured: str
    points: Sequence[Point] = ()
    axes: tuple[str, str] = ("", "")
    missing: bool = False


Rule = Callable[..., Found]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register a rule under its function's name."""
    RULES[function.__name__] = function
    return function


def shown(number: Number) -> str:
    """A value and its interval in three or four digits."""
    if number.low is None or number.high is None:
        return f"{number.value:.3g}"
    return f"{number.value:.3g} ({number.low:.3g} to {number.high:.3g})"


def sided(number: Number, side: int, zero: float = 0.0, least: float = 0.0) -> Verdict:
    """Whether a number lies on the claimed side of ``zero``, and by at least ``least``; without an interval, itself.

    On the wrong side with its whole interval it contradicts; with the interval across zero nothing is settled. On the
    right side by less than claimed, with the whole interval, it limits the claim.
    """
    low, high = (number.value if bound is None else bound for bound in (number.low, number.high))
    below, above = sorted((side * (low - zero), side * (high - zero)))
    if above < 0 or (below == above == 0 and least >= 0):
        return "contradicted"
    if below > 0:
        if below >= least:
            return "reproduced"
        return "scope-limited" if above < least else "open"
    return "open"


def within(number: Number, margin: float) -> Verdict:
    """Whether a difference is none: its whole interval within the margin, or beyond it."""
    low, high = (number.value if bound is None else bound for bound in (number.low, number.high))
    if max(abs(low), abs(high)) <= margin:
        return "reproduced"
    return "contradicted" if low > margin or high < -margin else "open"


def beside(number: Number, published: float, tolerance: float, zero: float) -> Verdict:
    """How a published number stands to ours: within its interval; near it on the same side of zero; or neither.

    A published number stands for all that are rounded to it. An interval whose half is wider than the tolerance holds
    too many numbers to reproduce one: the check is open.
    """
    half = 0.5 * 10.0 ** -len(f"{published:g}".partition(".")[2])
    if number.low is not None and number.high is not None and number.low - half <= published <= number.high + half:
        precise = (number.high - number.low) / 2 <= max(tolerance * abs(published - zero), half)
        return "reproduced" if precise else "open"
    alike = (number.value - zero) * (published - zero) > 0
    near = abs(number.value - published) <= tolerance * abs(published - zero)
    return "scope-limited" if alike and near else "contradicted"


def subtract(book: Book, first: At, second: At) -> Number:
    """One number less another: the difference as published, seed by seed where both have seeds, or from intervals."""
    for bound in (first, second):
        book.number(bound)
    study, table, row, metric = first
    if second[:2] == [study, table] and second[3] == metric:
        known = book.table(study, table).get(f"{row} less {second[2]}", {}).get(metric)
        if known is not None:
            return known
    a, b = book.number(first), book.number(second)
    count = min(len(a.seeds), len(b.seeds))
    if count > 1:
        return Number(**over_seeds([x - y for x, y in zip(a.seeds[:count], b.seeds[:count], strict=True)]))
    return apart(a, b)


def apart(a: Number, b: Number) -> Number:
    """The difference a - b of numbers measured apart; its interval takes their errors as independent."""
    change = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Number(value=change)
    half = hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
    return Number(value=change, low=change - half, high=change + half, how="from both intervals")


def _named(at: At, number: Number, group: str = "") -> Point:
    return Point(f"{at[2]}, {at[3]}".replace("_", " "), number.value, number.low, number.high, group)


@rule
def difference(book: Book, first: At, second: At, side: int, least: float = 0.0) -> Found:
    """The first number lies above (or below) the second, by at least ``least``."""
    change = subtract(book, first, second)
    points = [_named(at, book.number(at)) for at in (first, second)]
    return Found(sided(change, side, 0.0, least), f"difference {shown(change)}", points)


@rule
def behind(book: Book, first: At, second: At, margin: float = 0.05) -> Found:
    """The first number lags the second by at least the margin: the whole interval of the difference beyond it."""
    change = subtract(book, first, second)
    low, high = (change.value if bound is None else bound for bound in (change.low, change.high))
    verdict: Verdict = "reproduced" if high <= -margin else "contradicted" if low > -margin else "open"
    points = [_named(at, book.number(at)) for at in (first, second)]
    return Found(verdict, f"difference {shown(change)}, margin {margin:g}", points)


@rule
def alike(book: Book, first: At, second: At, margin: float = 0.05) -> Found:
    """The two numbers differ by at most the margin."""
    change = subtract(book, first, second)
    points = [_named(at, book.number(at)) for at in (first, second)]
    return Found(within(change, margin), f"difference {shown(change)}, margin {margin:g}", points)


@rule
def differs(book: Book, first: At, second: At, margin: float = 0.05) -> Found:
    """The two numbers are not the same: the opposite of `alike`."""
    found = alike(book, first, second, margin)
    opposite: dict[Verdict, Verdict] = {"reproduced": "contradicted", "contradicted": "reproduced"}
    return found._replace(verdict=opposite.get(found.verdict, found.verdict))


@rule
def gains(book: Book, first: Sequence[At], second: Sequence[At], side: int, least: float = 0.0) -> Found:
    """What the first pair's first member has over its second is more (or less) than in the second pair."""
    ours, theirs = (subtract(book, pair[0], pair[1]) for pair in (first, second))
    whole = apart(ours, theirs)
    points = [
        Point(f"{pair[0][0]}: {pair[0][2]} less {pair[1][2]}", one.value, one.low, one.high)
        for pair, one in ((first, ours), (second, theirs))
    ]
    return Found(sided(whole, side, 0.0, least), f"gains {shown(ours)} and {shown(theirs)}", points)


@rule
def sign(book: Book, at: At, side: int, zero: float = 0.0, least: float = 0.0) -> Found:
    """A number lies above (or below) zero, by at least ``least``."""
    number = book.number(at)
    return Found(sided(number, side, zero, least), shown(number), [_named(at, number)])


@rule
def close(book: Book, at: At, published: float, tolerance: float = 0.2, zero: float = 0.0) -> Found:
    """The published number lies within our interval (reproduced), or within a tolerance of its distance from zero."""
    number = book.number(at)
    points = [_named(at, number, "here"), Point(f"{at[2]}, {at[3]}".replace("_", " "), published, group="published")]
    return Found(beside(number, published, tolerance, zero), shown(number), points)


@rule
def threshold(book: Book, at: At, least: float | None = None, most: float | None = None, census: bool = False) -> Found:
    """A number is at least, or at most, so much. A census has every case there is: its value counts, no interval."""
    number = book.number(at)
    counted = Number(value=number.value) if census else number
    low, high = (counted.value if bound is None else bound for bound in (counted.low, counted.high))
    verdict: Verdict = "open"
    if (least is None or low >= least) and (most is None or high <= most):
        verdict = "reproduced"
    elif (least is not None and high < least) or (most is not None and low > most):
        verdict = "contradicted"
    return Found(verdict, shown(number), [_named(at, number)])


@rule
def largest(
    book: Book, table: Sequence[str], metric: str, least: float, zero: float = 0.0, rows: Sequence[str] = ()
) -> Found:
    """The largest number of a column lies above zero by at least ``least`` ("up to" so much), by its own interval."""
    found = {
        name: row[metric] for name, row in book.table(*table).items() if metric in row and (not rows or name in rows)
    }
    if not found:
        raise Missing(f"{metric}, in the table {table[1]}")
    best = max(found, key=lambda name: found[name].value)
    points = [Point(name, one.value, one.low, one.high) for name, one in found.items()]
    return Found(sided(found[best], 1, zero, least), f"{shown(found[best])} for {best}", points, ("", metric))


@rule
def strongest(book: Book, table: Sequence[str], metrics: Sequence[str], least: float, zero: float = 0.0) -> Found:
    """As `largest`, of what is left against the strongest of several attackers: in each row the lowest number counts.

    Rows on which not all of them were tried do not count.
    """
    found = {
        name: min((row[metric] for metric in metrics), key=lambda number: number.value)
        for name, row in book.table(*table).items()
        if set(metrics) <= set(row)
    }
    if not found:
        raise Missing(f"{', '.join(metrics)}, in the table {table[1]}")
    best = max(found, key=lambda name: found[name].value)
    points = [Point(name, one.value, one.low, one.high) for name, one in found.items()]
    axis = f"the least of {', '.join(metrics)}"
    return Found(sided(found[best], 1, zero, least), f"{shown(found[best])} for {best}", points, ("", axis))


@rule
def correlation(
    book: Book,
    table: Sequence[str],
    x: str,
    y: str,
    side: int = 0,
    least: float = 0.0,
    published: float | None = None,
    tolerance: float = 0.2,
) -> Found:
    """Pearson's r of two columns over the rows: its side and size, or how the published r stands to it."""
    points = pairs(book, table, x, y)
    number = _pearson(points)
    verdict = sided(number, side, 0.0, least) if published is None else beside(number, published, tolerance, 0.0)
    return Found(verdict, f"r = {shown(number)}, n = {len(points)}", points, (x, y))


@rule
def flips(book: Book, first: Sequence[str], second: Sequence[str], x: str, y: str) -> Found:
    """R is below 0 in the first table and above 0 in the second; both on one side contradict."""
    points = [pairs(book, table, x, y) for table in (first, second)]
    one, other = (_pearson(part) for part in points)
    sides = sided(one, -1), sided(other, 1)
    if "open" in sides:
        verdict: Verdict = "open"
    else:
        verdict = "reproduced" if sides == ("reproduced", "reproduced") else "contradicted"
    return Found(verdict, f"r = {shown(one)} and {shown(other)}", [*points[0], *points[1]], (x, y))


def pairs(book: Book, table: Sequence[str], x: str, y: str) -> list[Point]:
    """The rows of a table that have both numbers."""
    return [
        Point(name, row[y].value, group=table[1], x=row[x].value)
        for name, row in book.table(*table).items()
        if x in row and y in row
    ]


def _pearson(points: Sequence[Point]) -> Number:
    try:
        found = correlate([point.x or 0.0 for point in points], [point.value for point in points])
    except DataError as error:
        raise Missing(f"{len(points)} rows: {error}") from error
    low, high = found.interval.low, found.interval.high
    return Number(value=found.r, low=low, high=high, n=found.n, how="Fisher's z over rows")


def call(book: Book, name: str, parameters: dict[str, Any]) -> Found:
    """Evaluate a named rule; what has not been run yet leaves the claim open."""
    try:
        return RULES[name](book, **parameters)
    except Missing as missing:
        return Found("open", f"not run yet ({missing})", missing=True)
