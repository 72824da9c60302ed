"""Nothing that decides about the target was learned from it: not thresholds, options or classifiers."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import softmax

from assay.methods.membership import pooled_attack
from assay.methods.membership.pooled_attack import Pooled
from assay.methods.membership.quantile_attack import QuantileRegression
from assay.methods.membership.rmia import Likelihood, offline, rmia
from assay.methods.membership.rmia_attack import Rmia
from assay.targets.reference import load_target
from methods.membership import people
from oracles import membership as slow

TINY = {"models": 4, "architecture": "digits-mlp", "epochs": 3, "max_members": 60, "max_non_members": 60}


class Asked(NamedTuple):
    rows: set[int]
    scores: np.ndarray


@pytest.fixture
def placed(monkeypatch, tmp_path):
    """What a quantile regression measured, and whom it learned from, judged and calibrated by."""
    seen = {}

    def noted(self, own, own_scores, judged, context):
        seen["learned"] = Asked(set(own.rows.tolist()), own_scores)
        for name, (images, scores) in zip(("members", "judged", "last"), judged, strict=True):
            seen[name] = Asked(set(images.rows.tolist()), scores)
        return [scores.copy() for _, scores in judged]

    monkeypatch.setattr(QuantileRegression, "_places", noted)
    data = people.splits(100, 200)
    method = QuantileRegression(architecture="digits-mlp")
    found = method.measure(people.oracle(people.target(data), tmp_path), data, people.context(tmp_path))
    return method, found, seen


def test_quantiles_and_thresholds_come_from_non_members_that_are_not_judged(placed):
    _, found, seen = placed
    parts = [seen[name].rows for name in ("learned", "last", "judged")]
    assert [len(part) for part in parts] == [80, 20, 100]
    assert set.union(*parts) == set(range(200))
    assert (found.calibrating == seen["last"].scores).all()
    assert (found.places[1] == seen["judged"].scores).all()


def test_the_rates_of_a_quantile_regression_are_those_above_thresholds_of_the_calibrating(placed, tmp_path):
    method, found, _ = placed
    lifted = found._replace(calibrating=np.arange(20.0) + 100)
    assert method.account(lifted, people.context(tmp_path)).metric("found_at_0.05").value == 0
    lowered = found._replace(calibrating=np.arange(20.0) - 1000)
    finding = method.account(lowered, people.context(tmp_path))
    assert finding.metric("alarms_at_0.05").value == finding.metric("found_at_0.05").value == 1


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Members that are merely easier than others, for the target and for shadow models alike: another ``a`` is best."""
    folder, target = tmp_path_factory.mktemp("rmia"), load_target("starter/digits-cnn-overfitted")
    shadowed = Rmia(**TINY).shadow(people.oracle(target, folder), target.splits, people.context(folder))
    generator = np.random.default_rng(0)
    ease = generator.normal(0, 1, 120) + 1.5 * (np.arange(120) < 60)
    logits = np.zeros((4, 1, 120, 10), np.float32)
    logits[:, 0, np.arange(120), shadowed.labels] = ease + 2 * shadowed.inside + generator.normal(0, 0.5, (4, 120))
    posteriors = np.full((120, 1, 10), 0.01, np.float32)
    posteriors[np.arange(120), 0, shadowed.labels] = 0.1 + 0.1 / (1 + np.exp(-ease))
    return shadowed._replace(
        shadows=softmax(logits, axis=-1), posteriors=posteriors / posteriors.sum(axis=2, keepdims=True)
    )


def best_a(values, shadows, inside, members):
    aucs = {}
    for step in range(11):
        likelihood = offline(values, shadows, inside, step / 10)
        scores = rmia(likelihood, likelihood, 1.0)
        aucs[step / 10] = slow.auc(scores[members], scores[~members])
    return max(aucs, key=lambda a: aucs[a])


def test_rmia_is_tuned_on_the_first_shadow_model_and_not_on_the_target(known, tmp_path):
    method = Rmia(**TINY)
    target, shadows = (values[..., 0] for values in known.values(method._signal))
    honest = best_a(shadows[0], shadows[1:], known.inside[1:], known.inside[0])
    assert honest != best_a(target, shadows, known.inside, np.arange(120) < 60)
    found = method.scored(known, people.context(tmp_path)).variants["rmia_offline"]
    likelihood = offline(target, shadows, known.inside, honest)
    assert (found == rmia(likelihood, Likelihood(*likelihood), 1.0)).all()


def test_a_pooled_attack_is_calibrated_on_models_that_did_not_teach_it(known, tmp_path, monkeypatch):
    taught = []

    class Noted:
        def __init__(self, **_):
            pass

        def fit(self, x, y):
            taught.append((x, y))

        def decision_function(self, x):
            return x[:, 0]

    monkeypatch.setattr(pooled_attack, "HistGradientBoostingClassifier", Noted)
    found = Pooled(**TINY).scored(known, people.context(tmp_path))
    features = pooled_attack._Features(known)
    ((x, y),) = taught
    rows = {row.tobytes() for row in x}
    for model in (0, 2):
        assert rows >= {row.tobytes() for row in features.of_shadow(model)}
    assert (np.sort(y) == np.sort(known.inside[[0, 2]].ravel())).all()
    for number, model in enumerate((1, 3)):
        assert rows.isdisjoint({row.tobytes() for row in features.of_shadow(model)})
        assert (found.calibrating[0][number] == features.of_shadow(model)[:, 0]).all()
        assert (found.calibrating[1][number] == known.inside[model]).all()
    assert (found.variants["pooled"] == features.of_target()[:, 0]).all()
