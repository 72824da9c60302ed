"""A method that breaks its contract costs its own trial and one sentence; the others go on."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.access import Answers, Oracle
from assay.base.registry import Registry
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Lines, Metric, Samples, Series, Verdict
from assay.methods.method import Context, Method, OracleMethod, WhiteBoxMethod, method
from assay.studies import Outcome, Workspace, run_trials
from studies.doubles import EXACT, Count, Opens, trial

ROW = np.arange(4)
COUNT = {"name": "count", "label": "Count", "note": "exact", "scale": EXACT}
LOW = Verdict(level="low", metric="count", sentence="Fine.")


def metrics(*values: float, **changes: Any) -> list[Metric]:
    return [Metric(**{**COUNT, "value": value, **changes}) for value in values]


def finding(**changes: Any) -> Finding:
    return Finding(**{"metrics": metrics(1.0), "verdict": LOW, **changes})


def outcomes(wrong: Method, folder: Path) -> list[Outcome]:
    """What becomes of a wrong method's trial between two right ones."""
    return run_trials([trial(Count(scale=2.0)), trial(wrong), trial(Count())], Workspace(folder)).outcomes


def line(*values: float) -> Lines:
    series = [Series(name="a", x=[1.0] * len(values), y=list(values))]
    return Lines(title="t", caption="c", x_label="x", y_label="y", series=series)


WRONG: dict[str, tuple[Any, str]] = {
    "infinite metric": (lambda: finding(metrics=metrics(np.inf)), r"Metric\.value: .* finite number \(it was inf\)"),
    "metric of NaN": (lambda: finding(metrics=metrics(np.nan)), r"Metric\.value: .* finite number \(it was nan\)"),
    "no value, no reason": (lambda: finding(metrics=metrics(None, note="")), "must say why in its note"),  # type: ignore[arg-type]
    "one name twice": (lambda: finding(metrics=metrics(1.0, 2.0)), "2 metrics are called count"),
    "no interval, no note": (lambda: finding(metrics=metrics(1.0, note="")), "neither an interval nor a note"),
    "verdict by nothing": (
        lambda: finding(verdict=Verdict(level="low", metric="other", sentence="")),
        "rests on 'other', which is none of its metrics",
    ),
    "verdict without scale": (lambda: finding(metrics=metrics(1.0, scale=None)), "low by count, which has no scale"),
    "verdict without value": (lambda: finding(metrics=metrics(None)), "low by count, which has no value"),  # type: ignore[arg-type]
    "samples of another length": (
        lambda: finding(samples=Samples(ROW, columns={"x": np.zeros(3)})),
        "the column 'x' has 3 samples, and 'row' has 4",
    ),
    "samples of no metric": (
        lambda: finding(samples=Samples(ROW, outcomes={"success": np.ones(4)})),
        "samples are kept for 'success', which is none of its metrics",
    ),
    "another mean": (
        lambda: finding(samples=Samples(ROW, outcomes={"count": np.zeros(4)})),
        "count is 1, and the mean of its samples is 0",
    ),
    "infinite samples": (
        lambda: finding(samples=Samples(ROW, outcomes={"count": np.array([np.inf, 1, 1, 1])})),
        "samples of count are infinite",
    ),
    "columns of one name": (
        lambda: finding(samples=Samples(ROW, outcomes={"count": np.ones(4)}, columns={"count": ROW})),
        "two columns of samples are called 'count'",
    ),
    "NaN in a picture": (lambda: finding(figures=[line(np.nan)]), "reports what cannot be kept: .*JSON"),
    "samples that no file holds": (
        lambda: finding(samples=Samples(ROW, columns={"x": np.array([1, "a", None, {}], object)})),
        "reports what cannot be kept",
    ),
    "something else": (lambda: {"count": 1.0}, "handed back a dict, and must hand back a Finding"),
    "nothing": (lambda: None, "handed back a NoneType"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_finding_is_a_failure_in_a_sentence(name: str, tmp_path: Path) -> None:
    made, says = WRONG[name]

    class Wrong(Count):
        def account(self, result: Answers, context: Context) -> Finding:
            return made()  # type: ignore[no-any-return]

    before, wrong, after = outcomes(Wrong(scale=3.0), tmp_path)
    assert (before.status, wrong.status, after.status) == ("done", "failed", "done")
    assert wrong.reason.startswith("membership.count ")
    assert re.search(says, wrong.reason), wrong.reason
    assert wrong.reason.count("\n") == 0
    assert (wrong.metrics, wrong.verdict) == ([], None)
    assert [outcome.status for outcome in Workspace(tmp_path).outcomes()].count("failed") == 1


@pytest.mark.parametrize("part", ["members", "auxiliary", "suspects"])
def test_an_undeclared_part_cannot_be_reached(part: str, tmp_path: Path) -> None:
    class Reads(Count):
        def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
            assert [p for p in data if p is not None] == [data.non_members], "no way around the names"
            assert [n for n, p in data._asdict().items() if p is not None] == ["non_members"]
            assert list(data.digests()) == ["non_members"]
            getattr(data, part)
            return super().measure(access, data, context)

    _, wrong, after = outcomes(Reads(), tmp_path)
    assert (wrong.status, after.status) == ("failed", "done")
    assert wrong.reason == f"membership.count reads the {part}, which it declares in neither parts nor uses."


def test_a_measure_of_another_form_fails_alone(tmp_path: Path) -> None:
    class Other(Count):
        def measure(self, access: Oracle) -> Answers:  # type: ignore[override]
            raise AssertionError

    _, wrong, after = outcomes(Other(), tmp_path)
    assert (wrong.status, after.status) == ("failed", "done")
    assert wrong.reason.startswith("TypeError: ")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A fresh registry of methods whose entry points are functions that declare one; what it warned."""
    declared: dict[str, Any] = {}

    class Point:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> None:
            declared[self.name]()

    registry: Registry[type[Method]] = Registry("method", "assay.base")
    registry.add("evasion.known")(Opens)
    monkeypatch.setattr("assay.methods.method.METHODS", registry)
    monkeypatch.setattr("assay.base.registry.entry_points", lambda group: [Point(name) for name in declared])
    return {"points": declared, "registry": registry}


def declare(base: type[Method] = WhiteBoxMethod, **body: Any) -> None:
    fields = {"name": "evasion.mine", "about": About("Mine", "It is mine.", "none"), "__module__": __name__, **body}
    method(type("Mine", (base,), fields))


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (lambda: declare(Method), "must be an OracleMethod or a WhiteBoxMethod, by the access that it takes"),
        (lambda: declare(run=lambda self, access, data, context: None), "must not define run: implement measure"),
        (lambda: declare(name="mine.attack"), "must have a name that begins with its family: stealing"),
        (lambda: declare(about="an attack"), "must say what it is: about = About"),
        (lambda: declare(needs="label"), "needs 'label', and by its base it can need white-box"),
        (lambda: declare(OracleMethod, needs="white-box"), "can need label or top-k or posteriors"),
        (lambda: declare(parts=("images",)), "declares the part 'images'; the parts of the data are members"),
        (lambda: declare(name="evasion.known"), "method 'evasion.known' is registered already"),
    ],
)
def test_a_wrong_plug_in_is_left_out_with_a_sentence(plugins: dict[str, Any], declaration: Any, says: str) -> None:
    plugins["points"] |= {"wrong": declaration, "right": declare}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert plugins["registry"].names() == ["evasion.known", "evasion.mine"]
    assert plugins["registry"].get("evasion.known") is Opens
    (warning,) = warned
    assert re.search(f"the method plug-in 'wrong' failed to load: .*{re.escape(says)}", str(warning.message))
