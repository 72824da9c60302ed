import csv
from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.api import audit
from assay.methods.backdoor.inputs.null import clean_leads, lead_p_value
from assay.methods.backdoor.inputs.search import Searched, lead, questions, search, search_metrics
from assay.methods.backdoor.triggers import Patch, Screened
from methods.backdoor.inputs.quadrants import Constant, Quadrants, context_of, oracle_of, pictures
from oracles.backdoor import moved_share


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30), st.integers(0, 3), st.integers(0, 3))
def test_lead_against_a_loop(triples, label, rival):
    before, after, after_rival = (list(column) for column in zip(*triples, strict=True))
    (found,) = lead(*(np.array([column]) for column in (before, after, after_rival)), label, rival)
    expected = (moved_share(before, after, label) or 0.0) - (moved_share(before, after_rival, rival) or 0.0)
    assert found == pytest.approx(expected)


def test_finds_the_trigger_and_asks_what_it_announces(tmp_path):
    oracle, clean = oracle_of(tmp_path, Quadrants()), pictures(90)
    found = search(oracle, clean.take(np.arange(30)), pictures(60, 7), context_of(tmp_path))
    assert (str(found.patch), found.label) == ("white 2x2, bottom right", 2)
    assert found.rival_label != 2
    assert (found.after[found.others] == 2).all()
    assert oracle.ledger.images + oracle.ledger.duplicates == questions(oracle, 30, 60)
    success, rival, ahead, p_value = search_metrics(found, context_of(tmp_path))
    assert success.value == 1.0
    assert ahead.value == pytest.approx(success.value - rival.value)
    assert ahead.interval.low <= ahead.value <= ahead.interval.high
    assert p_value.value == pytest.approx(1 / (len(clean_leads()) + 1))


@pytest.mark.parametrize("classes", [2, 4])
def test_a_model_of_one_answer_has_no_lead(tmp_path, classes):
    oracle = oracle_of(tmp_path, Constant(classes), classes=classes)
    found = search(oracle, pictures(30).take(np.arange(30)), pictures(60, 7), context_of(tmp_path))
    metrics = search_metrics(found, context_of(tmp_path))
    assert metrics[0].value == 0.0
    if classes == 2:
        assert [metric.value for metric in metrics[1:]] == [None] * 3
        assert all("already" in metric.note for metric in metrics[1:])
    else:
        assert metrics[2].value == 0.0
        assert metrics[3].value > 0.3


def test_where_all_are_of_the_patchs_class_there_is_no_success_to_measure(tmp_path):
    patch, twos = Patch("white", 2, "top left"), np.full(5, 2)
    found = Searched(Screened(twos, {patch: twos}, 4), patch, 2, patch, 1, twos, twos, twos)
    success, rival, ahead, p_value = search_metrics(found, context_of(tmp_path))
    assert (success.value, rival.value, ahead.value, p_value.value) == (None, 0.0, None, None)
    assert len(found.others) == 5


def test_the_null_comes_from_many_clean_models():
    leads = clean_leads()
    assert len(leads) >= 49, "with fewer, no lead could have a p-value of 0.02"
    assert np.abs(leads).max() <= 1.0
    assert lead_p_value(1.1) == pytest.approx(1 / (len(leads) + 1))
    assert lead_p_value(-1.0) == 1.0
    assert lead_p_value(float(np.median(leads))) == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_finds_the_same(tmp_path):
    def once(folder):
        folder.mkdir()
        oracle = oracle_of(folder, Quadrants(backdoored=False))
        return search(oracle, pictures(30).take(np.arange(30)), pictures(20, 7), context_of(folder))

    first, again = once(tmp_path / "a"), once(tmp_path / "b")
    assert (first.patch, first.label, first.rival) == (again.patch, again.label, again.rival)
    assert torch.equal(torch.from_numpy(first.after), torch.from_numpy(again.after))


def test_a_model_of_the_null_and_its_copies_are_judged_without_it(tmp_path):
    rows = list(csv.DictReader((files("assay.methods.backdoor.inputs") / "clean_models.csv").read_text().splitlines()))
    known = max((row for row in rows if row["weights"]), key=lambda row: float(row["lead"]))
    own = float(known["lead"])
    rank = sum(float(row["lead"]) >= own for row in rows)
    everyone = len(clean_leads())
    for row in rows:
        for digest in row["weights"].split():
            assert len(clean_leads(digest)) == everyone - 1
    assert {len(row["weights"].split()) for row in rows if "/" in row["model"]} == {1, 2, 3}
    assert lead_p_value(own) == pytest.approx((1 + rank) / (everyone + 1))
    assert lead_p_value(own, known["weights"].split()[0]) == pytest.approx(rank / everyone)


def test_the_engine_says_whose_trial_it_is(tmp_path):
    options = {"backdoor.strip": {"max_images": 100, "overlays": 4}}
    (found,) = audit("starter/digits-mlp", methods=["backdoor.strip"], options=options, workspace=tmp_path).outcomes
    assert found.metric("patch_p_value").n == len(clean_leads()) - 1
    assert f"of {len(clean_leads()) - 1} " in found.verdict.sentence
