"""torchvision beside any torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assay.base.vision import import_timm, import_torchvision


def test_both_libraries_import_and_classify() -> None:
    import torch

    vision, timm = import_torchvision(), import_timm()
    assert vision is import_torchvision()
    assert vision.models.squeezenet1_1(num_classes=3).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert timm.is_model("resnet18")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("works = True", "True None"),
        ("raise RuntimeError('another reason')", "another reason"),
        ("raise ImportError('no such library')", "no such library"),
    ],
)
def test_nothing_is_done_where_nothing_is_wrong(tmp_path: Path, source: str, expected: str) -> None:
    """A torchvision that imports is left as it is, and one that fails for other reasons says so itself."""
    (tmp_path / "torchvision.py").write_text(source)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from assay.base import vision\n"
        "try:\n    print(vision.import_torchvision().works, vision._library)\n"
        "except Exception as error:\n    print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == expected
