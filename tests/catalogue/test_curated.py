"""The public models by name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from assay.base.digests import digest_file
from assay.catalogue import curated as module
from assay.catalogue.curated import Loadable, curated

PUBLIC = {name: entry for name, entry in curated().items() if entry.weights.url}


def test_public_models_are_there() -> None:
    assert len(PUBLIC) == 31
    assert "akamaster/cifar10-resnet20" in PUBLIC
    assert list(curated()) == sorted(curated())


@pytest.mark.parametrize("entry", PUBLIC.values(), ids=list(PUBLIC))
def test_an_address_names_a_commit_and_has_a_digest(entry: Loadable) -> None:
    assert re.match(r"https://raw\.githubusercontent\.com/[\w-]+/[\w.-]+/[0-9a-f]{40}/\S+$", entry.weights.url or "")
    assert entry.source in (entry.weights.url or "").replace("raw.githubusercontent.com", "github.com")
    assert entry.weights.sha256 is not None
    assert entry.weights.file is not None
    assert (entry.architecture is not None) == (entry.weights.format in ("torch", "safetensors"))
    assert (entry.measured_accuracy is None) == (entry.measured_images is None)


def test_two_entries_of_one_id_are_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = (
        '[[model]]\nid = "a/b"\ntitle = "t"\nnum_classes = 2\ninput_shape = [1, 2, 2]\ndataset = "digits"\n'
        'licence = "MIT"\nsource = "s"\nweights = { format = "onnx" }\n'
    )
    (tmp_path / "one.toml").write_text(table)
    monkeypatch.setattr(module, "DATA", tmp_path)
    assert list(curated.__wrapped__()) == ["a/b"]
    (tmp_path / "two.toml").write_text(table)
    with pytest.raises(ValueError, match="'a/b' is taken already"):
        curated.__wrapped__()
    (tmp_path / "two.toml").write_text(table.replace("a/b", "a/c") + "typo = 1\n")
    with pytest.raises(ValidationError, match="typo"):
        curated.__wrapped__()


@pytest.mark.data
@pytest.mark.skipif("ASSAY_MIRROR" not in os.environ, reason="needs the public models: set ASSAY_MIRROR")
@pytest.mark.parametrize("entry", PUBLIC.values(), ids=list(PUBLIC))
def test_the_mirror_holds_what_the_digests_say(entry: Loadable) -> None:
    path = Path(os.environ["ASSAY_MIRROR"]) / (entry.weights.file or "")
    assert digest_file(path) == entry.weights.sha256
    assert path.stat().st_size == entry.weights.bytes
