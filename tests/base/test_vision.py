"""torchvision beside any torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assay.base.vision import import_timm, import_torchvision

FACTORY = """
import timm
import torchvision
from torchvision import transforms
from transformers import AutoConfig, ResNetForImageClassification

def build(num_classes, input_shape):
    assert timm.is_model("resnet18")
    return torchvision.models.squeezenet1_1(num_classes=num_classes)
"""


def test_both_libraries_import_and_classify() -> None:
    vision, timm = import_torchvision(), import_timm()
    assert vision is import_torchvision()
    assert vision.models.squeezenet1_1(num_classes=3).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert timm.is_model("resnet18")


def test_a_factory_imports_torchvision_timm_and_transformers_plainly(tmp_path: Path) -> None:
    """In a process in which nothing imported torchvision before."""
    (tmp_path / "mine.py").write_text(FACTORY)
    (tmp_path / "mine.toml").write_text('factory = "mine:build"\nnum_classes = 3\ninput_shape = [3, 64, 64]\n')
    code = (
        "import sys\nfrom assay.targets.reference import open_model\n"
        "assert 'torchvision' not in sys.modules\n"
        f"print(open_model({str(tmp_path / 'mine.toml')!r}).target.num_classes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr


@pytest.mark.parametrize(
    ("package", "loads", "expected"),
    [
        ("works = True", True, "True None"),
        ("import torch\nworks = torch.ops.torchvision.nms is not None", False, "True declared"),
        ("raise ImportError('no such library')", True, "no such library"),
    ],
)
def test_operators_are_declared_only_where_they_do_not_load(
    tmp_path: Path, package: str, loads: bool, expected: str
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(package)
    (tmp_path / "torchvision" / "_C.so").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import torch\nfrom assay.base import vision\n"
        f"if {loads}: torch.ops.load_library = print\n"
        "try:\n    print(vision.import_torchvision().works, vision._library and 'declared')\n"
        "except Exception as error:\n    print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().splitlines()[-1] == expected
