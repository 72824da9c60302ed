"""Our scores beside those of checkouts named by ASSAY_PEERS (see `published`): the largest difference is 1e-9.

`methods/membership/test_parity.py` has more such comparisons, and their stored vectors.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.methods.membership.lira import lira_offline
from assay.methods.membership.logits import scaled_logit, softmax_confidence
from assay.methods.membership.rmia import Likelihood, offline, online, rmia, rmia_vote
from benchmarks.membership import published
from benchmarks.membership.contestants import CONTESTANTS
from benchmarks.membership.peers import CONTESTS, furthest

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif("ASSAY_PEERS" not in os.environ, reason="needs published implementations: set ASSAY_PEERS"),
]


@pytest.fixture
def folder():
    return Path(os.environ["ASSAY_PEERS"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name, contest in CONTESTS.items() if contest.apart <= 1e-9])
def test_contestants_find_the_same(name, seed, folder):
    contest = CONTESTS[name]
    arrays = contest.arrays(np.random.default_rng(100 + seed), 0.02)
    ours, theirs = (CONTESTANTS[who](arrays, folder)() for who in (contest.ours[0], contest.peer))
    assert set(ours) == set(theirs)
    assert furthest(ours, theirs) <= 1e-9


@pytest.mark.parametrize("queries", [1, 3, 4])
@pytest.mark.parametrize("attack", ["online", "offline", "offline, trimmed"])
def test_rmia_equals_the_code_of_the_paper(attack, queries, folder, tmp_path):
    """Gamma 2; a pair counts where most queries say so. The population's own scores, which it corrects, stay out.

    Shares of a population of 128 are exact in the float32 that it hands out.
    """
    random = np.random.default_rng(queries)
    examples, models, population = 428, 10, np.arange(300, 428)
    inside = np.argsort(random.random((models, examples)), axis=0) < models // 2
    ease = random.beta(1, 1, (1, examples, 1))
    shadows = np.clip(ease + 0.2 * inside[:, :, None] + random.normal(0, 0.1, (models, examples, queries)), 0.01, 1)
    target = np.clip(ease[0] + random.normal(0, 0.2, (examples, queries)), 0.01, 1)
    trim = 0.2 * attack.endswith("trimmed")
    module = published.meter_research(folder)
    module.log_dir, module.model_index = tmp_path, 0
    settings = {
        "num_ref_models": models, "nb_augmentation": queries, "top_k": -1, "gamma": 2.0, "offline_a": 0.3,
        "offline": str(attack != "online"), "proportiontocut": trim, "report_log": ".",
        "augmentation": "augmented" if queries > 1 else "none",
    }  # fmt: skip
    theirs, _ = module.aggregate_signals(
        "softmax_relative", np.zeros(examples, bool), torch.from_numpy(target), np.arange(examples),
        torch.from_numpy(inside), torch.from_numpy(shadows), population, {"audit": settings},
    )  # fmt: skip

    def likelihood(rows):
        parts = (target[rows], shadows[:, rows], inside[:, rows])
        if queries == 1:
            parts = (parts[0][:, 0], parts[1][:, :, 0], parts[2])
        return online(*parts) if attack == "online" else offline(*parts, a=0.3, trim=trim)

    score = rmia_vote if queries > 1 else rmia
    ours = score(likelihood(np.arange(300)), likelihood(population), gamma=2.0)
    assert len(np.unique(ours)) > 15
    assert np.abs(ours + theirs[0, :300]).max() <= 1e-9


def test_the_scaled_logit_equals_that_of_the_authors_and_of_leakpro(folder, tmp_path):
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 6, (500, 1, 2, 10)), random.integers(0, 10, 500)
    authors = published.lira_phi(folder, logits, labels, tmp_path)
    ours = scaled_logit(logits[:, 0], labels[:, None])
    assert np.abs(ours - authors).max() <= 1e-9
    leakpro = published.leakpro(folder, "LiRA").rescale_logits(logits[:, 0, 0].copy(), labels)
    assert np.abs(ours[:, 0] - leakpro).max() <= 1e-9


def test_rmia_online_equals_leakpro_where_each_example_is_in_half_of_the_models(folder):
    """It averages over all models; ours over IN and OUT models, half and half."""
    arrays = CONTESTS["rmia"].arrays(np.random.default_rng(2), 0.01)
    attack = published.leakpro(folder, "RMIA")
    attack.ground_truth_indices, attack.logits_theta = arrays["labels"], arrays["target"]
    attack.logits_shadow_models, attack.online, attack.gamma, attack.temperature = arrays["shadows"], True, 2.0, 1.0
    attack.epsilon, attack.ratio_z = 0.0, np.atleast_2d(arrays["z_given"] / arrays["z_marginal"])
    attack.audit_dataset = {"in_members": np.arange(len(arrays["labels"])), "out_members": np.arange(0)}
    attack._run_attack()
    target, shadows = (softmax_confidence(arrays[name], arrays["labels"]) for name in ("target", "shadows"))
    population = Likelihood(arrays["z_given"], arrays["z_marginal"])
    ours = rmia(online(target, shadows, arrays["inside"]), population, gamma=2.0)
    assert len(np.unique(ours)) > 20
    assert np.abs(ours - attack.in_member_signals[:, 0]).max() <= 1e-9


def test_leakpros_offline_score_is_the_probability_whose_complement_ours_takes(folder):
    """It hands out log(1 - p), we hand out -log p, of the paper's p: the same order, other digits."""
    arrays = CONTESTS["lira"].arrays(np.random.default_rng(1), 0.01)
    attack = published.leakpro(folder, "LiRA")
    attack.shadow_models_logits, attack.target_logits = arrays["shadows"], arrays["target"]
    attack.out_indices, attack.online, attack.num_shadow_models = ~arrays["inside"], False, 64
    attack.var_calculation, attack.fix_var_threshold = "carlini", 32
    attack.audit_dataset = {"in_members": np.arange(len(arrays["target"])), "out_members": np.arange(0)}
    attack.run_attack()
    ours = lira_offline(arrays["target"], arrays["shadows"], arrays["inside"])
    assert np.abs(np.exp(attack.in_member_signals[:, 0]) - (1 - np.exp(-ours))).max() <= 1e-9
