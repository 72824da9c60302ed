"""A small service that reads texts: it looks for words, and counts nothing but what the oracle counts."""

from __future__ import annotations

import numpy as np

from assay.data.formats import load_dataset
from assay.data.formats.text_sets import GOOD
from assay.data.images import Subset
from assay.data.splits import Splits
from assay.data.text_rows import to_texts
from assay.targets.target import Target

ROWS = {"architecture": "text:bag?width=16&places=512", "epochs": 3, "batch_size": 32, "learning_rate": 0.02}
"""What a theft of texts costs little with."""


def opinion(images):
    """Posteriors (n, 2): positive by the last adjective."""
    import torch

    texts = to_texts(torch.from_numpy(images))
    positive = np.array([any(word in GOOD for word in text.split("but")[-1].split()) for text in texts])
    return np.where(positive[:, None], [[0.1, 0.9]], [[0.8, 0.2]])


def service(**changes):
    """A service that answers by `opinion`, with 200 members, 300 texts to ask about and 200 to judge by."""
    found = load_dataset("opinions")
    splits = Splits(
        Subset(found.train, np.arange(200)),
        Subset(found.test, np.arange(200)),
        Subset(found.train, np.arange(200, 500)),
    )
    options = {"digest": "opinion", "input_shape": found.train.shape, "num_classes": 2, "modality": "text"}
    return Target.from_function(opinion, splits=splits, class_names=found.class_names, **{**options, **changes})
