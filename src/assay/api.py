"""The same way through from Python: a target in, an `Audit` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.access import Serving
from assay.base.progress import Progress, silent
from assay.methods.method import Preset
from assay.reports.frame import frame
from assay.reports.html import write_html
from assay.reports.notebook import notebook_html
from assay.reports.report import Report, assemble
from assay.studies import Outcome, Workspace, make_method, plan_methods, plan_trials, run_trials
from assay.studies.workspace import write_text
from assay.targets.reference import load_target
from assay.targets.target import Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Audit:
    """What was found of one target. ``reused`` counts the trials that an earlier run had finished."""

    outcomes: list[Outcome]
    workspace: Workspace
    reused: int

    @property
    def report(self) -> Report:
        """The four questions and their answers."""
        return assemble(self.outcomes)

    def frame(self) -> pd.DataFrame:
        """One row a metric."""
        return frame(self.outcomes)

    def write(self, folder: Path | str | None = None) -> Path:
        """Write ``report.html`` and ``report.json`` to a folder (by default in the workspace); the former's path."""
        report = self.report
        place = Path(folder) if folder else self.workspace.path / "reports" / slug(report.target.name)
        return write_report(report, self.workspace, place)

    def _repr_html_(self) -> str:
        return notebook_html(self.report)


def audit(
    target: Target | str,
    *,
    preset: Preset | None = "quick",
    methods: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    serving: Serving | None = None,
    seed: int = 0,
    workspace: Workspace | Path | str = "assay-workspace",
    data: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Audit:
    """Assess one model: the methods of a preset, or the named ones.

    Args:
        target: a `Target`, or a reference that `assay.load_target` resolves with ``data`` and ``device``.
        preset: ``quick``, ``standard`` or ``full``; None gives the named methods their own defaults.
        methods: names, such as ``evasion.fgsm``; all of the preset, if none is given.
        options: method name to option name to value.
        serving: how the model is exposed; by default as the target says.
        seed: the only source of randomness.
        workspace: a folder; what is finished there is not run again.
        data: see `load_target`.
        device: see `load_target`.
        progress: where to report to; nowhere by default.

    Raises:
        AssayError: if the target cannot be loaded, or a method, option or value is wrong. A method that fails does
            not raise: its outcome says why.
    """
    progress = progress or silent()
    chosen = (
        plan_methods(preset, methods, options)
        if preset
        else [make_method(name, None, (options or {}).get(name)) for name in methods]
    )
    if isinstance(target, str):
        target = load_target(target, data=data, device=device, seed=seed, progress=progress)
    place = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    ran = run_trials(plan_trials([target], chosen, serving or Serving.of(target), [seed]), place, progress)
    return Audit(ran.outcomes, place, ran.reused)


def write_report(report: Report, workspace: Workspace, folder: Path) -> Path:
    """Write ``report.html`` and ``report.json``; the former's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "report.json", report.model_dump_json(indent=1) + "\n")
    write_html(report, workspace.path / "artefacts", folder / "report.html")
    return folder / "report.html"


def slug(name: str) -> str:
    """A name as a folder name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "target"
