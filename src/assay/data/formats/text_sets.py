"""Named text sets: two public ones in ASSAY_DATA, and a small generated one."""

from __future__ import annotations

import os
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from assay.base.errors import DataError
from assay.base.progress import silent
from assay.data.formats.registry import Dataset, Reading, named
from assay.data.formats.text import load_tables
from assay.data.text_rows import Texts

PUBLIC: dict[str, tuple[str, tuple[str, ...]]] = {
    "sst2": ("tsv", ("negative", "positive")),
    "banking77": ("csv", ()),
}
"""Name to the suffix of its files, and to class names where the labels are numbers.

SST-2: Socher et al., EMNLP 2013, whole sentences (6,920 and 1,821). BANKING77: Casanueva et al., 2020, 77 intents.
"""


def load_public_texts(name: str) -> Dataset:
    """``NAME_train`` and ``NAME_test`` in the folder ``text`` of ASSAY_DATA.

    Raises:
        DataError: if ASSAY_DATA is not set, or holds no such files.
    """
    suffix, classes = PUBLIC[name]
    wanted = f"a folder that holds text/{name}_train.{suffix} and text/{name}_test.{suffix}"
    folder = os.environ.get("ASSAY_DATA")
    if not folder:
        raise DataError(f"The data set {name} does not come with Assay: set ASSAY_DATA to {wanted}.")
    files = [Path(folder).expanduser() / "text" / f"{name}_{part}.{suffix}" for part in ("train", "test")]
    for file in files:
        if not file.is_file():
            raise DataError(f"There is no {file}: ASSAY_DATA must be {wanted}.")
    found = load_tables(name, files[0], files[1], Reading(None, silent()))
    return found._replace(class_names=classes or found.class_names)


for _name in PUBLIC:
    named(_name)(partial(load_public_texts, _name))

THINGS = ("film", "play", "book", "song", "hotel", "dinner", "phone", "lamp", "garden", "course", "talk", "coat")
GOOD = ("splendid", "charming", "clever", "delightful", "warm", "honest", "bright", "generous")
BAD = ("dull", "clumsy", "dreary", "tiresome", "shabby", "careless", "noisy", "bland")
FRAMES = (
    "the {thing} was {word} and i {would} go again",
    "what a {word} {thing} , we {would} tell our friends",
    "a {thing} so {word} that nobody {would} forget it",
    "my sister found the {thing} rather {word} , and she {would} know",
)


@named("opinions")
def load_opinions() -> Dataset:
    """1,536 sentences of eight to ten words, negative or positive by one of sixteen adjectives: made, not collected.

    Every fourth is about two things of opposite kinds, and the last one decides; a bag of words cannot learn those.
    The parts, 768 each, share no sentence.
    """
    texts: list[str] = []
    labels: list[int] = []
    for frame, thing, word, would in product(FRAMES, THINGS, (*BAD, *GOOD), ("would", "might")):
        label = int(word in GOOD)
        text = frame.format(thing=thing, word=word, would=would)
        if len(texts) % 4 == 3:
            other = (BAD if label else GOOD)[len(texts) // 4 % len(BAD)]
            text = f"the start was {other} but {text}"
        texts.append(text)
        labels.append(label)
    order = np.random.default_rng(0).permutation(len(texts))
    half = len(order) // 2
    parts = [
        Texts([texts[row] for row in rows], np.array(labels)[rows], f"opinions {part}", 128)
        for part, rows in (("train", order[:half]), ("test", order[half:]))
    ]
    return Dataset("opinions", parts[0], parts[1], ("negative", "positive"))
