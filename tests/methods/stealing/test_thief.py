import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Answers, Serving
from assay.catalogue.weights import Preprocessing
from assay.methods.stealing.thief import OutOfQuestions, Thief
from assay.methods.stealing.transfer import Notes, Unlabelled
from assay.targets.module import Preprocessed
from assay.training import seeded_build
from methods.stealing.small import CLASSES, SHAPE, Service, context_of, images_of, oracle_of

torch.set_num_threads(1)


class Trainer:
    """Trains nothing, and remembers what it was given."""

    def __init__(self):
        self.lessons = []

    def prepare(self):
        return Preprocessed(seeded_build("digits-mlp", CLASSES, SHAPE, 0), Preprocessing())

    def fit(self, module, transfer, pool, *, epochs=None, fresh=True, label=""):
        self.lessons.append((transfer, epochs, fresh))
        return ()


class Nothing:
    def advance(self, amount=1.0):
        pass


def thief_of(folder, budget, pool=40, serving=None):
    service, trainer = Service(), Trainer()
    images = images_of(pool, 2)
    oracle = oracle_of(service, folder, serving)
    return Thief(oracle, images, budget, trainer, context_of(folder), Nothing()), service, trainer, images


def test_the_last_batch_is_cut_at_the_budget_and_noted(tmp_path):
    thief, service, _, images = thief_of(tmp_path, 10)
    rows = np.array([5, 3, 8, 1, 9, 30])
    answers = thief.ask(rows)
    assert answers.labels.tolist() == images.labels[rows].tolist()
    assert (thief.spent, thief.remaining, len(thief.unasked)) == (6, 4, 34)
    with pytest.raises(OutOfQuestions):
        thief.ask(np.array([5, 2, 3, 4, 6, 7, 10]))  # 5 and 3 are known, so four new ones are paid: 2, 4, 6, 7
    assert len(service.seen) == thief.spent == 10
    assert thief.asked_rows.tolist() == [5, 3, 8, 1, 9, 30, 5, 2, 3, 4, 6, 7]
    with pytest.raises(OutOfQuestions):
        thief.ask(np.array([5]))
    assert len(thief.notes) == 12


def test_the_transfer_set_is_the_pool_by_row_and_then_what_was_made(tmp_path):
    thief, _, trainer, images = thief_of(tmp_path, 20)
    made = torch.rand(3, *SHAPE)
    thief.ask(np.array([7, 2]))
    wanted = thief.ask_about(made)
    thief.ask_about(torch.rand(2, *SHAPE), keep=False)
    thief.ask(np.array([4]))
    assert thief.spent == 8
    held, answers = thief.transfer
    assert torch.equal(held.take(np.arange(6)), torch.cat([images.take(np.array([2, 4, 7])), made]))
    assert answers.labels.tolist() == [*images.labels[[2, 4, 7]], *wanted.labels]
    assert answers.posteriors.argmax(1).tolist() == answers.labels.tolist()
    assert not held.labels.any(), "no true label is handed on"
    thief.train(3, fresh=False, latest=2)
    (lesson, epochs, fresh), *_ = trainer.lessons
    assert torch.equal(lesson.images.take(np.arange(2)), torch.cat([images.take(np.array([4])), made[2:]]))
    assert (epochs, fresh) == (3, False)


def test_labels_are_noted_where_nothing_else_is_answered(tmp_path):
    thief, _, _, images = thief_of(tmp_path, 20, serving=Serving(output="label"))
    thief.ask(np.array([7, 2]))
    assert thief.transfer.answers.posteriors is None
    assert thief.transfer.answers.labels.tolist() == images.labels[[2, 7]].tolist()


def test_what_is_held_out_is_paid_and_neither_noted_nor_asked_again(tmp_path):
    thief, service, _, images = thief_of(tmp_path, 20)
    held, answers = thief.hold_out(6)
    assert (thief.budget, thief.held_out, thief.spent, thief.remaining, len(service.seen)) == (14, 6, 0, 14, 6)
    assert answers.labels.tolist() == images.labels[held.rows].tolist()
    assert set(held.rows).isdisjoint(thief.unasked)
    with pytest.raises(OutOfQuestions):
        thief.ask(thief.unasked)
    assert (thief.spent, len(service.seen), len(thief.notes)) == (14, 20, 14)


def test_the_surrogate_is_put_aside_at_every_stop(tmp_path):
    thief, _, _, _ = thief_of(tmp_path, 20)
    thief.stops = (4, 8)
    for start in (0, 5):
        thief.ask(np.arange(start, start + 5))
        torch.nn.init.constant_(thief.surrogate.module[1].bias, start + 1.0)
    assert [float(copy.module[1].bias[0].detach()) for copy in thief.snapshots.values()][1] == 1.0
    assert list(thief.snapshots) == [4, 8]


def test_a_pool_without_labels_is_the_pool(tmp_path):
    images = images_of(5, 3)
    bare = Unlabelled(images)
    assert len(bare) == 5
    assert not bare.labels.any()
    assert torch.equal(bare.take(np.array([4, 0])), images.take(np.array([4, 0])))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), batches=st.integers(1, 6), data=st.data())
def test_notes_against_a_list(seed, batches, data):
    random = np.random.default_rng(seed)
    pool = images_of(12, 0)
    notes, entries, spent = Notes(pool), [], 0
    for _ in range(batches):
        count = int(random.integers(1, 4))
        rows = random.choice(12, count, replace=False) if random.random() < 0.5 else None
        pixels = torch.rand(count, *SHAPE) if rows is None else pool.take(rows)
        labels = random.integers(0, CLASSES, count)
        paid = spent + np.cumsum(random.integers(0, 2, count))
        spent = int(paid[-1])
        notes.add(rows, pixels, Answers(labels, None), paid)
        entries += zip([99] * count if rows is None else rows, pixels, labels, paid, strict=True)
    start = data.draw(st.integers(0, len(entries) - 1))
    stop = data.draw(st.integers(start + 1, len(entries)))
    images, answers = notes.transfer(start, stop)
    wanted = sorted(entries[start:stop], key=lambda entry: entry[0])
    assert answers.labels.tolist() == [entry[2] for entry in wanted]
    assert torch.equal(images.take(np.arange(stop - start)), torch.stack([entry[1] for entry in wanted]))
    budget = data.draw(st.integers(0, spent + 1))
    assert notes.within(budget) == sum(entry[3] <= budget for entry in entries)
