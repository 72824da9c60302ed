import numpy as np
import pytest
import torch

from assay.access import Serving
from assay.base.errors import DataError
from assay.base.intervals import delong_auc
from assay.methods.membership.mlp_attack import RECIPE, MlpAttack, features, learned_scores
from methods.membership import people
from oracles import membership as slow

CPU = torch.device("cpu")


def rows(n, pull, seed):
    return -np.sort(-people.answer(people.part(n, pull, seed, "rows").images), axis=1)


def quarters(members, non_members):
    known = rows(members, 4.0, 1), rows(non_members, 1.0, 2)
    judged = rows(1500, 4.0, 3), rows(1500, 1.0, 4)
    return known, judged


@pytest.mark.parametrize(("members", "non_members"), [(600, 600), (1200, 200)])
def test_the_fast_attack_is_as_good_as_the_plain_one(members, non_members):
    known, judged = quarters(members, non_members)
    fast, plain = [], []
    for seed in range(2):
        fast.append(delong_auc(*learned_scores(known, judged, recipe=RECIPE, seed=seed, device=CPU)).value)
        plain.append(delong_auc(*slow.mlp_scores(known, judged, seed)).value)
    assert np.mean(plain) > 0.6
    assert np.mean(fast) == pytest.approx(np.mean(plain), abs=0.02)


def test_scores_are_balanced_however_few_non_members_there_are():
    """Both kinds weigh the same, so that 0 separates them though known members are seven to one."""
    known, judged = quarters(1400, 200)
    _, non_members = learned_scores(known, judged, recipe=RECIPE, seed=0, device=CPU)
    assert 0.15 < (non_members > 0).mean() < 0.6


def test_what_the_attack_sees(tmp_path):
    data = people.splits(30, 30)
    part = MlpAttack().ask(people.oracle(people.target(data), tmp_path), data, people.context(tmp_path)).members
    full = features(part, "mlp_full")
    assert full.shape == (30, people.CLASSES)
    assert (np.diff(full, axis=1) <= 0).all()
    assert np.sort(full[4]) == pytest.approx(np.sort(people.answer(data.members.images[4:5])[0]))
    assert (features(part, "mlp_top_3") == full[:, :3]).all()
    right = features(part, "mlp_full_and_correctness")[:, -1]
    assert (right == (part.answers.labels == data.members.labels)).all()
    assert 0 < right.mean() < 1


def test_judged_samples_were_never_trained_on(tmp_path, monkeypatch):
    """Half of each kind is judged; a network that remembers its training rows gains nothing by it."""
    data = people.splits(201, 100)
    found = MlpAttack().run(people.oracle(people.target(data), tmp_path), data, people.context(tmp_path))
    assert found.samples.positive.sum() == 101
    assert len(found.samples.positive) == 151
    assert found.metric("auc_mlp_full").n == 151
    assert found.verdict.metric == "auc_mlp_full"
    null = people.splits(400, 400, pull=1.0)
    interval = (
        MlpAttack()
        .run(people.oracle(people.target(null), tmp_path), null, people.context(tmp_path))
        .metric("auc_mlp_full")
        .interval
    )
    assert interval.low < 0.5 < interval.high


def test_top_k_answers_are_enough(tmp_path):
    data = people.splits(100, 100)
    served = people.oracle(people.target(data), tmp_path, Serving(output="top-k", top_k=3))
    found = MlpAttack().run(served, data, people.context(tmp_path))
    full = MlpAttack().run(people.oracle(people.target(data), tmp_path), data, people.context(tmp_path))
    assert found.metric("auc_mlp_top_3").value == pytest.approx(full.metric("auc_mlp_top_3").value, abs=0.05)
    assert found.metric("auc_mlp_top_3").value > 0.55


def test_too_few_samples_are_refused(tmp_path):
    data = people.splits(50, 3)
    with pytest.raises(DataError, match="at least 4"):
        MlpAttack().run(people.oracle(people.target(data), tmp_path), data, people.context(tmp_path))
