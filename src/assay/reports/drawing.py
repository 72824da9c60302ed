"""Vega-Lite charts as SVG, HTML, PNG or PDF, drawn so that no chart can end a report.

The engine that draws them reserves gigabytes of address space, and ends the whole process where it does not get them
(``ulimit -v``, as schedulers of clusters set it). Where address space is limited, it works in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Literal

Form = Literal["svg", "html", "png", "pdf"]

NOT_DRAWN = "A picture is left out: what draws it needs more address space than this process may have (ulimit -v)."
PATIENCE = 120
_CHILD = "from assay.reports.drawing import main; main()"


def draw(specification: dict[str, Any], form: Form) -> bytes | None:
    """A chart, or None where it cannot be drawn."""
    if not _limited():
        return _drawn(specification, form)
    asked = json.dumps({"form": form, "specification": specification}).encode()
    try:
        done = subprocess.run([sys.executable, "-c", _CHILD], input=asked, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and done.stdout else None


def _limited() -> bool:
    try:
        import resource
    except ImportError:  # not on Windows, where nothing sets such a limit
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _drawn(specification: dict[str, Any], form: Form) -> bytes:
    import vl_convert

    if form == "html":
        import altair as alt
        from altair.utils import spec_to_html

        versions = (alt.VEGA_VERSION, alt.VEGAEMBED_VERSION, alt.VEGALITE_VERSION)
        return spec_to_html(
            specification, "vega-lite", *versions, output_div="charts", fullhtml=False, template="inline"
        ).encode()
    if form == "svg":
        picture: str = vl_convert.vegalite_to_svg(specification)
        return picture.encode()
    convert = vl_convert.vegalite_to_png if form == "png" else vl_convert.vegalite_to_pdf
    content: bytes = convert(specification)
    return content


def main() -> None:
    """Draw what standard input asks for to standard output."""
    asked = json.load(sys.stdin.buffer)
    sys.stdout.buffer.write(_drawn(asked["specification"], asked["form"]))
