import numpy as np
import pytest
import torch

from assay.access import Serving
from assay.base.errors import AccessError, BudgetError
from assay.methods.backdoor.inputs import detector
from assay.methods.backdoor.inputs.parts import divide
from assay.methods.backdoor.inputs.search import questions
from assay.methods.backdoor.inputs.strip import Strip
from methods.backdoor.inputs.quadrants import Quadrants, context_of, examine, oracle_of, pictures, stamped
from oracles.backdoor import entropy_bits


def test_finds_a_planted_patch_and_sees_it(tmp_path):
    finding, _ = examine(Strip(), tmp_path, Quadrants())
    assert finding.verdict.level == "high"
    assert finding.metric("trigger_success").value > 0.95
    assert finding.metric("rival_success").value < 0.2
    assert "white 2x2, bottom right" in finding.verdict.sentence
    assert "class 2" in finding.verdict.sentence
    assert finding.metric("strip_auroc").interval.low > 0.9
    assert finding.metric("strip_tpr_at_0.05").value > 0.9
    files = [file for figure in finding.figures if figure.kind == "gallery" for row in figure.files for file in row]
    assert files
    assert all((tmp_path / "artefacts" / file).exists() for file in files)


def test_says_that_a_clean_model_is_not_cleared(tmp_path):
    finding, _ = examine(Strip(), tmp_path, Quadrants(backdoored=False))
    assert finding.verdict.level == "undecided"
    assert "does not clear the model" in finding.verdict.sentence
    low, high = finding.metric("strip_frr_at_0.05").interval.low, finding.metric("strip_frr_at_0.05").interval.high
    assert low <= 0.05 <= high


def test_entropies_are_those_of_overlaid_images_over_classes(tmp_path):
    network, images = Quadrants(backdoored=False), pictures(20, 3)
    method, context = Strip(overlays=7), context_of(tmp_path)
    pool = pictures(9, 4).take(np.arange(9))
    found = method.measurements(oracle_of(tmp_path, network), images, pool, context, "these")
    drawn = torch.randint(9, (20, 7), generator=context.generator("strip: overlays of these"))
    posteriors = [
        [network(((image + pool[k]) / 2)[None]).softmax(1)[0].tolist() for k in row]
        for image, row in zip(images.take(np.arange(20)), drawn.tolist(), strict=True)
    ]
    assert np.allclose(found, entropy_bits(posteriors), atol=1e-5)


def test_asks_what_it_announces_and_is_refused_before_the_first_question(tmp_path):
    finding, oracle = examine(Strip(overlays=5), tmp_path, Quadrants(backdoored=False), count=200)
    parts = divide(200, 1000, torch.Generator())
    evaluated = len(parts.evaluation)
    most = questions(oracle, len(parts.screening), evaluated) + 5 * (len(parts.calibration) + 2 * evaluated)
    asked = oracle.ledger.images + oracle.ledger.duplicates
    of_target = evaluated - int(finding.samples.positive.sum())
    assert asked == most - 5 * of_target
    again = tmp_path / "again"
    again.mkdir()
    with pytest.raises(BudgetError, match=f"up to {most:,} images, and the budget leaves 40"):
        examine(Strip(overlays=5), again, Quadrants(), count=200, serving=Serving(budget=40))


def test_thresholds_come_from_the_calibration_images_alone(tmp_path, monkeypatch):
    measured = {}
    really = Strip.measurements

    def spy(self, oracle, images, pool, context, purpose):
        measured[purpose] = images.rows.tolist() if hasattr(images, "rows") else images.source.rows.tolist()
        return really(self, oracle, images, pool, context, purpose)

    monkeypatch.setattr(Strip, "measurements", spy)
    finding, _ = examine(Strip(), tmp_path, Quadrants())
    parts = divide(400, 1000, context_of(tmp_path).generator("input detectors: parts"))
    assert measured["calibration images"] == parts.calibration.tolist()
    clean = ~finding.samples.positive
    assert np.array_equal(finding.samples["row"][clean], parts.evaluation)
    assert not set(finding.samples["row"].tolist()) & set(parts.calibration.tolist())


def test_answers_with_labels_only_are_not_enough(tmp_path):
    with pytest.raises(AccessError, match="needs posteriors"):
        examine(Strip(), tmp_path, Quadrants(), serving=Serving(output="label"))


def test_a_clipped_sum_is_an_option(tmp_path):
    images, pool = pictures(10, 3), pictures(9, 4).take(np.arange(9))
    oracle, context = oracle_of(tmp_path, Quadrants()), context_of(tmp_path)
    blend, total = (Strip(overlay=how).measurements(oracle, images, pool, context, "x") for how in ("blend", "sum"))
    assert not np.allclose(blend, total)
    assert stamped(pool).max() == 1.0
    assert detector.InputDetector in Strip.__mro__
