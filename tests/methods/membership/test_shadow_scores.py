import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.methods.membership.lira import lira_carlini_code, lira_offline, lira_online
from assay.methods.membership.rmia import Likelihood, offline, online, rmia, rmia_vote, tuned_a
from assay.methods.membership.shadows import medians
from oracles import membership as slow


@st.composite
def worlds(draw, fewest=2):
    """Target values (examples, queries), shadow values (models, examples, queries) and memberships."""
    models, examples, queries = draw(st.integers(2 * fewest, 8)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    inside = generator.random((models, examples)) < draw(st.sampled_from([0.3, 0.5]))
    for i in range(examples):
        order = generator.permutation(models)
        inside[order[:fewest], i], inside[order[fewest : 2 * fewest], i] = True, False
    shadows = generator.normal(0, 1, (models, examples, queries)) + 2 * inside[:, :, None]
    target = generator.normal(1, 2, (examples, queries))
    if draw(st.booleans()):
        shadows, target = np.round(shadows, 1), np.round(target, 1)
    return target, shadows, inside


def whole_deviations(shadows, inside):
    return all(
        slow.deviation(shadows[inside[:, i] == kind, i, q]) > 1e-6
        for i in range(inside.shape[1])
        for q in range(shadows.shape[2])
        for kind in (True, False)
    )


@given(worlds(), st.booleans())
def test_lira_equals_the_slow_reference(world, fixed):
    target, shadows, inside = world
    if not fixed and not whole_deviations(shadows, inside):
        return
    found = lira_online(target, shadows, inside, fixed_variance=fixed)
    assert found == pytest.approx(slow.lira(target, shadows, inside, True, fixed), rel=1e-9, abs=1e-9)
    near = np.clip(target, -3, 3)
    tail = lira_offline(near, shadows, inside, fixed_variance=True)
    if tail.max() < 200:  # the reference's tail has no digits left from about 700
        assert tail == pytest.approx(slow.lira(near, shadows, inside, False, True), rel=1e-7, abs=1e-9)


def test_one_query_may_go_without_its_axis():
    generator = np.random.default_rng(0)
    target, shadows = generator.normal(size=5), generator.normal(size=(8, 5))
    inside = np.arange(8)[:, None] % 2 == np.arange(5) % 2
    for score in (lira_online, lira_offline, lira_carlini_code):
        assert (score(target, shadows, inside) == score(target[:, None], shadows[..., None], inside)).all()
        assert score(target, shadows, inside).shape == (5,)


@pytest.mark.parametrize("score", [lira_online, lira_offline, lira_carlini_code])
@pytest.mark.parametrize("fixed", [False, True])
def test_scores_do_not_depend_on_the_block(score, fixed, monkeypatch):
    generator = np.random.default_rng(6)
    target, shadows = generator.normal(size=(30, 2)), generator.normal(size=(9, 30, 2))
    inside = generator.random((9, 30)) < 0.5
    inside[:2], inside[2:4] = True, False
    whole = score(target, shadows, inside, fixed_variance=fixed)
    monkeypatch.setattr("assay.methods.membership.shadows.BLOCK", 4)
    assert (score(target, shadows, inside, fixed_variance=fixed) == whole).all()


def test_the_offline_score_is_the_papers_probability_where_that_has_digits_left():
    generator = np.random.default_rng(1)
    target, shadows = generator.normal(0, 2, 200), generator.normal(size=(16, 200))
    nowhere = np.zeros((16, 200), bool)
    found = lira_offline(target, shadows, nowhere)
    paper = scipy.stats.norm.cdf(target, np.median(shadows, 0), shadows.std(0))
    assert 1 - np.exp(-found) == pytest.approx(paper, abs=1e-12)
    assert (np.diff(lira_offline(np.linspace(-30, 300, 200), shadows[:, :1].repeat(200, 1), nowhere)) > 0).all()


def test_the_released_code_is_two_sided_where_the_paper_is_not():
    generator = np.random.default_rng(2)
    shadows = generator.normal(size=(16, 1)).repeat(3, axis=1)
    nowhere = np.zeros((16, 3), bool)
    target = np.array([-9.0, 0.0, 9.0])
    paper, code = lira_offline(target, shadows, nowhere), lira_carlini_code(target, shadows, nowhere, online=False)
    assert paper[0] < paper[1] < paper[2]
    assert code[1] < min(code[0], code[2])


@pytest.mark.parametrize("score", [lira_online, lira_offline, lira_carlini_code])
def test_too_few_shadow_models_and_odd_values_are_refused(score):
    target, shadows = np.zeros(3), np.zeros((4, 3))
    inside = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], bool)
    with pytest.raises(DataError, match=r"has 1 shadow models not trained on it; at least 2"):
        score(target, shadows, inside)
    with pytest.raises(DataError, match="disagree"):
        score(target, shadows[:, :2], inside)
    with pytest.raises(DataError, match="NaN or infinity"):
        score(np.array([0.0, np.inf, 0.0]), shadows, inside)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9))
