"""That the parts of a theft and of its defences are put together as they say: what is fitted, shown, asked, raised."""

import numpy as np
import pytest
import torch

from assay.data.splits import Splits
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.defences import ownership
from assay.methods.stealing.defences.detection import noticed, posted
from assay.methods.stealing.defences.inference import Scores
from assay.methods.stealing.strategies.data_free import forward_differences
from assay.methods.stealing.strategies.k_center import spread
from methods.stealing.small import FAST, Service, context_of, images_of, oracle_of
from methods.stealing.strategies.test_making import Quadrants, Trainer, steal

torch.set_num_threads(1)


def brightness(images):
    return images.flatten(1).sum(1).double().numpy()


class Fitted:
    """A regressor that remembers whose walks it was fitted on, and on whose it was asked to judge."""

    def __init__(self, known, context):
        self.known, self.judgements = known, []
        Fitted.last = self

    def judged(self, suspect):
        self.judgements.append(suspect)
        return Scores(suspect.members[:, 0], suspect.non_members[:, 0])


def test_the_ownership_regressor_is_fitted_on_other_images_than_those_tested(tmp_path, monkeypatch):
    """Each image's walk is its brightness, so that the walks say which images were used."""
    monkeypatch.setattr(ownership, "Regressor", Fitted)
    monkeypatch.setattr(ownership, "blind_walk", lambda suspect, images, labels, **_: brightness(images)[:, None])
    splits = Splits(images_of(40, 1), images_of(60, 2), images_of(60, 3))
    theft = BasicStealing(**FAST)
    oracle = oracle_of(Service(), tmp_path)
    theft.run(oracle, splits, context_of(tmp_path / "stolen"))
    context = context_of(tmp_path / "ownership")
    context = type(context)(**{**vars(context), "provided": tmp_path / "stolen"})
    found = ownership.Ownership(samples=40, architecture="digits-mlp", surrogate=theft).run(oracle, splits, context)
    known, (own, *others) = Fitted.last.known, Fitted.last.judgements
    for kind in ("members", "non_members"):
        fitted, tested = (set(getattr(walks, kind)[:, 0]) for walks in (known, own))
        assert len(fitted) == len(tested) == 20
        assert fitted.isdisjoint(tested)
        assert all(set(getattr(walks, kind)[:, 0]) == tested for walks in others)
        rows = found.samples.row[found.samples.part == kind]
        assert set(brightness(getattr(splits, kind).take(rows))) == tested, "samples name the images tested"
    assert len(others) == 2


def test_honest_clients_ask_about_images_that_detectors_were_not_shown(tmp_path, monkeypatch):
    shown, observed = [], []

    class Watch:
        def observe(self, images, answers):
            observed.extend(brightness(images))

    class Spy:
        def watches(self, traffic):
            shown.extend(brightness(traffic.images))
            return Watch

    monkeypatch.setattr("assay.methods.stealing.defences.detection.DETECTORS", {"spy": Spy})
    ordinary, oracle = images_of(50, 1), oracle_of(Service(), tmp_path)
    guards = posted(oracle, ordinary, torch.Generator().manual_seed(0))
    (found,) = noticed(oracle, guards, 5, {})
    assert len(shown) == len(observed) == 25
    assert set(shown).isdisjoint(observed)
    assert set(shown) | set(observed) == set(brightness(ordinary.take(np.arange(50))))
    assert len(found.suspected) == 5


class Held:
    """A thief whose surrogate's logits are known row by row, and who has asked about some."""

    def __init__(self, table, asked):
        self.table, self.asked_rows = table, np.array(asked)

    def logits(self, rows):
        return self.table[torch.from_numpy(rows)]


def test_k_center_keeps_away_from_what_was_asked():
    """Three tight groups, one for each class; what lies in the asked ones is chosen last."""
    table = torch.zeros(30, 3)
    table[torch.arange(30), torch.arange(30) // 10] = 9.0
    table[:, 0] += torch.linspace(0, 0.1, 30)
    rows = np.array([1, 2, 3, 11, 12, 13, 21, 22])
    assert spread(Held(table, [0, 20]), rows, 1)[0] // 10 == 1
    assert spread(Held(table, [0, 10]), rows, 1)[0] // 10 == 2
    assert spread(Held(table, [10, 20]), rows, 1)[0] // 10 == 0


def test_knockoff_rewards_the_surrogates_surprise_at_the_targets_answers(tmp_path, monkeypatch):
    """The surrogate expects one class of everything; the reward must be what it loses by the target's answer."""
    rewards, asked, spied = [], [], "assay.methods.stealing.strategies.knockoff"

    class Bandit:
        def __init__(self, arms, window):
            self.open = np.ones(arms, np.bool_)

        def probabilities(self):
            return self.open / self.open.sum()

        def learn(self, arm, reward):
            rewards.append(reward)

    class Expecting(Trainer):
        def prepare(self):
            class One(torch.nn.Module):
                def forward(self, images):
                    return torch.tensor([4.0, 0.0, 0.0, 0.0]).expand(len(images), -1)

            return One()

        def fit(self, *args, **options):
            return ()

    monkeypatch.setattr(f"{spied}.GradientBandit", Bandit)
    monkeypatch.setattr("methods.stealing.strategies.test_making.Trainer", Expecting)
    text = "knockoff:arms=2,batch=30,window=1000,certainty=false,diversity=false"
    _, asked = steal(text, tmp_path, budget=91)
    answers = torch.softmax(Quadrants()(asked[: len(rewards)]), 1).double()
    logs = torch.log_softmax(torch.tensor([4.0, 0.0, 0.0, 0.0]).double(), 0)
    losses, expected = -(answers * logs).sum(1).numpy(), []
    for place, loss in enumerate(losses):
        low, high = losses[: place + 1].min(), losses[: place + 1].max()
        expected.append((loss - low) / (high - low) if high > low else 0.0)
    assert len(rewards) >= 60
    assert rewards == pytest.approx(expected, abs=1e-4)


def test_forward_differences_estimate_the_gradient_of_the_mean():
    """Of a linear function the mean over many directions is its slope; no draw depends on a direction's length."""
    weights = torch.arange(1.0, 13.0).view(1, 3, 4)
    points = torch.zeros(500, 1, 3, 4)
    value = lambda at: (at * weights).flatten(1).sum(1)
    random = torch.Generator().manual_seed(0)
    slopes = [forward_differences(value, points, 1e-2, random) * len(points) for _ in range(20)]
    mean = torch.cat(slopes).mean(0)
    assert torch.allclose(mean, weights, atol=0.08 * float(weights.norm()))
    direction = slopes[0][0].flatten() / slopes[0][0].norm()
    along = float(direction @ weights.flatten())
    assert float(slopes[0][0].norm()) == pytest.approx(12 * abs(along), rel=1e-3)


def test_the_generator_raises_the_disagreement(tmp_path):
    """With a surrogate that never learns, later questions must differ more than the first ones do."""
    thief, seen = steal("data-free:batch_size=40,passes=1,latent=16,rate=0.01,student_rate=0.0", tmp_path, 9_600, 0)
    own = torch.log_softmax(thief.surrogate(seen), 1)
    theirs = torch.softmax(Quadrants()(seen), 1).clamp_min(1e-7).log()
    gap = ((theirs - theirs.mean(1, keepdim=True)) - (own - own.mean(1, keepdim=True))).abs().sum(1).detach()
    early, late = gap[:960].mean(), gap[-960:].mean()
    assert late > 1.1 * early
