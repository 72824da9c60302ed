"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "ASSAY_DATA" in os.environ:
        return
    skip = pytest.mark.skip(reason="needs real data: set ASSAY_DATA")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets."""
    return Path(os.environ["ASSAY_DATA"])