def test_medians(values):
    assert medians(np.array([values, values])).tolist() == [np.median(values)] * 2


probability = st.floats(0.01, 1.0)


@given(
    st.lists(probability, min_size=1, max_size=12),
    st.lists(probability, min_size=1, max_size=12),
    st.sampled_from([1.0, 2.0]),
)
def test_sorted_rmia_equals_all_pairs_with_ties(x, z, gamma):
    x, z = np.round(x, 2), np.round(z, 2)
    found = rmia(Likelihood(x, np.ones_like(x)), Likelihood(z, np.ones_like(z)), gamma)
    assert found.tolist() == slow.rmia(x[:, None], z[:, None], gamma)


@given(worlds(), worlds(), st.sampled_from([1.0, 2.0]))
def test_rmia_by_vote_equals_all_pairs(x, z, gamma):
    queries = min(x[0].shape[1], z[0].shape[1])
    ratios = [np.exp(world[0][:, :queries]) for world in (x, z)]
    found = rmia_vote(*(Likelihood(ratio, np.ones_like(ratio)) for ratio in ratios), gamma)
    assert found.tolist() == slow.rmia(*ratios, gamma)
    if queries == 1:
        flat = (Likelihood(ratio[:, 0], np.ones(len(ratio))) for ratio in ratios)
        assert found.tolist() == rmia(*flat, gamma).tolist()


def test_votes_do_not_depend_on_the_block(monkeypatch):
    generator = np.random.default_rng(0)
    x, z = (Likelihood(generator.random((n, 3)), np.ones((n, 3))) for n in (50, 40))
    whole = rmia_vote(x, z, 1.0)
    monkeypatch.setattr("assay.methods.membership.rmia.BLOCK", 100)
    assert (rmia_vote(x, z, 1.0) == whole).all()


@given(worlds(1), st.floats(0, 1))
def test_marginals_by_hand(world, a):
    target, shadows, inside = (1 / (1 + np.exp(-world[0])), 1 / (1 + np.exp(-world[1])), world[2])
    out, both = offline(target, shadows, inside, a), online(target, shadows, inside)
    for i in range(len(target)):
        for q in range(target.shape[1]):
            outside = shadows[~inside[:, i], i, q].mean()
            trained = shadows[inside[:, i], i, q].mean()
            assert out.marginal[i, q] == pytest.approx(((1 + a) * outside + 1 - a) / 2)
            assert both.marginal[i, q] == pytest.approx((trained + outside) / 2)
    assert (out.ratio == target / out.marginal).all()
    flat = offline(target[:, 0], shadows[:, :, 0], inside, a)
    assert flat.marginal == pytest.approx(out.marginal[:, 0])


def test_a_trimmed_mean_leaves_out_both_ends():
    shadows = np.array([0.1, 0.4, 0.5, 0.6, 1.0])[:, None]
    found = offline(np.array([0.5]), shadows, np.zeros((5, 1), bool), a=1.0, trim=0.2)
    assert found.marginal[0] == pytest.approx(0.5)


def test_zero_probabilities_are_refused():
    with pytest.raises(DataError, match="zero or negative"):
        offline(np.array([0.0]), np.array([[0.5]]), np.array([[False]]), 0.3)


def test_the_best_a_is_found_by_auc():
    """Memorised examples differ in how far OUT models fall below IN models; any a may be the best, by exhaustion."""
    generator = np.random.default_rng(3)
    hard = generator.random(400)
    members = generator.random(400) < 0.5
    signal = np.clip(1 - hard * np.where(members, 0.2, 0.8) * generator.random(400), 0.01, 1)
    others = np.clip(1 - 0.8 * hard * generator.random((3, 400)), 0.01, 1)
    z_signal, z_others = generator.uniform(0.2, 1, 150), generator.uniform(0.2, 1, (3, 150))
    x, z = (signal, others, np.zeros((3, 400), bool)), (z_signal, z_others, np.zeros((3, 150), bool))
    aucs = {}
    for step in range(11):
        scores = rmia(offline(*x, step / 10), offline(*z, step / 10), 1.0)
        aucs[step / 10] = slow.auc(scores[members], scores[~members])
    assert len(set(aucs.values())) > 3
    assert tuned_a(x, z, members, 1.0) == max(aucs, key=lambda a: aucs[a])


def test_lira_finds_members_that_a_global_threshold_misses():
    generator = np.random.default_rng(4)
    ease = generator.normal(0, 5, 600)
    members = np.arange(600) < 300
    inside = np.argsort(generator.random((16, 600)), axis=0) < 8
    shadows = ease + 2 * inside + generator.normal(size=(16, 600))
    target = ease + 2 * members + generator.normal(size=600)
    scores = lira_online(target, shadows, inside, fixed_variance=True)
    assert slow.auc(scores[members], scores[~members]) > 0.85
    assert slow.auc(target[members], target[~members]) < 0.7
    assert math.isfinite(scores.sum())
