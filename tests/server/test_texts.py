"""A text model behind the service, and a thief of texts in front of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import assay
from assay.access.opening import open_target
from assay.base.errors import DataError
from assay.data.text_rows import to_texts
from server.serving import served

LENGTH = 128


def loud(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of a text's characters that are vowels, as the posterior of the second class."""
    texts = to_texts(torch.from_numpy(rows))
    share = np.array([sum(c in "aeiou" for c in text) / max(len(text), 1) for text in texts], np.float32)
    return np.stack([1 - share, share], 1)


def test_a_text_model_is_served_and_stolen_as_one(tmp_path: Path) -> None:
    target = assay.Target.from_function(
        loud, digest="vowels", input_shape=(1, 1, LENGTH), num_classes=2, name="vowels", modality="text"
    )
    with served(tmp_path / "house", target=target) as house:
        metadata = house.http.get("/v2/models/vowels").json()
        assert metadata["parameters"]["modality"] == "text"
        refused = house.http.post("/v2/models/vowels/classify", content=b"\x89PNG")
        assert (refused.status_code, "texts" in refused.json()["error"]) == (415, True)

        remote = open_target(house.url, ledgers=tmp_path, data="opinions")
        assert (remote.modality, remote.input_shape) == ("text", (1, 1, LENGTH))
        with pytest.raises(DataError, match="images, and the target reads texts"):
            open_target(house.url, ledgers=tmp_path, data="digits")
        options = {"stealing.basic": {"budget": 40, "epochs": 1}}
        audit = assay.audit(
            house.url,
            preset=None,
            methods=["stealing.basic", "evasion.square"],
            options=options,
            data="opinions",
            workspace=tmp_path / "workspace",
        )
        stolen, attacked = audit.outcomes
        assert (stolen.status, stolen.spent.images) == ("done", 40)
        assert (attacked.status, "reads texts" in attacked.reason) == ("skipped", True)
