"""What every learner owes: it learns, it can be interrupted, and it says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.access import Answers
from assay.base.errors import AccessError, DataError, UsageError
from assay.data.formats.digits import load_digits
from assay.data.images import ArrayImages, Subset
from assay.methods.stealing.learners import LEARNERS, Going, parse_learner
from assay.methods.stealing.learners.fixmatch import FixMatch
from assay.methods.stealing.surrogates.prepare import prepare
from assay.training import Recipe, predict

torch.set_num_threads(1)

CPU = torch.device("cpu")
DIGITS = load_digits()
ASKED = Subset(DIGITS.train, np.arange(0, 901, 6))
QUICK = Recipe(epochs=15, batch_size=16, optimiser="adam", learning_rate=0.01, weight_decay=0.0)
SHORT = QUICK.model_copy(update={"epochs": 3, "batch_size": 50, "shift": 1})


def answers(labels=ASKED.labels, sure=0.9, hard=False):
    posteriors = np.full((len(labels), 10), (1 - sure) / 9, np.float32)
    posteriors[np.arange(len(labels)), labels] = sure
    return Answers(labels, None if hard else posteriors)


def surrogate(seed=0):
    return prepare("digits-mlp", num_classes=10, shape=(1, 8, 8), seed=seed)


def teach(name, module, given=None, recipe=QUICK, unlabelled=DIGITS.train, **options):
    return parse_learner(name).fit(
        module, ASKED, answers() if given is None else given, unlabelled, recipe, seed=0, device=CPU, **options
    )


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", LEARNERS.names())
def test_every_learner_learns(name):
    module = surrogate()
    log = teach(name, module)
    assert not module.training
    assert len(log) == 15
    right = predict(module, DIGITS.test, CPU).argmax(1).numpy() == DIGITS.test.labels
    assert right.mean() > 0.8
    assert LEARNERS.get(name).__doc__


@pytest.mark.parametrize("name", [name for name in LEARNERS.names() if LEARNERS.get(name).needs == "label"])
def test_labels_suffice_where_a_learner_says_so(name):
    module = surrogate()
    teach(name, module, answers(hard=True))
    right = predict(module, DIGITS.test, CPU).argmax(1).numpy() == DIGITS.test.labels
    assert right.mean() > 0.8


class Interrupt(Exception):
    pass


class Stopping:
    """Progress that fails after a number of steps."""

    def __init__(self, after):
        self.left = after

    def step(self, label, total):
        return self

    def say(self, text): ...

    def advance(self, amount=1.0):
        self.left -= 1
        if self.left < 0:
            raise Interrupt

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


@pytest.mark.parametrize("name", LEARNERS.names())
def test_an_interrupted_learner_ends_with_the_same_weights(tmp_path, name):
    whole, resumed = surrogate(), surrogate()
    log = teach(name, whole, recipe=SHORT)
    for after in (1, 6):  # within the first and the second epoch of four steps
        with pytest.raises(Interrupt):
            teach(name, surrogate(), recipe=SHORT, checkpoint=tmp_path / "state.pt", progress=Stopping(after))
    again = teach(name, resumed, recipe=SHORT, checkpoint=tmp_path / "state.pt")
    assert same(whole, resumed)
    assert [epoch[:3] for epoch in log] == [epoch[:3] for epoch in again]


def test_a_checkpoint_of_another_learner_or_other_unlabelled_images_is_not_used(tmp_path):
    file = tmp_path / "state.pt"
    teach("mixmatch", surrogate(), recipe=SHORT, checkpoint=file)
    for name, unlabelled in (("fixmatch", DIGITS.train), ("mixmatch", DIGITS.test), ("mixmatch=3", DIGITS.test)):
        fresh, other = surrogate(), surrogate()
        teach(name, fresh, recipe=SHORT, unlabelled=unlabelled)
        teach(name, other, recipe=SHORT, unlabelled=unlabelled, checkpoint=file)
        assert same(fresh, other)


def test_labels_of_unlabelled_images_are_never_used():
    blind = ArrayImages(DIGITS.train.images, np.zeros(901, np.int64), "blind")
    for name in ("mixmatch", "fixmatch"):
        one, two = surrogate(), surrogate()
        teach(name, one, recipe=SHORT)
        teach(name, two, recipe=SHORT, unlabelled=blind)
        assert same(one, two)


def test_hard_learns_the_label_and_soft_the_posteriors():
    given = answers(sure=0.6)
    assert np.array_equal(parse_learner("hard").targets(given), given.labels)
    assert np.array_equal(parse_learner("soft").targets(given), given.posteriors)
    assert np.array_equal(parse_learner("mixup").targets(answers(hard=True)), given.labels)


@pytest.mark.parametrize("name", ["soft", "kl"])
def test_posteriors_are_asked_for_in_one_sentence(name):
    with pytest.raises(AccessError, match=f"'{name}' learns from posteriors, and the target answers with labels only"):
        teach(name, surrogate(), answers(hard=True))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5] * 10, "1 of 151 answers are no distributions.*number 4 sum to 5"),
        ([2.0, -1.0] + [0.0] * 8, "-1 as the smallest"),
        ([np.nan] * 10, "sum to nan"),
    ],
)
def test_answers_that_are_no_distributions(row, message):
    given = answers()
    given.posteriors[4] = row
    with pytest.raises(DataError, match=message):
        teach("soft", surrogate(), given)


@pytest.mark.parametrize("name", ["mixmatch", "fixmatch"])
def test_missing_or_misfitting_unlabelled_images(name):
    with pytest.raises(DataError, match=f"'{name}' needs unlabelled images"):
        teach(name, surrogate(), unlabelled=None)
    other = ArrayImages(np.zeros((3, 1, 9, 8), np.uint8), [0] * 3, "other")
    with pytest.raises(DataError, match="Unlabelled images are 1x9x8, and those asked about 1x8x8"):
        teach(name, surrogate(), unlabelled=other)


@pytest.mark.parametrize(("name", "averages"), [("mixmatch", True), ("fixmatch", True), ("soft", False)])
def test_semi_supervised_copies_end_with_averaged_weights(name, averages, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "assay.methods.stealing.learners.learner.fit", lambda *args, **options: seen.append(args[3]) or ()
    )
    teach(name, surrogate())
    teach(name, surrogate(), recipe=QUICK.model_copy(update={"ema": 0.5}))
    assert [recipe.ema for recipe in seen] == [0.999 if averages else 0.0, 0.5]


def test_a_copy_that_goes_on_keeps_its_optimiser_and_another_gets_its_own():
    one, two, going = surrogate(), surrogate(), Going()
    recipe = SHORT.model_copy(update={"epochs": 1})
    for module in (one, one, two):
        teach("soft", module, recipe=recipe, going=going)
    fresh = surrogate()
    teach("soft", fresh, recipe=recipe)
    assert same(two, fresh)
    teach("soft", fresh, recipe=recipe)
    assert not same(one, fresh), "the second training of one had the moments of the first"


def test_a_class_that_is_never_answered_is_never_learned():
    labels = np.where(ASKED.labels == 3, 5, ASKED.labels)
    for name in ("soft", "mixmatch"):
        module = surrogate()
        teach(name, module, answers(labels, sure=0.9999), recipe=QUICK.model_copy(update={"epochs": 5}))
        assert (predict(module, DIGITS.test, CPU).argmax(1) == 3).float().mean() < 0.02


def test_parsing():
    assert parse_learner("kl=4").describe() == {"name": "kl", "temperature": 4.0}
    assert parse_learner("fixmatch=0.8") == FixMatch(threshold=0.8)
    assert parse_learner("mixmatch").describe() == {
        "name": "mixmatch", "lambda_u": 100.0, "temperature": 0.5, "alpha": 0.75, "copies": 2, "ramp": 16384,
    }  # fmt: skip
    with pytest.raises(UsageError, match="no learner 'fixmach': did you mean 'fixmatch'"):
        parse_learner("fixmach")
    with pytest.raises(UsageError, match="'soft' takes no value"):
        parse_learner("soft=1")
    with pytest.raises(UsageError, match="'kl=0' is not valid: temperature: Input should be greater than 0"):
        parse_learner("kl=0")
    assert parse_learner("fixmatch:mu=7,threshold=0.9") == FixMatch(mu=7, threshold=0.9)
    with pytest.raises(UsageError, match="'mixup' has no option 'alfa': did you mean 'alpha'"):
        parse_learner("mixup:alfa=1")
    for text in ("mixup:alpha", "mixup=1:alpha=2"):
        with pytest.raises(UsageError, match="not of the form mixup:option=value"):
            parse_learner(text)
