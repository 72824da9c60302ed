"""Every rule comes out either way."""

from __future__ import annotations

from typing import Any

import pytest

from assay.analysis.claims.claim import combine
from assay.analysis.claims.evidence import Book, Evidence, Number
from assay.analysis.claims.rules import RULES, Verdict, beside, call

LINE = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def book(**tables: Any) -> Book:
    return Book([Evidence.model_validate({"study": "s", "tables": tables})])


def between(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


PAIR = {"first": ["s", "t", "a", "m"], "second": ["s", "t", "b", "m"]}
SEEDS = {"a": {"m": [0.5, 0.6, 0.7]}, "b": {"m": [0.4, 0.49, 0.61]}}
FAR = {"a": {"m": between(0.8, 0.79, 0.81)}, "b": {"m": between(0.5, 0.49, 0.51)}}
NEAR = {"a": {"m": between(0.5, 0.49, 0.51)}, "b": {"m": between(0.51, 0.5, 0.52)}}
WIDE = {"a": {"m": between(0.5, 0.2, 0.8)}, "b": {"m": between(0.51, 0.2, 0.8)}}
AT = {"at": ["s", "t", "a", "m"]}
ONE = {"a": {"m": between(0.5, 0.4, 0.6)}}
TWO = {
    "a": {"m": between(0.9, 0.8, 1.0), "k": between(0.4, 0.35, 0.45)},
    "b": {"m": between(0.3, 0.2, 0.4), "k": between(0.9, 0.8, 1.0)},
    "tried once": {"m": between(5.0, 4.0, 6.0)},
}
UP = {f"r{i}": {"x": x, "y": 2 * x + 0.01 * (i % 2)} for i, x in enumerate(LINE)}
DOWN = {f"r{i}": {"x": x, "y": -2 * x + 0.01 * (i % 2)} for i, x in enumerate(LINE)}
FLAT = {f"r{i}": {"x": x, "y": float(i % 2)} for i, x in enumerate(LINE)}
GRID = {
    "victim accuracy": {"c1": 0.5, "c2": 0.6, "v1": 0.8, "v2": 0.9},
    "vit": {"c1": 0.5, "c2": 0.55, "v1": 0.7, "v2": 0.8},
    "cnn": {"c1": 0.6, "c2": 0.5, "v1": 0.4, "v2": 0.3},
}
SIDES = {"plus": ["v1", "v2"], "minus": ["c1", "c2"]}
GAINS = {
    "first": [["s", "t", "a", "m"], ["s", "t", "b", "m"]],
    "second": [["s", "u", "a", "m"], ["s", "u", "b", "m"]],
}

CASES: list[tuple[str, dict[str, Any], dict[str, Any], Verdict]] = [
    ("difference", {"t": SEEDS}, {**PAIR, "side": 1}, "reproduced"),
    ("difference", {"t": SEEDS}, {**PAIR, "side": -1}, "contradicted"),
    ("difference", {"t": SEEDS}, {**PAIR, "side": 1, "least": 0.3}, "scope-limited"),
    ("difference", {"t": SEEDS}, {**PAIR, "side": 1, "least": 0.1}, "open"),
    ("difference", {"t": FAR}, {**PAIR, "side": 1, "least": 0.2}, "reproduced"),
    ("difference", {"t": WIDE}, {**PAIR, "side": 1}, "open"),
    ("difference", {"t": {**FAR, "a less b": {"m": between(-0.1, -0.2, -0.05)}}}, {**PAIR, "side": 1}, "contradicted"),
    ("difference", {"t": {"a": {"m": 0.4}, "b": {"m": 0.3}}}, {**PAIR, "side": 1}, "reproduced"),
    ("behind", {"t": {"a": FAR["b"], "b": FAR["a"]}}, PAIR, "reproduced"),
    ("behind", {"t": FAR}, PAIR, "contradicted"),
    ("behind", {"t": NEAR}, PAIR, "contradicted"),
    ("behind", {"t": WIDE}, PAIR, "open"),
    ("alike", {"t": NEAR}, PAIR, "reproduced"),
    ("alike", {"t": FAR}, PAIR, "contradicted"),
    ("alike", {"t": WIDE}, PAIR, "open"),
    ("differs", {"t": FAR}, PAIR, "reproduced"),
    ("differs", {"t": NEAR}, PAIR, "contradicted"),
    ("differs", {"t": WIDE}, PAIR, "open"),
    ("gains", {"t": FAR, "u": NEAR}, {**GAINS, "side": 1}, "reproduced"),
    ("gains", {"t": NEAR, "u": FAR}, {**GAINS, "side": 1}, "contradicted"),
    ("gains", {"t": FAR, "u": WIDE}, {**GAINS, "side": 1}, "open"),
    ("sign", {"t": ONE}, {**AT, "side": 1}, "reproduced"),
    ("sign", {"t": ONE}, {**AT, "side": -1}, "contradicted"),
    ("sign", {"t": ONE}, {**AT, "side": 1, "zero": 0.5}, "open"),
    ("sign", {"t": ONE}, {**AT, "side": 1, "least": 0.7}, "scope-limited"),
    ("close", {"t": ONE}, {**AT, "published": 0.45, "tolerance": 0.3}, "reproduced"),
    ("close", {"t": ONE}, {**AT, "published": 0.45, "tolerance": 0.05}, "open"),
    ("close", {"t": ONE}, {**AT, "published": 0.62}, "scope-limited"),
    ("close", {"t": ONE}, {**AT, "published": 0.9}, "contradicted"),
    ("close", {"t": ONE}, {**AT, "published": -0.5}, "contradicted"),
    ("threshold", {"t": ONE}, {**AT, "least": 0.3}, "reproduced"),
    ("threshold", {"t": ONE}, {**AT, "least": 0.7}, "contradicted"),
    ("threshold", {"t": ONE}, {**AT, "least": 0.5}, "open"),
    ("threshold", {"t": ONE}, {**AT, "least": 0.5, "census": True}, "reproduced"),
    ("threshold", {"t": ONE}, {**AT, "most": 0.3}, "contradicted"),
    ("threshold", {"t": ONE}, {**AT, "most": 0.7}, "reproduced"),
    ("largest", {"t": {**ONE, "z": {"m": 0.9}}}, {"table": ["s", "t"], "metric": "m", "least": 0.8}, "reproduced"),
    ("largest", {"t": ONE}, {"table": ["s", "t"], "metric": "m", "least": 0.8}, "scope-limited"),
    ("largest", {"t": ONE}, {"table": ["s", "t"], "metric": "m", "least": 0.8, "zero": 0.7}, "contradicted"),
    ("strongest", {"t": TWO}, {"table": ["s", "t"], "metrics": ["m", "k"], "least": 0.3}, "reproduced"),
    ("strongest", {"t": TWO}, {"table": ["s", "t"], "metrics": ["m", "k"], "least": 0.6}, "scope-limited"),
    ("strongest", {"t": TWO}, {"table": ["s", "t"], "metrics": ["m", "k"], "least": 0.6, "zero": 0.5}, "contradicted"),
    ("correlation", {"t": UP}, {"table": ["s", "t"], "x": "x", "y": "y", "side": 1, "least": 0.9}, "reproduced"),
    ("correlation", {"t": DOWN}, {"table": ["s", "t"], "x": "x", "y": "y", "side": 1}, "contradicted"),
    ("correlation", {"t": FLAT}, {"table": ["s", "t"], "x": "x", "y": "y", "side": 1}, "open"),
    ("correlation", {"t": UP}, {"table": ["s", "t"], "x": "x", "y": "y", "published": 0.2}, "contradicted"),
    ("correlation", {"t": FLAT}, {"table": ["s", "t"], "x": "x", "y": "y", "published": 0.2}, "open"),
    ("correlation", {"t": UP}, {"table": ["s", "t"], "x": "x", "y": "y", "published": 1.0}, "reproduced"),
    ("flips", {"t": DOWN, "u": UP}, {"first": ["s", "t"], "second": ["s", "u"], "x": "x", "y": "y"}, "reproduced"),
    ("flips", {"t": DOWN, "u": DOWN}, {"first": ["s", "t"], "second": ["s", "u"], "x": "x", "y": "y"}, "contradicted"),
    ("flips", {"t": DOWN, "u": FLAT}, {"first": ["s", "t"], "second": ["s", "u"], "x": "x", "y": "y"}, "open"),
    ("gaps", {"t": GRID}, {"study": "s", "tables": ["t"], "rows": ["vit"], **SIDES, "side": 1}, "reproduced"),
    ("gaps", {"t": GRID}, {"study": "s", "tables": ["t"], "rows": ["cnn"], **SIDES, "side": 1}, "contradicted"),
    ("gaps", {"t": GRID}, {"study": "s", "tables": ["t"], "rows": ["cnn", "vit"], **SIDES, "side": 1}, "scope-limited"),
    ("trend", {"t": GRID}, {"study": "s", "steps": [["t", "cnn"], ["t", "vit"]], **SIDES, "side": 1}, "reproduced"),
    ("trend", {"t": GRID}, {"study": "s", "steps": [["t", "cnn"], ["t", "vit"]], **SIDES, "side": -1}, "contradicted"),
    (
        "trend",
        {"t": GRID},
        {"study": "s", "steps": [["t", r] for r in ("cnn", "vit", "victim accuracy")], "plus": ["c2"], "side": 1},
        "reproduced",
    ),
    (
        "trend",
        {"t": GRID},
        {"study": "s", "steps": [["t", r] for r in ("cnn", "victim accuracy", "vit")], "plus": ["c2"], "side": 1},
        "scope-limited",
    ),
    ("wins", {"t": GRID}, {"study": "s", "table": "t", "first": "vit", "second": "cnn", "side": 1}, "scope-limited"),
    (
        "wins",
        {"t": GRID},
        {"study": "s", "table": "t", "first": "vit", "second": "victim accuracy", "side": -1, "share": 0.7},
        "reproduced",
    ),
    (
        "wins",
        {"t": GRID},
        {"study": "s", "table": "t", "first": "victim accuracy", "second": "cnn", "side": -1, "share": 0.7},
        "contradicted",
    ),
    ("accuracies", {"t": GRID}, {"study": "s", "tables": ["t"], "rows": ["vit"], "side": 1}, "reproduced"),
    ("accuracies", {"t": GRID}, {"study": "s", "tables": ["t"], "rows": ["cnn"], "side": 1}, "contradicted"),
    ("best_row", {"t": GRID}, {"study": "s", "table": "t", "row": "vit", "column": "v1"}, "reproduced"),
    ("best_row", {"t": GRID}, {"study": "s", "table": "t", "row": "cnn", "column": "v1"}, "contradicted"),
    ("best_row", {"t": WIDE}, {"study": "s", "table": "t", "row": "a", "column": "m"}, "open"),
]


@pytest.mark.parametrize(("name", "tables", "parameters", "verdict"), CASES)
def test_each_verdict(name: str, tables: dict[str, Any], parameters: dict[str, Any], verdict: Verdict) -> None:
    found = call(book(**tables), name, parameters)
    assert found.verdict == verdict, found.measured
    assert found.points
    assert not found.missing


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_rule_can_come_out_either_way(name: str) -> None:
    seen = {verdict for rule, _, _, verdict in CASES if rule == name}
    assert {"reproduced", "contradicted"} <= seen


@pytest.mark.parametrize(("name", "tables", "parameters", "verdict"), CASES)
def test_what_was_not_run_leaves_a_claim_open(
    name: str, tables: dict[str, Any], parameters: dict[str, Any], verdict: Verdict
) -> None:
    found = call(Book([]), name, parameters)
    assert (found.verdict, found.missing) == ("open", True)
    assert "not run yet" in found.measured
    emptied = {table: {"other row": {"other": 1.0}} for table in tables}
    assert call(book(**emptied), name, parameters).missing


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["reproduced", "open"], "open"),
        (["reproduced", "reproduced"], "reproduced"),
        (["contradicted", "open"], "contradicted"),
        (["reproduced", "contradicted"], "scope-limited"),
        (["reproduced", "scope-limited"], "scope-limited"),
        (["open"], "open"),
        ([], "not run"),
    ],
)
def test_one_verdict_from_several(verdicts: list[Verdict], verdict: Verdict) -> None:
    assert combine(verdicts) == verdict


def test_a_wide_interval_does_not_reproduce_a_number() -> None:
    assert beside(Number(value=-0.6, low=-0.9, high=-0.2), -0.693, 0.15, 0.0) == "open"
    assert beside(Number(value=-0.69, low=-0.75, high=-0.6), -0.693, 0.15, 0.0) == "reproduced"


def test_a_published_number_stands_for_what_rounds_to_it() -> None:
    number = Number(value=0.95, low=0.948, high=0.9527)
    assert beside(number, 0.953, 0.003, 0.0) == "reproduced"
    assert beside(number, 0.954, 0.003, 0.0) == "contradicted"


def test_numbers_by_seed_have_students_interval() -> None:
    number = Number.model_validate([0.4, 0.5, 0.6])
    half = 4.302652729911275 * 0.1 / 3**0.5
    assert (number.value, number.low, number.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    single = Number.model_validate([0.4])
    assert (single.value, single.low, single.seeds) == (0.4, None, (0.4,))
