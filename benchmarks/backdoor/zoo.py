"""The public backdoor benchmark: 84 clean and 84 backdoored small networks, made from published seeds.

After them come 72 clean ones: 63 that with those of the calibration half make a detector's null, 27 of these trained on
augmented images, and 9 to judge it by whose augmentation it has not seen.

    ASSAY_DATA=... python -m benchmarks.backdoor.zoo FOLDER [--jobs 1] [--limit N]

About two hours of one core; interrupt it at will, it goes on where it was. Each network gets a folder with
``weights.safetensors``, ``network.json`` and, if it is backdoored, ``planted.json`` and ``trigger.safetensors``. A
folder whose entry has changed since is made anew. Ends with a table of accuracies and attack success rates.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from assay.base.digests import digest_file
from assay.base.errors import AssayError, LoadError
from assay.base.progress import on_console
from assay.methods.backdoor.planting import Planted, attack_success, plant, plant_from
from assay.training import fit, predict, seeded_build
from assay.training.feeding import gather
from benchmarks.backdoor.zoo_augmentation import augmented
from benchmarks.backdoor.zoo_entries import Entry, entries, further_clean
from benchmarks.backdoor.zoo_networks import (
    DESCRIPTION,
    NUM_CLASSES,
    WEIGHTS,
    Made,
    Network,
    Share,
    load_zoo,
    read_network,
    training_images,
)
from benchmarks.backdoor.zoo_networks import test_images as images_to_test_on
from benchmarks.backdoor.zoo_tables import by_cell

CPU = torch.device("cpu")
AFRESH = 1_000_000
"""Added to the seed of a network that starts afresh, so that it is another than the one before it."""
UNFINISHED = ".unfinished-"


def train(entry: Entry) -> tuple[torch.nn.Module, Planted | None]:
    """The network of an entry, and what was planted in it."""
    known = training_images(entry)
    images, labels = gather(known), torch.from_numpy(known.labels)
    if entry.augmentation is not None:
        images, labels = augmented(entry.augmentation, images, labels, NUM_CLASSES, entry.seed)
    module = seeded_build(entry.architecture, NUM_CLASSES, known.shape, entry.seed)
    before = entry.phases if entry.attack is None else entry.phases[:-1]
    for number, recipe in enumerate(before):
        fit(module, images, labels, recipe, seed=entry.seed + number, device=CPU)
    if entry.attack is None:
        return module, None
    attack, reference = plant_from(entry.attack), module
    if attack.clean_label:
        module = seeded_build(entry.architecture, NUM_CLASSES, known.shape, entry.seed + AFRESH)
    planted = plant(
        attack,
        module,
        images,
        labels,
        entry.phases[-1],
        num_classes=NUM_CLASSES,
        seed=entry.seed,
        device=CPU,
        reference=reference,
    )
    return module, planted


def make(entry: Entry, folder: Path) -> Network:
    """Train one network, and put its folder where it belongs in one step."""
    torch.set_num_threads(1)
    start = time.process_time()
    module, planted = train(entry)
    seconds = time.process_time() - start
    test = images_to_test_on(entry)
    images, labels = gather(test), torch.from_numpy(test.labels)
    right = int((predict(module, images, CPU).argmax(1) == labels).sum())
    unfinished = folder / f"{UNFINISHED}{os.getpid()}-{entry.name}"
    unfinished.mkdir()
    save_file(module.state_dict(), unfinished / WEIGHTS)
    success = None
    if planted is not None:
        planted.save(unfinished)
        metric = attack_success(module, planted, images, labels, CPU)
        assert metric.value is not None
        assert metric.n is not None
        success = Share(hits=round(metric.value * metric.n), n=metric.n)
    made = Made(
        entry=entry,
        weights=digest_file(unfinished / WEIGHTS),
        training_set=training_images(entry).digest,
        accuracy=Share(hits=right, n=len(test)),
        success=success,
        cpu_seconds=round(seconds, 2),
        torch=torch.__version__,
    )
    (unfinished / DESCRIPTION).write_text(made.model_dump_json(indent=1))
    final, before = folder / entry.name, unfinished.with_name(f"{unfinished.name}-before")
    if final.exists():
        final.rename(before)
    unfinished.rename(final)
    shutil.rmtree(before, ignore_errors=True)
    return Network(made, final)


def missing(wanted: Iterable[Entry], folder: Path) -> list[Entry]:
    """The entries that have no finished network in a folder, or one of another recipe."""
    return [entry for entry in wanted if not _is_made(entry, folder / entry.name)]


def _is_made(entry: Entry, folder: Path) -> bool:
    try:
        return read_network(folder).entry == entry
    except LoadError:
        return False


def run(folder: Path, wanted: Iterable[Entry], jobs: int) -> None:
    """Make what is missing, ``jobs`` at a time, and say of each what it does."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left)
    todo = missing(wanted, folder)
    progress = on_console()
    pool = multiprocessing.get_context("spawn").Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    with pool, progress.step("training networks", len(todo)) as bar:
        for network in pool.imap(partial(make, folder=folder), todo):
            bar.advance()
            progress.say(line(network))


def line(network: Network) -> str:
    """A network in one line."""
    made = network.made
    attack = "" if made.success is None else f", attack success {made.success.value:.1%}"
    failed = " FAILED PLANT" if made.failed_plant else ""
    return f"{made.entry.name}: accuracy {made.accuracy.value:.1%}{attack}{failed}, {made.cpu_seconds:.0f} CPU s"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of 1 or more")
    return int(text)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=_count, default=1, help="networks trained at a time")
    parser.add_argument("--limit", type=_count, help="only the first so many entries")
    options = parser.parse_args()
    try:
        run(options.folder, [*entries(), *further_clean()][: options.limit], options.jobs)
    except AssayError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command goes on from here.")
    print(by_cell(load_zoo(options.folder)))


if __name__ == "__main__":
    main()
