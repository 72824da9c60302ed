"""Services fail on purpose here, and nobody waits for them."""

from __future__ import annotations

import pytest

from assay.access import retrying


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    for name in ("ASSAY_API_KEY", "HF_TOKEN", "GOOGLE_API_KEY", "AZURE_LANGUAGE_KEY", "FACEPP_API_KEY"):
        monkeypatch.delenv(name, raising=False)
