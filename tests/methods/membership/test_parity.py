"""Scores equal those of the published implementations, to the last digit that matters."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from methods.membership import peers

STORED = json.loads(peers.STORED.read_text())


@pytest.mark.parametrize("name", peers.CASES)
def test_stored_vectors_of_the_published_code(name):
    case, kept = peers.CASES[name], STORED[name]
    ours = np.asarray(case.ours(peers.restored(kept["inputs"])), float)
    assert np.abs(ours - np.array(kept["outputs"], float)).max() <= 1e-9


def test_every_stored_vector_says_something():
    assert set(STORED) == set(peers.CASES)
    for name, kept in STORED.items():
        if name != "meter_tuned_a":
            assert len(np.unique(np.array(kept["outputs"]))) > 2, name


@pytest.mark.peers
@pytest.mark.skipif("ASSAY_PEERS" not in os.environ, reason="needs published implementations: set ASSAY_PEERS")
@pytest.mark.parametrize("name", peers.CASES)
def test_live_against_the_published_code(name):
    published = peers.load(Path(os.environ["ASSAY_PEERS"]))
    case = peers.CASES[name]
    for seed in range(5):
        inputs = case.make(np.random.default_rng(1000 + seed), 300)
        theirs = np.asarray(case.published(published, {key: value.copy() for key, value in inputs.items()}), float)
        assert np.abs(np.asarray(case.ours(inputs), float) - theirs).max() <= 1e-9
