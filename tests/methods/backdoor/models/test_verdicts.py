"""Verdicts of model detectors from measurements made up: what decides, and what raises nothing."""

import numpy as np
import pytest
import torch

from assay.methods.backdoor.models import inversion_method, mm_bd, scan_report
from assay.methods.backdoor.models.batch_norm import Layer, RunningMeans
from assay.methods.backdoor.models.channel_noise import Noise
from assay.methods.backdoor.models.clean import Clean
from assay.methods.backdoor.models.evidence import RUNNING_MEANS, Evidence, Scanned, SurplusEffect, TriedTrigger
from assay.methods.backdoor.models.margins import Margins
from assay.methods.backdoor.models.mm_bd import MarginsFound, MmBd
from assay.methods.backdoor.models.neural_cleanse import NeuralCleanse
from assay.methods.backdoor.models.null import ALPHA, CleanModel, Kind
from assay.methods.backdoor.models.outliers import OWN_NULL, anomaly_indices, leads
from assay.methods.backdoor.models.results import Inverted
from assay.methods.backdoor.models.scan import Scan
from assay.methods.check import check_finding
from methods.backdoor.models.toys import context_of

SIZES = np.array([3.0, 50, 55, 60, 52, 58, 49, 61, 57, 54])
"""Of ten triggers, the first an outlier by the index."""


def kind_of(labels):
    return Kind(labels=labels, channels=1, side=8)


def null_of(detector, labels, names, largest=0.5):
    random = np.random.default_rng(1)
    rows = [{name: largest * random.random() for name in names} for _ in range(40)]
    return {detector: [CleanModel(model=str(i), kind=kind_of(labels), statistics=row) for i, row in enumerate(rows)]}


def clean_of(labels):
    return Clean(torch.zeros(4, 1, 8, 8), torch.zeros(40, 1, 8, 8), np.zeros(4, int), np.arange(40) % labels)


class Finished:
    """What a report asks of a search."""

    def __init__(self, count):
        self.labels, self.success, self.rounds = np.arange(count), np.ones(count), np.ones(count, int)

    def stamped(self, images, arm):
        return images

    def mask(self, arm):
        return torch.zeros(1, 8, 8)


def inverted(works, sizes=SIZES):
    count = len(sizes)
    moved = np.arange(36) < (36 if works else 4)
    return Inverted(
        Finished(count), np.arange(count), sizes, leads(sizes), anomaly_indices(sizes), "image", 64, moved,
        clean_of(count), kind_of(count), 0,
    )  # fmt: skip


def scanned(works, labels=10, others=(), surplus=None, noise=None, rows=None, missing=()):
    """Patches of these sizes, and ``others``: kinds of evidence by their name and the label that stands out."""
    sizes = np.resize(SIZES, labels)
    sizes[10:] += np.linspace(0.1, 1, labels)[10:]
    patch = Evidence(
        "patch", "", np.arange(labels), leads(sizes), sizes, [torch.clone] * labels, anomaly_indices(sizes)
    )
    evidence = [patch]
    for name, label in others:
        strength = np.where(np.arange(labels) == label, 3.0, 0.0)
        evidence.append(Evidence(name, "", np.arange(labels), strength, strength, [torch.clone] * labels))
    moved = np.arange(36) < (36 if works else 4)
    tested = {e.name: TriedTrigger(e.name, e.label, torch.clone, moved) for e in evidence}
    noise = noise or Noise(np.arange(labels), np.full(labels, np.nan), np.ones(labels, bool), 0, kind_of(labels), 0)
    return Scanned(evidence, tested, surplus, clean_of(labels), kind_of(labels), 0, noise, rows, list(missing))


def found_by(method, module, result, null, folder, monkeypatch):
    monkeypatch.setattr(module, "shipped_nulls", lambda: null)
    return check_finding(method.account(result, context_of(folder)), method.name, folder)


CASES = [("backdoor.neural_cleanse", "lead"), ("backdoor.scan", "patch")]


def account(detector, works, null, folder, monkeypatch, labels=10):
    if detector == "backdoor.scan":
        return found_by(Scan(), scan_report, scanned(works, labels), null, folder, monkeypatch)
    return found_by(NeuralCleanse(), inversion_method, inverted(works, SIZES[:labels]), null, folder, monkeypatch)


@pytest.mark.parametrize(("detector", "statistic"), CASES)
def test_without_a_null_the_papers_index_raises_nothing(detector, statistic, tmp_path, monkeypatch):
    for works in (True, False):
        finding = account(detector, works, {}, tmp_path, monkeypatch)
        assert finding.metric("anomaly_index").value > 2
        assert finding.verdict.level == "undecided"
        assert finding.verdict.metric == "anomaly_index"
        assert finding.metric("anomaly_index").position > 1
        assert "There is no p-value" in finding.verdict.sentence
        assert "flags about a third of clean models" in finding.verdict.sentence
    finding = account(detector, True, {}, tmp_path, monkeypatch, labels=4)
    assert (finding.verdict.level, finding.verdict.metric) == ("undecided", "p_value")


