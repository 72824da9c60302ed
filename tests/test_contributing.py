"""The example in CONTRIBUTING runs as it stands, and its finding passes the check."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")

BEFORE = """
from __future__ import annotations
from typing import NamedTuple
import numpy as np, torch
from numpy.typing import NDArray
from pydantic import Field
from assay.access import WhiteBox
from assay.base.intervals import clopper_pearson
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Interval, Metric, Samples, Scale, Verdict
from assay.methods.method import Context, WhiteBoxMethod, method
"""
AFTER = """
import assay, pathlib, sys
from assay.methods.check import check_finding
target, folder = assay.load_target("starter/digits-cnn"), pathlib.Path(sys.argv[1])
finding = Noise(max_images=100).run(WhiteBox(target), target.splits, Context(0, target.device, folder, folder))
print(check_finding(finding, Noise.name, folder).metric("success").n)
"""


def test_the_example_of_a_method_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(class .*?)```", TEXT, re.DOTALL)
    module = tmp_path / "example.py"
    module.write_text(BEFORE + example + AFTER)
    done = subprocess.run([sys.executable, str(module), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "100\n", done.stderr
