"""Charts where address space is limited: drawn by another process, or left out, and never the end of a report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.reports import drawing
from assay.reports.drawing import NOT_DRAWN, draw

SPECIFICATION = {
    "data": {"values": [{"a": 1, "b": 2}, {"a": 2, "b": 3}]},
    "mark": "point",
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}},
}


@pytest.mark.parametrize(("form", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_another_process_draws_the_same(form: drawing.Form, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    here = draw(SPECIFICATION, form)
    monkeypatch.setattr(drawing, "_limited", lambda: True)
    there = draw(SPECIFICATION, form)
    assert here is not None
    assert here.startswith(start)
    assert there == here or form == "pdf"  # which holds the time


def test_what_ends_the_other_process_leaves_the_picture_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_limited", lambda: True)
    for end in ("import os; os.abort()", "raise SystemExit(3)", "pass"):
        monkeypatch.setattr(drawing, "_CHILD", end)
        assert draw(SPECIFICATION, "svg") is None


SCRIPT = """
import resource, sys
from pathlib import Path
from assay.reports.html import render_html
from assay.reports.report import assemble
from reports.samples import outcomes
home = Path(sys.argv[1])
report = assemble(outcomes(home))
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
(home / "report.html").write_text(render_html(report, home))
"""


def test_a_report_is_written_with_little_address_space(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert NOT_DRAWN in page
    assert "<svg role" not in page
    assert "Confidence attack" in page
