"""The same way through from Python and from the command line: a target in, an `Audit` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.access import Serving
from assay.access.opening import Terms
from assay.base.errors import NothingAssessedError, UsageError
from assay.base.progress import Progress, silent
from assay.catalogue.curated import expand as matching
from assay.methods.method import Preset
from assay.reports.frame import frame
from assay.reports.html import write_html
from assay.reports.notebook import notebook_html
from assay.reports.overview import write_overview
from assay.reports.report import Report, assemble, write_json
from assay.studies import Outcome, Workspace, plan_methods, plan_trials, run_trials
from assay.studies.units import Place, plan_target
from assay.studies.work import open_place
from assay.targets.target import Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
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
        """Write ``report.html`` and ``report.json`` to a folder (by default in the workspace).

        Returns:
            The path of ``report.html``.
        """
        report = self.report
        place = Path(folder) if folder else self.workspace.path / "reports" / slug(report.target.name)
        write_json(report, place / "report.json")
        write_html(report, self.workspace.path / "artefacts", place / "report.html")
        return place / "report.html"

    def __repr__(self) -> str:
        """The report's summary, in a sentence."""
        return f"<Audit: {self.report.summary}>"

    def _repr_html_(self) -> str:
        return notebook_html(self.report)


def audit(
    target: Target | str,
    *,
    preset: Preset | None = "quick",
    methods: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    serving: Serving | Mapping[str, Any] | None = None,
    seed: int = 0,
    workspace: Workspace | Path | str = "assay-workspace",
    data: str | None = None,
    suspects: str | None = None,
    device: str = "auto",
    live: bool = False,
    budget: int | None = None,
    price_per_1000: float | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Assess one model: a study of one target, with the methods of a preset, or the named ones.

    Args:
        target: a `Target`, or a reference to a model or a service that `open_target` resolves with ``data``,
            ``suspects``, ``device`` and ``seed``.
        preset: ``quick``, ``standard`` or ``full``; None gives the named methods their own defaults.
        methods: names, such as ``evasion.fgsm``; all of the preset, if none is given.
        options: method name to option name to value.
        serving: how the model is exposed; a mapping changes some of what the target says.
        seed: the only source of randomness.
        workspace: a folder; what is finished there is not run again.
        data: see `load_target`.
        suspects: see `load_target`.
        device: see `load_target`.
        live: for a service: images may leave this machine.
        budget: for a service: the most images that this workspace ever asks of it.
        price_per_1000: for a service that does not say: US dollars per 1,000 images.
        progress: where to report to; nowhere by default.

    Raises:
        AssayError: if the target cannot be loaded, or a method, option or value is wrong. A method that fails does
            not raise: its outcome says why.
    """
    progress = progress or silent()
    chosen = plan_methods(preset, methods, options)
    kept = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    if isinstance(target, str):
        place = Place(reference=target, data=data, suspects=suspects, terms=Terms(live, budget, price_per_1000))
        target = open_place(place, kept, device=device, seed=seed, progress=progress)
    else:
        place = Place(reference=target.digest)
    changes = serving.model_dump(mode="json") if isinstance(serving, Serving) else dict(serving or {})
    trials = plan_trials(target, plan_target(place, chosen, [changes], [seed]))
    ran = run_trials(trials, kept, progress)
    return Audit(ran.outcomes, kept, ran.reused)


def expand(references: Sequence[str]) -> list[str]:
    """References with patterns replaced by what they match; see `assay.catalogue.curated.expand`.

    Raises:
        UsageError: if there is no reference, or a pattern matches nothing.
    """
    if not references:
        raise UsageError(
            "Name a model: a catalogue id, timm:NAME, torchvision:NAME, or a target file; or recorded answers, with "
            "--outputs."
        )
    return matching(references)


def write_reports(audits: Sequence[Audit], folder: Path | None = None) -> Path:
    """Write every audit's report, and for more than one an overview that links to them.

    Returns:
        The page to open first.

    Raises:
        NothingAssessedError: if nothing was assessed.
    """
    if not any(outcome.status == "done" for audit in audits for outcome in audit.outcomes):
        reasons = sorted({outcome.reason for audit in audits for outcome in audit.outcomes})
        raise NothingAssessedError(f"Nothing was assessed. {' '.join(reasons)}".rstrip())
    if len(audits) == 1:
        return audits[0].write(folder)
    place = folder or audits[0].workspace.path / "reports"
    reports = [audit.report for audit in audits]
    names = [slug(report.target.name) for report in reports]
    pages = {}
    for audit, report, name in zip(audits, reports, names, strict=True):
        unique = name if names.count(name) == 1 else f"{name}-{report.target.digest[:8]}"
        pages[audit.write(place / unique)] = report
    write_overview(pages, place / "index.html")
    return place / "index.html"


def slug(name: str) -> str:
    """A name as a folder name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "target"
