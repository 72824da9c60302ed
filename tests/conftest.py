"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, variable, needed in (
        ("data", "ASSAY_DATA", "real data"),
        ("registry", "ASSAY_REGISTRY", "a package registry"),
    ):
        skip = pytest.mark.skip(reason=f"needs {needed}: set {variable}")
        for item in items:
            if variable not in os.environ and item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets."""
    return Path(os.environ["ASSAY_DATA"])
