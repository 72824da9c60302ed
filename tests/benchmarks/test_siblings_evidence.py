"""Correlations over pairs of few targets, and what a sibling adds to other networks, from finished cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from assay.base.errors import NothingAssessedError
from benchmarks.siblings.alternatives import evidence
from benchmarks.siblings.evidence import over_targets


def test_whole_targets_are_drawn() -> None:
    """Two targets agree, the third has the opposite order: the interval spans what single targets say."""
    x, y = np.tile([1.0, 2.0, 3.0, 4.0], 3), np.concatenate([[1, 2, 3, 4]] * 2 + [[4, 3, 2, 1]]).astype(float)
    low, high = over_targets(x, y, np.repeat(["a", "b", "c"], 4))
    # One choice in 27 holds the third alone: the quantile lies between its -1 and the next.
    assert low == pytest.approx(
        np.quantile(
            [-1.0, *[spearmanr(np.tile(x[:4], 3), y[np.r_[8:12, 8:12, 0:4]]).statistic] * 6, *[1.0] * 20], 0.025
        )
    )
    assert high == 1.0
    sampled = over_targets(x, y, np.repeat(["a", "b", "c"], 4), draws=26)
    assert -1.0 <= sampled[0] < sampled[1] <= 1.0


def test_enumerated_and_drawn_targets_agree() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=20)
    y, targets = x + generator.normal(size=20), np.repeat([f"t{n}" for n in range(5)], 4)
    whole, drawn = over_targets(x, y, targets), over_targets(x, y, targets, draws=3000)
    assert whole == pytest.approx(drawn, abs=0.05)
    assert whole[0] < spearmanr(x, y).statistic < whole[1]


def cell(folder: Path, attack: str, prior: str, queries: list[int], success: list[bool]) -> None:
    content = {"target": "t", "attack": attack, "prior": prior, "queries": queries, "success": success}
    (folder / f"{attack}-{prior}.json").write_text(json.dumps({**content, "rows": list(range(len(queries)))}))


def test_a_sibling_is_compared_with_the_best_of_everything_else(tmp_path: Path) -> None:
    with pytest.raises(NothingAssessedError, match="no finished cell"):
        evidence(tmp_path)
    cell(tmp_path, "square", "no prior", [300] * 20, [True] * 20)
    cell(tmp_path, "transfer", "other", [2] * 12 + [900] * 8, [True] * 12 + [False] * 8)
    cell(tmp_path, "transfer", "sibling", [2] * 20, [True] * 20)
    row = evidence(tmp_path).tables["gains"]["t"]
    assert (row["saving"].value, row["questions_saved"].value) == (1.0, 0.0)
    assert row["success_gained"].value == 0.0  # with nothing in hand all fall too, if later
    assert row["success_gained over other"].value == pytest.approx(0.4)
    assert row["saving over no prior"].value == 150.0
    assert row["median_queries_transfer_other"].value == 2
