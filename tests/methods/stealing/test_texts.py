"""Thefts of a service that reads texts: the same budget, ledger and learners as for images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.detectors.prada import Prada
from assay.base.errors import UsageError
from assay.data.text_rows import to_texts
from assay.methods.stealing.learners import LEARNERS
from assay.methods.stealing.strategies import STRATEGIES
from assay.methods.stealing.theft import Theft
from assay.studies import Trial, Workspace, make_method, run_trials
from assay.targets.target import Target
from methods.stealing.small import Killed, context_of
from methods.stealing.texts import ROWS, opinion, service

TEXT_STRATEGIES = {
    "random": "random",
    "entropy": "entropy:rounds=2,candidates=60",
    "margin": "margin:rounds=2,candidates=60",
    "k-center": "k-center:rounds=2,candidates=60",
    "substitution": "substitution:rounds=2,epochs=1,neighbours=3,vocabulary=60",
}


def stolen(target, workspace, serving=None, **options):
    trial = Trial(target, make_method("stealing.theft", None, {**ROWS, **options}), serving or Serving(), 0)
    return run_trials([trial], workspace).outcomes[0]


def test_every_strategy_for_texts_is_tried():
    assert sorted(TEXT_STRATEGIES) == [n for n in STRATEGIES.names() if "text" in STRATEGIES.get(n).modalities]


@pytest.mark.parametrize("strategy", TEXT_STRATEGIES)
def test_exactly_the_budget_is_asked_in_readable_texts(tmp_path, strategy):
    seen = []

    def counted(rows):
        seen.extend(to_texts(torch.from_numpy(rows)))
        return opinion(rows)

    target = service()
    target = Target.from_function(
        counted, digest="counted", input_shape=target.input_shape, num_classes=2, splits=target.splits, modality="text"
    )
    outcome = stolen(target, Workspace(tmp_path / "w"), strategy=TEXT_STRATEGIES[strategy], budget=60)
    assert outcome.status == "done", outcome.reason
    assert outcome.spent.images == 60
    assert len(seen) == len(set(seen)) == 60 + 200
    assert all(text.isascii() and text.strip() for text in seen)


@pytest.mark.parametrize("learner", LEARNERS.names())
def test_every_learner_learns_texts(tmp_path, learner):
    options = {"epochs": 12, "budget": 250}
    text = {"mixmatch": "mixmatch:lambda_u=1"}.get(learner, learner)
    outcome = stolen(service(), Workspace(tmp_path / "w"), learner=text, **options)
    assert outcome.status == "done", outcome.reason
    assert outcome.metric("agreement").value > 0.7  # one answer for all agrees on about half
    tables = [figure.title for figure in outcome.figures if figure.kind == "table"]
    galleries = [figure for figure in outcome.figures if figure.kind == "gallery"]
    assert not galleries
    assert tables


def test_killed_at_half_the_budget_a_theft_asks_nothing_twice(tmp_path):
    asked, lives = [], [30]

    def dying(rows):
        texts = to_texts(torch.from_numpy(rows))
        if len(asked) + len(texts) > lives[0]:
            raise Killed
        asked.extend(texts)
        return opinion(rows)

    made = service()
    target = Target.from_function(
        dying, digest="d", input_shape=made.input_shape, num_classes=2, splits=made.splits, modality="text",
        class_names=made.class_names,
    )  # fmt: skip
    options = {"strategy": TEXT_STRATEGIES["margin"], "budget": 60}
    with pytest.raises(Killed):
        stolen(target, Workspace(tmp_path / "w"), **options)
    lives[0] = 10_000
    again = stolen(target, Workspace(tmp_path / "w"), **options)
    calm = stolen(service(), Workspace(tmp_path / "calm"), **options)
    assert len(asked) == len(set(asked)) == 260
    assert again.metrics == calm.metrics


@pytest.mark.parametrize("policy", ["levels", "rounding=1", "top=1", "noise:scale=0.05", "label"])
def test_policies_answer_texts(tmp_path, policy):
    outcome = stolen(service(), Workspace(tmp_path / "w"), Serving(policies=(policy,)), budget=50)
    assert outcome.status == "done", outcome.reason


def test_replaced_words_come_from_the_pool_and_stay_few(tmp_path):
    made = service()
    heard = []
    oracle = Oracle(made, Serving(), PosteriorStore(tmp_path / "s", 2)).serving_as(
        Serving(), lambda rows, answers: heard.extend(to_texts(rows))
    )
    context = context_of(tmp_path, 0)
    strategy = "substitution:rounds=1,epochs=20,replaced=0.3,neighbours=6,vocabulary=100,seed_share=0.5"
    Theft(**{**ROWS, "strategy": strategy, "budget": 100}).run(oracle, made.splits, context)
    pool = to_texts(made.splits.auxiliary.take(np.arange(300)))
    words = {word for text in pool for word in text.split()}
    moved = [text for text in heard[:100] if text not in pool]
    assert len(moved) > 25
    for text in moved:
        assert set(text.split()) <= words
        alike = [other.split() for other in pool if len(other.split()) == len(text.split())]
        nearest = min(sum(a != b for a, b in zip(text.split(), other, strict=True)) for other in alike)
        assert 1 <= nearest <= max(1, round(0.3 * len(text.split())))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"architecture": "tiny-cnn"}, "tiny-cnn cannot take the target's texts"),
        ({"shift": 1}, "option shift is for images"),
        ({"flip": True}, "option flip is for images"),
        ({"resized_to": 8}, "option resized_to is for images"),
        ({"adversarial_images": 5}, "option adversarial_images is for images"),
        ({"strategy": "jacobian"}, "'jacobian' is for images"),
        ({"strategy": "adversarial"}, "'adversarial' is for images"),
    ],
)
def test_what_is_for_images_is_refused_in_one_sentence(tmp_path, options, says):
    outcome = stolen(service(), Workspace(tmp_path / "w"), **options)
    assert outcome.status == "failed"
    assert says in outcome.reason
    assert outcome.spent.images == 0


def test_the_other_way_round_too(tmp_path):
    made = service()
    images = Target.from_function(opinion, digest="i", input_shape=made.input_shape, num_classes=2, splits=made.splits)
    oracle = Oracle(images, Serving(), PosteriorStore(tmp_path / "s", 2))
    with pytest.raises(UsageError, match="cannot take the target's images"):
        Theft(**ROWS).run(oracle, made.splits, context_of(tmp_path, 0))
    with pytest.raises(UsageError, match="'substitution' is for texts"):
        Theft(strategy="substitution").run(oracle, made.splits, context_of(tmp_path, 0))


def test_prada_watches_rows(tmp_path):
    made = service()
    watch = Prada().watches(None)()
    oracle = Oracle(made, Serving(), PosteriorStore(tmp_path / "s", 2))
    listening = oracle.serving_as(Serving(), watch.observe)
    listening.ask_all(made.splits.auxiliary)
    assert len(watch._noted) > 200


def test_a_preset_takes_options_that_suit_texts():
    method = make_method("stealing.best")
    assert (method.shift, method.flip, method.architecture) == (3, True, "fast-cnn")
    for_texts = method.on("text")
    assert (for_texts.shift, for_texts.flip, for_texts.architecture) == (0, False, "text:cnn")
    own = make_method("stealing.best", None, {"architecture": "text:bag", "shift": 5}).on("text")
    assert (own.shift, own.architecture) == (5, "text:bag")
    assert make_method("stealing.foundation", "full").on("text").initialisation == "random"
    assert method.on("image") is method
