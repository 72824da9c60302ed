"""A method that does nothing for a while, so that what is measured around it is the engine alone.

`install` makes it a plug-in, as somebody else's package would be: a module and the entry point that names it.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from pydantic import Field

from assay.access import Oracle
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Interval, Metric, Scale, Verdict
from assay.methods.method import Context, OracleMethod, method

SCALE = Scale(risk="up", chance=0.0, high=1e9)


@method
class Sleep(OracleMethod[float]):
    """Sleeps, and reports for how long."""

    name = "evasion.sleep"
    about = About("Sleep", "Sleeps.", "none", threat_model="None.")
    needs = "label"

    seconds: float = Field(default=1.0, ge=0, description="How long.")
    number: int = Field(default=0, ge=0, description="Tells trials apart.")
    ends: str = Field(default="well", description="well, or by what the worker dies: kill.")

    def measure(self, access: Oracle, data: Splits, context: Context) -> float:
        """The seconds slept, or none if the worker is to die."""
        time.sleep(self.seconds)
        if self.ends == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.seconds

    def account(self, result: float, context: Context) -> Finding:
        """The seconds as a metric."""
        interval = Interval(low=result, high=result, method="exact")
        metric = Metric(name="slept", label="Slept", value=result, interval=interval, scale=SCALE)
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
