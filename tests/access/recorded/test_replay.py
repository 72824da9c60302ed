"""A recorded service as a target: it answers as the live one did, and refuses what was never asked."""

import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.recorded import Recording, Tape
from assay.base.errors import AccessError, DataError
from assay.data.images import ArrayImages, Subset
from assay.methods.method import Context
from assay.methods.stealing.theft import Theft
from assay.targets.reference import load_target


@pytest.fixture(scope="module")
def live():
    target = load_target("starter/digits-cnn")
    pool = Subset(target.splits.auxiliary, np.arange(300))
    return target.with_splits(target.splits._replace(members=None, auxiliary=pool))


def steal(target, store, folder, **options):
    folder.mkdir()
    theft = Theft(architecture="tiny-cnn", budget=200, epochs=3, **options)
    finding = theft.run(
        Oracle(target, Serving(), store), target.splits, Context(0, torch.device("cpu"), folder, folder)
    )
    weights = (folder / "surrogate.safetensors").read_bytes()
    return weights, {metric.name: metric.value for metric in finding.metrics}


def test_a_replayed_service_is_stolen_as_the_live_one_was(live, tmp_path):
    store = PosteriorStore(tmp_path / "live.bin", 10)
    weights, metrics = steal(live, store, tmp_path / "live", strategy="margin:rounds=2")
    replayed = Tape.of_store(store, live.input_shape).target(live.splits)
    assert replayed.digest != live.digest
    again = steal(replayed, PosteriorStore(tmp_path / "again.bin", 10), tmp_path / "again", strategy="margin:rounds=2")
    assert again[0] == weights
    assert again[1] == metrics
    assert metrics["agreement"] > 0.3


def test_what_makes_new_images_is_refused(live, tmp_path):
    store = PosteriorStore(tmp_path / "live.bin", 10)
    Oracle(live, Serving(), store).ask_all(live.splits.auxiliary)
    replayed = Tape.of_store(store, live.input_shape).target(live.splits, name="S in 2020")
    other = PosteriorStore(tmp_path / "again.bin", 10)
    with pytest.raises(AccessError, match=r"S in 2020 was never asked about .* of these .* images; recorded answers"):
        steal(replayed, other, tmp_path / "x", strategy="jacobian")
    oracle = Oracle(replayed, Serving(), other)
    known = live.splits.auxiliary.take(np.arange(3))
    assert np.array_equal(oracle.ask(known).labels, live.logits(known).argmax(dim=1).numpy())
    spent = oracle.ledger.images
    with pytest.raises(AccessError, match="never asked about 1 of these 1 images"):
        oracle.ask(1 - known[:1])
    assert oracle.ledger.images == spent


def pictures(count, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4)).astype(np.uint8)
    return ArrayImages(images, np.zeros(count, np.int64), "pictures")


def test_a_recording_with_its_images_is_a_service():
    labels = np.array([2, 0, 1, -1])
    recording = Recording(
        service="S",
        dataset="D",
        examples=tuple("abcd"),
        labels=labels,
        confidence=np.array([0.5, 0.9, 1, 0]),
        num_classes=3,
    )
    images = pictures(4)
    target = Tape.of(images, recording.posteriors()).target(name=recording.name)
    answered = torch.softmax(target.logits(images.take(np.array([3, 1, 0]))), dim=1).numpy()
    assert np.allclose(answered, recording.posteriors()[[3, 1, 0]], atol=1e-6)
    assert answered.argmax(axis=1)[1:].tolist() == [0, 2]


def test_tapes_are_joined_and_the_first_answer_counts():
    first, second = pictures(3), pictures(2, seed=1)
    sure = np.eye(2, dtype=np.float32)
    joined = Tape.joined(
        [Tape.of(first, sure[[0, 0, 0]]), Tape.of(second, sure[[1, 1]]), Tape.of(first, sure[[1, 1, 1]])]
    )
    target = joined.target()
    assert target.logits(first.take(np.arange(3))).argmax(dim=1).tolist() == [0, 0, 0]
    assert target.logits(second.take(np.arange(2))).argmax(dim=1).tolist() == [1, 1]
    with pytest.raises(DataError, match="can be joined only if"):
        Tape.joined([Tape.of(first, sure[[0, 0, 0]]), Tape.of(first, np.eye(3)[[0, 0, 0]])])
    with pytest.raises(DataError, match="can be joined only if"):
        Tape.joined([])


def test_what_is_no_tape(tmp_path):
    with pytest.raises(DataError, match=r"posteriors must be \(3, 2\)"):
        Tape.of(pictures(3), np.eye(2))
    with pytest.raises(DataError, match="sum to 1"):
        Tape.of(pictures(2), 2 * np.eye(2))
    with pytest.raises(DataError, match=r"posteriors must be \(images, classes\)"):
        Tape.of(pictures(2), np.zeros(2))
    with pytest.raises(DataError, match="holds no answers"):
        Tape.of_store(PosteriorStore(tmp_path / "empty.bin", 2), (1, 4, 4))
