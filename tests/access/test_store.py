import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.access.store import KEY_BYTES, PosteriorStore, image_keys
from assay.base.errors import WorkspaceError

CLASSES = 3
RECORD = KEY_BYTES + 4 * CLASSES + 4


def keys_of(*numbers):
    return np.frombuffer(b"".join(n.to_bytes(KEY_BYTES, "little") for n in numbers), f"V{KEY_BYTES}")


def logits_of(*numbers):
    return np.array([[n, -n, n / 3] for n in numbers], np.float32)


def put(store, *numbers):
    store.put(keys_of(*numbers), logits_of(*numbers))


def holds(store, *numbers):
    return len(store.missing(keys_of(*numbers))) == 0 and np.array_equal(
        store.get(keys_of(*numbers)), logits_of(*numbers)
    )


def test_answers_come_back_exactly_and_in_the_order_asked(tmp_path):
    store = PosteriorStore(tmp_path / "deep" / "a.bin", CLASSES)
    put(store, 1, 2, 3)
    put(store, 7)
    assert len(store) == 4
    assert np.array_equal(store.get(keys_of(7, 1, 3, 1)), logits_of(7, 1, 3, 1))
    assert holds(PosteriorStore(store.path, CLASSES), 1, 2, 3, 7)


def test_missing_names_first_occurrences_only(tmp_path):
    store = PosteriorStore(tmp_path / "a.bin", CLASSES)
    put(store, 2)
    assert store.missing(keys_of(5, 2, 6, 5, 6, 2)).tolist() == [0, 2]
    with pytest.raises(KeyError):
        store.get(keys_of(5))


def test_nothing_asked_is_nothing_answered(tmp_path):
    store = PosteriorStore(tmp_path / "a.bin", CLASSES)
    assert store.get(keys_of()).shape == (0, CLASSES)
    assert len(store.missing(keys_of())) == 0
    store.put(keys_of(), logits_of().reshape(0, CLASSES))
    assert store.path.stat().st_size == 0


def test_extreme_logits_survive(tmp_path):
    extreme = np.array([[np.finfo(np.float32).max, -1e-45, -0.0]], np.float32)
    store = PosteriorStore(tmp_path / "a.bin", CLASSES)
    store.put(keys_of(1), extreme)
    assert PosteriorStore(store.path, CLASSES).get(keys_of(1)).tobytes() == extreme.tobytes()


@pytest.mark.parametrize("cut", range(3 * RECORD + 1))
def test_truncation_at_any_byte_loses_whole_batches_and_no_more(tmp_path, cut):
    path = tmp_path / "a.bin"
    store = PosteriorStore(path, CLASSES)
    put(store, 1)
    put(store, 2, 3)
    os.truncate(path, cut)
    store = PosteriorStore(path, CLASSES)
    whole = 3 if cut == 3 * RECORD else cut // RECORD and 1
    assert len(store) == whole
    put(store, 9)
    assert path.stat().st_size == (whole + 1) * RECORD
    again = PosteriorStore(path, CLASSES)
    assert holds(again, *range(1, whole + 1), 9)
    assert len(again) == whole + 1


def test_a_tail_torn_while_the_store_is_open_does_not_shift_later_answers(tmp_path):
    path = tmp_path / "a.bin"
    store = PosteriorStore(path, CLASSES)
    put(store, 1)
    with path.open("ab") as file:
        file.write(b"x" * (RECORD - 5))
    put(store, 2)
    assert holds(store, 1, 2)
    assert holds(PosteriorStore(path, CLASSES), 1, 2)


@pytest.mark.parametrize("byte", range(RECORD, 2 * RECORD))
def test_a_damaged_record_is_asked_again(tmp_path, byte):
    path = tmp_path / "a.bin"
    put(PosteriorStore(path, CLASSES), 1, 2, 3)
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x40
    path.write_bytes(content)
    store = PosteriorStore(path, CLASSES)
    assert holds(store, 1, 3)
    assert store.missing(keys_of(1, 2, 3)).tolist() == [1]
    put(store, 2)
    assert holds(PosteriorStore(path, CLASSES), 1, 2, 3)


def test_two_open_stores_see_each_others_answers(tmp_path):
    one, two = PosteriorStore(tmp_path / "a.bin", CLASSES), PosteriorStore(tmp_path / "a.bin", CLASSES)
    put(one, 1)
    assert holds(two, 1)
    put(two, 2)
    assert holds(one, 1, 2)


def _append(path, first, count, gate):
    store = PosteriorStore(path, CLASSES)
    gate.wait()
    for n in range(first, first + count):
        put(store, n, n + 1_000_000)


def test_two_processes_append_at_once(tmp_path):
    path = tmp_path / "a.bin"
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(3)
    workers = [context.Process(target=_append, args=(path, first, 200, gate)) for first in (0, 1000)]
    for worker in workers:
        worker.start()
    store = PosteriorStore(path, CLASSES)
    gate.wait(timeout=30)
    while any(worker.is_alive() for worker in workers):
        for key in list(store._rows)[-3:]:
            n = int.from_bytes(key, "little")
            assert holds(store, n)
        store.missing(keys_of())
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    numbers = [n + extra for first in (0, 1000) for n in range(first, first + 200) for extra in (0, 1_000_000)]
    assert holds(PosteriorStore(path, CLASSES), *numbers)
    assert path.stat().st_size == len(numbers) * RECORD


def appending_with(kind, really_open):
    def opened(self, mode="r", *arguments, **options):
        file = really_open(self, mode, *arguments, **options)
        return kind(file) if mode == "ab" else file

    return opened


@pytest.mark.parametrize("written", [0, 1, RECORD, RECORD + 7])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(tmp_path, monkeypatch, written):
    path = tmp_path / "a.bin"
    store = PosteriorStore(path, CLASSES)
    put(store, 1)

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def fileno(self):
            return self.file.fileno()

        def write(self, data):
            return self.file.write(data[:written])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", appending_with(Full, Path.open))
        with pytest.raises(WorkspaceError, match=r"No space left on device.*are kept"):
            put(store, 2, 3)
    assert path.stat().st_size == RECORD
    assert holds(store, 1)
    put(store, 2, 3)
    assert holds(PosteriorStore(path, CLASSES), 1, 2, 3)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        PosteriorStore(tmp_path / "file" / "a.bin", CLASSES)


def test_keys_name_the_pixels_and_nothing_else():
    images = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    images[3] = images[0]
    keys = image_keys(images)
    assert keys[0] == keys[3]
    assert len({key.tobytes() for key in keys}) == 3
    assert image_keys(images[2:3])[0] == keys[2]
    assert image_keys(images.permute(0, 1, 3, 2))[0] != keys[0]
    assert image_keys(images.to(memory_format=torch.channels_last))[0] == keys[0]
    assert len(image_keys(images[:0])) == 0
