"""Services beside each other and over time, against slow references, synthetic changes and the known values."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access.recorded import UNANSWERED, RecordedSet, Recording, load_sets
from assay.analysis.calibration import BINS, calibration
from assay.analysis.change import changes
from assay.analysis.difference import mcnemar, paired_shares
from assay.analysis.services import compare
from assay.base.errors import DataError, UsageError
from assay.reports.views import page
from assay.reports.views import services as service_views
from oracles import services as slow


def recording(labels, *, service="S", date="", confidence=None, price=None, classes=4, first=0):
    return Recording(
        service=service,
        dataset="D",
        examples=tuple(f"e{first + i}" for i in range(len(labels))),
        labels=np.asarray(labels, np.int64),
        confidence=confidence,
        num_classes=classes,
        date=date,
        price_per_10k=price,
    )


def noisy(truth, wrong, generator):
    """The truth, with a share of answers drawn at random from all classes."""
    return np.where(generator.random(len(truth)) < wrong, generator.integers(0, 4, len(truth)), truth)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_against_its_definition(first, second):
    assert mcnemar(first, second) == pytest.approx(slow.mcnemar(first, second), rel=1e-9)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_against_its_definition(answers):
    sure, right = zip(*answers, strict=True)
    found = calibration(np.array(sure), np.array(right))
    assert found.error == pytest.approx(slow.expected_calibration_error(list(sure), list(right), BINS), abs=1e-9)
    assert sum(b.n for b in found.bins) == found.n == len(answers)
    assert all(b.low <= b.confidence <= b.high + 1e-12 for b in found.bins)


def test_a_calibrated_service_and_one_that_is_too_sure():
    generator = np.random.default_rng(0)
    sure = generator.uniform(0, 1, 20_000)
    honest = calibration(sure, generator.random(20_000) < sure)
    boasting = calibration(sure, generator.random(20_000) < 0.8 * sure)
    assert honest.error < 0.02
    assert boasting.interval.low < 0.1 < boasting.interval.high
    assert boasting.interval.high - boasting.interval.low < 0.03


def test_services_beside_each_other():
    truth = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    cheap = recording([0, 1, 2, 0, 1, 2, 3, 0], service="cheap", price=1.0)
    dear = recording([0, 1, 2, 3, 0, 1, UNANSWERED, 0], service="dear", price=10.0, confidence=np.full(8, 0.1))
    waste = recording([0, 1, 2, 0, 1, 2, UNANSWERED, 0], service="waste", price=20.0)
    found = compare(RecordedSet(name="D", truth=truth, recordings=(cheap, dear, waste)))
    assert [(one.name, one.right, one.unanswered) for one in found.services] == [
        ("cheap", 3, 0),
        ("dear", 6, 1),
        ("waste", 3, 1),
    ]
    assert found.best == ["cheap", "dear"]
    assert found.services[1].calibration.n == 7
    assert found.services[1].magnitudes == 1.0
    assert found.services[0].calibration is found.services[0].magnitudes is None
    assert [pair.same for pair in found.pairs] == [4, 7, 5]
    assert found.pairs[0].difference.difference == 3 / 8
    assert found.pairs[0].difference.p == mcnemar(0, 3) == 0.25
    assert found.pairs[0].holm == 0.75


def test_the_interval_of_a_paired_difference_covers():
    """Of samples with a known difference of 0.1 and correlated answers, about 95 in 100 intervals hold it."""
    generator = np.random.default_rng(0)
    cells = generator.multinomial(200, [0.5, 0.25, 0.15, 0.1], 600)
    held = 0
    for both, first, second, neither in cells:
        a = np.repeat([True, True, False, False], [both, first, second, neither])
        b = np.repeat([True, False, True, False], [both, first, second, neither])
        interval = paired_shares(b, a).interval
        held += interval.low <= 0.1 <= interval.high
    assert 0.93 < held / 600 < 0.98


@pytest.fixture(scope="module")
def dated():
    """A service that loses class 2 in its second period and changes nothing in its first and third."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 4, 2_000)
    old = noisy(truth, 0.3, generator)
    new = np.where((truth == 2) & (generator.random(2_000) < 0.5), 3, old)
    still = np.where(generator.random(2_000) < 0.01, generator.integers(0, 4, 2_000), new)
    names = {f"e{i}": int(label) for i, label in enumerate(truth)}
    recordings = [
        recording(labels, date=date) for labels, date in ((still, "22-1"), (old, "20-1"), (old, "20-6"), (new, "21-1"))
    ]
    return recordings, names