@pytest.mark.parametrize(("detector", "statistic"), CASES)
@pytest.mark.parametrize(
    ("works", "largest", "level"), [(True, 0.5, "high"), (False, 0.5, "elevated"), (True, 9, "low")]
)
def test_the_p_value_decides_where_there_is_one(detector, statistic, works, largest, level, tmp_path, monkeypatch):
    null = null_of(detector, 10, [statistic], largest)
    finding = account(detector, works, null, tmp_path, monkeypatch)
    weak = level == "low" and detector != "backdoor.scan"
    expected = ("undecided" if weak else level, "p_value", weak)
    verdict = finding.verdict
    assert (verdict.level, verdict.metric, verdict.weak) == expected, verdict.sentence
    p_value = finding.metric("p_value")
    assert (p_value.position >= 1) is (level != "low")
    assert (p_value.value <= ALPHA) is (level != "low")
    assert finding.samples.part == "labels"
    assert finding.samples.row.tolist() == list(range(10))


@pytest.mark.parametrize(("labels", "level"), [(10, "undecided"), (OWN_NULL - 1, "undecided"), (OWN_NULL, "elevated")])
def test_a_models_own_labels_are_a_null_only_where_they_are_many(labels, level, tmp_path, monkeypatch):
    values = np.append(np.random.default_rng(0).gamma(20, size=labels - 1), 200.0)
    margins = Margins(values, torch.zeros(labels, 1, 8, 8))
    result = MarginsFound(margins, True, kind_of(labels), 0)
    finding = found_by(MmBd(), mm_bd, result, {}, tmp_path, monkeypatch)
    assert finding.metric("gamma_p_value").value < ALPHA
    assert (finding.verdict.level, finding.verdict.metric) == (level, "gamma_p_value")
    if labels == 10:
        finding = found_by(MmBd(), mm_bd, result, null_of("backdoor.mm_bd", 10, ["lead"]), tmp_path, monkeypatch)
        assert (finding.verdict.level, finding.verdict.metric) == ("high", "p_value")


@pytest.mark.parametrize(
    ("kind", "supporter", "level"),
    [
        ("overlay", None, "undecided"),
        ("warp", None, "undecided"),
        ("wave", None, "high"),
        ("overlay", 5, "undecided"),
        ("overlay", 6, "high"),
        ("warp", 6, "high"),
    ],
)
def test_an_overlay_or_warp_needs_other_evidence_for_its_label(kind, supporter, level, tmp_path, monkeypatch):
    """As large ones move most images of clean networks too."""
    others = [(kind, 6)] + ([] if supporter is None else [("channel_noise", supporter)])
    null = null_of("backdoor.scan", 10, [kind], 0.3)
    for place, model in enumerate(null["backdoor.scan"]):
        model.statistics["patch"] = 2.0 + 0.1 * (place % 9)
        if supporter is not None:
            model.statistics["channel_noise"] = 0.5 + 0.5 * (place % 7)
    finding = found_by(Scan(), scan_report, scanned(True, others=others), null, tmp_path, monkeypatch)
    assert finding.metric("p_value").value <= ALPHA
    assert (finding.verdict.level, finding.verdict.metric) == (level, "p_value"), finding.verdict.sentence
    assert ("Some clean networks have such" in finding.verdict.sentence) is (level == "undecided")
    assert ("channel noise names it too" in finding.verdict.sentence) is (supporter == 6)


@pytest.mark.parametrize(("distance", "level"), [(1.0, "low"), (300.0, "undecided")])
@pytest.mark.parametrize("moves", [True, False])
def test_running_means_alone_never_accuse(distance, level, moves, tmp_path, monkeypatch):
    means = RunningMeans("as they are", [Layer("normalisation 1", distance, torch.zeros(3))], slack=1.5)
    surplus = SurplusEffect(means, 3, np.full(36, moves))
    null = null_of("backdoor.scan", 10, ["patch"], 9)
    for place, model in enumerate(null["backdoor.scan"]):
        model.statistics[RUNNING_MEANS] = 0.1 * (place % 5)
    finding = found_by(Scan(), scan_report, scanned(True, surplus=surplus), null, tmp_path, monkeypatch)
    assert (finding.metric("running_means_p_value").value <= ALPHA) is (level == "undecided")
    assert finding.metric("p_value").value > ALPHA
    assert finding.verdict.level == level
    assert finding.verdict.metric == ("p_value" if level == "low" else "running_means_p_value")


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    null = null_of("backdoor.scan", 10, ["patch"], 9)
    result = scanned(True, missing=["It has no batch normalisation: this is missing."])
    finding = found_by(Scan(), scan_report, result, null, tmp_path, monkeypatch)
    assert (finding.verdict.level, finding.verdict.weak) == ("undecided", False)
    assert "It has no batch normalisation: this is missing." in finding.verdict.sentence


@pytest.mark.parametrize(("stands_out", "works", "level"), [(0, 1, "low"), (1, 1, "high"), (1, 0, "elevated")])
def test_many_labels_are_the_scans_null_where_no_networks_are(stands_out, works, level, tmp_path, monkeypatch):
    random, labels = np.random.default_rng(4), OWN_NULL
    rows = random.normal(size=labels)
    lengths = np.exp(random.normal(size=labels))
    if stands_out:
        lengths[7] = 1e-4
    noise = Noise(np.arange(labels), lengths, np.ones(labels, bool), 30, kind_of(labels), 0)
    others = [("channel_noise", 7), ("last_layer", int(rows.argmax()))]
    result = scanned(works, labels, others, noise=noise, rows=rows)
    finding = found_by(Scan(), scan_report, result, {}, tmp_path, monkeypatch)
    assert finding.metric("p_value").value is None
    assert (finding.verdict.level, finding.verdict.metric) == (level, "own_p_value"), finding.verdict.sentence
    alone = scan_report.own_p_value(noise.values, noise.drawn, labels).value
    if stands_out:
        assert finding.metric("own_p_value").value == pytest.approx(2 * alone)
