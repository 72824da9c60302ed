import math

import numpy as np
import pytest

from assay.access import Answers
from assay.methods.stealing.bandit import GradientBandit, Rescaled
from assay.methods.stealing.strategies import parse_strategy
from assay.methods.stealing.strategies.knockoff import _Rewards, _sure


def test_two_steps_by_hand():
    bandit = GradientBandit(2)
    bandit.learn(0, 0.4)
    assert bandit.preferences.tolist() == [0.0, 0.0], "the first reward is its own baseline"
    bandit.learn(0, 1.0)  # baseline 0.4, pi = (1/2, 1/2), second draw of arm 0: a step of 0.6 / 2
    assert bandit.preferences.tolist() == pytest.approx([0.15, -0.15])
    share = 1 / (1 + math.exp(-0.3))
    assert bandit.probabilities().tolist() == pytest.approx([share, 1 - share])
    bandit.learn(1, 0.2)  # baseline 0.7, first draw of arm 1: a step of -0.5
    assert bandit.preferences.tolist() == pytest.approx([0.15 + 0.5 * share, -0.15 - 0.5 * share])


def test_the_baseline_forgets():
    bandit = GradientBandit(2, window=2)
    for reward in (9.0, 1.0, 1.0):
        bandit.learn(0, reward)
    before = bandit.preferences.copy()
    bandit.learn(1, 1.0)
    assert np.array_equal(bandit.preferences, before)


def test_closed_arms_are_neither_drawn_nor_moved():
    bandit = GradientBandit(3)
    bandit.preferences[:] = [1.0, 50.0, 1.0]
    bandit.open[1] = False
    assert bandit.probabilities().tolist() == [0.5, 0.0, 0.5]
    bandit.learn(0, 0.0)
    bandit.learn(0, 1.0)
    assert bandit.preferences.tolist() == pytest.approx([1.25, 50.0, 0.75])


def test_a_better_arm_is_preferred_in_the_long_run():
    random = np.random.default_rng(0)
    bandit = GradientBandit(4)
    for _ in range(2_000):
        arm = int(random.choice(4, p=bandit.probabilities()))
        bandit.learn(arm, float(random.normal(0.8 if arm == 2 else 0.2, 0.1)))
    assert bandit.probabilities().argmax() == 2


def test_rescaling_is_by_the_recent_range():
    rescaled = Rescaled(3)
    assert [rescaled(value) for value in (5.0, 7.0, 6.0, 6.5, 0.0)] == [0.0, 1.0, 0.5, 0.5, 0.0]


def test_rewards_by_hand():
    rewards = _Rewards(parse_strategy("knockoff"))
    first, second = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.6, 0.3])
    guess = np.log([0.2, 0.5, 0.3])
    assert rewards(first, guess) == 0.0, "one value has no range"
    # certainty 0.5 then 0.3 -> 0; diversity 0 then 0.4 + 0.2 -> 1; loss 1.386 then 0.938 -> 0
    assert rewards(second, guess) == pytest.approx(1 / 3)
    only = _Rewards(parse_strategy("knockoff:certainty=false,loss=false"))
    assert [only(first, guess), only(second, guess)] == [0.0, 1.0]


def test_the_loss_that_is_rewarded_is_the_surrogates_on_the_answer():
    """Answers that a surrogate is sure to be wrong about are rewarded most, however sure it is."""
    rewards = _Rewards(parse_strategy("knockoff:certainty=false,diversity=false"))
    sure, answers = np.log([0.9, 0.05, 0.05]), np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.5, 0.45, 0.05]])
    losses = -(answers * sure).sum(axis=1)
    assert rewards(answers[0], sure) == 0.0
    assert rewards(answers[1], sure) == 1.0
    expected = (losses[2] - losses[0]) / (losses[1] - losses[0])
    assert rewards(answers[2], sure) == pytest.approx(expected)


def test_labels_count_as_sure_posteriors():
    assert _sure(Answers(np.array([2, 0]), None), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