def test_when_and_what_changed(dated):
    first, second, third = changes(*dated)
    assert [(one.before, one.after) for one in (first, second, third)] == [
        ("20-1", "20-6"),
        ("20-6", "21-1"),
        ("21-1", "22-1"),
    ]
    assert (first.changed, first.holm, first.significant, first.moves) == (0, 1.0, [], [])
    assert second.holm < 1e-6
    assert second.significant == [2]
    assert second.accuracy.difference < 0
    assert second.moves[0][:2] == (2, 3)
    truth = np.array(list(dated[1].values()))
    old, new = dated[0][1].labels, dated[0][3].labels
    lost = int(((old == truth) & (new != truth)).sum())
    won = int(((old != truth) & (new == truth)).sum())
    assert second.accuracy.p == pytest.approx(slow.mcnemar(lost, won))
    assert second.accuracy.difference == (won - lost) / 2_000
    assert second.changed == int((old != new).sum())
    assert third.significant == []
    assert 0 < third.changed < 40


def test_a_change_of_nothing_is_seldom_called_one():
    """Answers drawn twice from one service: of 100 pairs of dates few have a significant class."""
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 4, 400)
    names = {f"e{i}": int(label) for i, label in enumerate(truth)}
    alarms = 0
    for _ in range(100):
        twice = [recording(noisy(truth, 0.3, generator), date=date) for date in ("20", "21")]
        (found,) = changes(twice, names)
        alarms += bool(found.significant)
    assert alarms <= 8


def test_only_examples_of_both_dates_count():
    truth = {f"e{i}": 0 for i in range(6)}
    old, new = recording([0, 1, 0], date="20"), recording([0, 0, 0, 0], date="21", first=1)
    (found,) = changes([new, old], truth)
    assert (found.n, found.left_out, found.changed, found.accuracy.difference) == (2, 3, 1, 0.5)


def test_what_cannot_be_compared():
    one = recording([0], date="20")
    with pytest.raises(UsageError, match="at least two dates"):
        changes([one], {"e0": 0})
    with pytest.raises(UsageError, match="the same date"):
        changes([one, one], {"e0": 0})
    with pytest.raises(UsageError, match="different services or data sets: S on D, T on D"):
        changes([one, recording([0], service="T", date="21")], {"e0": 0})
    with pytest.raises(DataError, match="no labelled example in common"):
        changes([one, recording([0], date="21", first=1)], {"e0": 0, "e1": 0})


def test_views(dated, tmp_path):
    view = service_views.changed("S", changes(*dated))
    assert "20-6 to 21-1: S changed" in view.notes[1]
    assert "became worse overall; classes whose accuracy changed: 2." in view.notes[1]
    assert "did not change significantly" in view.notes[0]
    page.write(tmp_path / "x.html", view)
    recordings, names = dated
    truth = np.array(list(names.values()))
    compared = service_views.compared([compare(RecordedSet(name="D", truth=truth, recordings=tuple(recordings)))])
    page.write(tmp_path / "y.json", compared)
    rows = json.loads((tmp_path / "y.json").read_text())["tables"][0]["rows"]
    assert [row["service"] for row in rows] == ["S 22-1", "S 20-1", "S 20-6", "S 21-1"]
    assert rows[1]["accuracy"] == np.mean(recordings[1].labels == truth)
    page.write(tmp_path / "y.html", compared)
    assert "D: agreement" in (tmp_path / "y.html").read_text()


@pytest.mark.data
def test_known_accuracies_and_agreements(real_data: Path):
    """Every set of FrugalML, against values computed elsewhere, to their last digit."""
    lines = (real_data / "frugalml" / "summary_accuracy_agreement.txt").read_text().splitlines()
    known = {line.split()[0]: line for line in lines}
    sets = load_sets(real_data / "frugalml")
    assert len(sets) == 10
    for recorded in sets:
        silent = tuple(Recording(**{**vars(one), "confidence": None}) for one in recorded.recordings)
        found = compare(RecordedSet(name=recorded.name, truth=recorded.truth, recordings=silent))
        line = known[recorded.name]
        assert found.n == int(line.split()[1])
        accuracies, agreements = (
            ast.literal_eval(match[1])
            for kind in ("acc", "agree")
            if (match := re.search(rf" {kind} ({{.*?}})", line)) is not None
        )
        assert {one.name: round(one.accuracy, 4) for one in found.services} == accuracies
        assert {f"{pair.first}~{pair.second}": round(pair.agreement, 3) for pair in found.pairs} == agreements
        assert all(one.price_per_10k is not None for one in found.services)
