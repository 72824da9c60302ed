"""A method that does nothing for a while, so that what is measured around it is the engine alone.

`install` makes it a plug-in, as somebody else's package would be: a module and the entry point that names it.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from assay.data.splits import Splits
from assay.methods.finding import Family, Finding, Interval, Metric, Verdict
from assay.methods.method import Context, Method, Need, method


@method
class Sleep(Method):
    """Sleeps, and reports for how long."""

    name: ClassVar[str] = "evasion.sleep"
    family: ClassVar[Family] = "evasion"
    needs: ClassVar[Need] = "label"
    title: ClassVar[str] = "Sleep"
    summary: ClassVar[str] = "Sleeps."
    threat_model: ClassVar[str] = "None."
    paper: ClassVar[str] = "none"

    seconds: float = Field(default=1.0, ge=0, description="How long.")
    number: int = Field(default=0, ge=0, description="Tells trials apart.")
    ends: str = Field(default="well", description="well, or by what the worker dies: kill.")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`."""
        time.sleep(self.seconds)
        if self.ends == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        interval = Interval(low=self.seconds, high=self.seconds, method="exact")
        metric = Metric(name="slept", label="Slept", value=self.seconds, interval=interval)
        return Finding(metrics=[metric], verdict=Verdict(level="low", metric="slept", sentence="It slept."))


def install(folder: Path) -> Path:
    """Make this module a plug-in of whoever has ``folder`` on its PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(__file__, folder / "sleeping_method.py")
    described = folder / "sleeping_method-1.0.dist-info"
    described.mkdir(exist_ok=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeping-method\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[assay.methods]\nsleep = sleeping_method:Sleep\n")
    return folder
