"""The same way through from Python and from the command line: a target in, an `Audit` out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.access import Serving
from assay.access.opening import Terms
from assay.base.errors import UsageError
from assay.base.progress import Progress, silent
from assay.catalogue.curated import expand as matching
from assay.methods.method import Preset
from assay.reports.decision import DEFAULT
from assay.reports.frame import frame
from assay.reports.html import notebook_html
from assay.reports.previous import beside, earlier, require_comparable
from assay.reports.report import Report, assemble
from assay.reports.results import Result, load_results
from assay.reports.writing import own_folder, write_report
from assay.reports.writing import write_reports as write_results
from assay.studies import Outcome, Trial, Workspace, plan_methods, plan_trials, run_trials
from assay.studies.changes import read_changes
from assay.studies.changing import measure_changes
from assay.studies.plan import without_covered
from assay.studies.sanity_check import look
from assay.studies.schedule import Expected, run_expected, tiers
from assay.studies.units import Place, plan_target
from assay.studies.work import open_place
from assay.targets.file_reference import file_reference, is_data, with_options
from assay.targets.hugging_face.hub import PREFIX
from assay.targets.inferred import infer
from assay.targets.reference import find_entry, open_model, pick_device
from assay.targets.target import Target
from assay.targets.target_file import TargetFile
from assay.targets.written import write_target_file

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Audit:
    """What was found of one target.

    ``reused`` counts the trials that an earlier run had finished; ``reference`` is how the target was named.
    ``previous`` is its last release; without one, an earlier model of its name in the workspace is.
    """

    outcomes: list[Outcome]
    workspace: Workspace
    reused: int
    reference: str | None = None
    previous: Result | None = None

    @cached_property
    def report(self) -> Report:
        """The four questions and their answers, beside what else the workspace holds."""
        changes, known = read_changes(self.workspace.path, self.outcomes), self.workspace.outcomes()
        found = Result(assemble(self.outcomes, changes, self.reference, known), self.workspace.path / "artefacts")
        return beside(found, self.previous or earlier(found, known))

    def frame(self) -> pd.DataFrame:
        """One row a metric."""
        return frame(self.outcomes)

    def write(self, folder: Path | str | None = None, profile: str = DEFAULT) -> Path:
        """Write ``report.html`` and ``report.json`` to a folder (by default in the workspace).

        ``profile`` is the way of publishing that the page decides for (see `assay.reports.decision`).

        Returns:
            The path of ``report.html``.
        """
        report = self.report
        place = Path(folder) if folder else own_folder(report, self.workspace.path / "reports")
        return write_report(report, self.workspace.path / "artefacts", place, profile)

    def __repr__(self) -> str:
        """The report's summary, in a sentence."""
        return f"<Audit: {self.report.summary}>"

    def _repr_html_(self) -> str:
        return notebook_html(self.report)


@dataclass(frozen=True)
class Prepared:
    """An opened target and its trials. ``began`` is when preparing began, by `time.monotonic`."""

    target: Target
    trials: list[Trial]
    workspace: Workspace
    progress: Progress
    began: float
    reference: str | None = None
    previous: Result | None = None

    def measure_changes(self, audit: Audit, *, minutes: float | None = None, seconds: float | None = None) -> Audit:
        """Measure what changes of the serving would turn the elevated and high answers of an audit of these trials.

        ``minutes`` is the time since preparing began in which all must be done, ``seconds`` what may be spent on the
        changes; see `assay.studies.changing.measure_changes` for what is spent without either.

        Returns:
            The audit, whose report says what was measured.

        Raises:
            WorkspaceError: if the workspace cannot be written.
        """
        if minutes is not None:
            seconds = self.began + 60 * minutes - RESERVE - time.monotonic()
        measure_changes(self.trials, audit.outcomes, self.workspace, self.progress, seconds=seconds)
        return replace(audit)

    def expected(self) -> list[list[Expected]]:
        """What each trial will take, by what it says of itself and a calibration of a second or so.

        The cheapest trial of each question is in the first list, the others in the second.
        """
        return tiers(self.trials, self.workspace, by_cost=False)

    def run(
        self,
        expected: Sequence[Sequence[Expected]] | None = None,
        *,
        minutes: float | None = None,
        heard: Callable[[Audit, bool], None] = lambda audit, first: None,
    ) -> Audit:
        """Run what is not finished.

        Args:
            expected: what `expected` said, run in that order; progress then shows the time that is left of all.
            minutes: the time since preparing began in which all must be done. Without ``expected`` the cheapest method
                of each question goes first; what does not fit is skipped, and its outcome says so.
            heard: called after each method with what is there so far, and whether every question was just gone through
                for the first time.

        Raises:
            UsageError: if ``minutes`` is not above 0.
            WorkspaceError: if the workspace cannot be written; finished trials are kept.
        """
        check_minutes(minutes)
        if expected is None and minutes is None:
            ran = run_trials(self.trials, self.workspace, self.progress)
            return Audit(ran.outcomes, self.workspace, ran.reused, self.reference, self.previous)
        so_far: list[Outcome] = []
        rounds = 0

        def hear(outcome: Outcome, last: bool) -> None:
            nonlocal rounds
            so_far.append(outcome)
            rounds += last
            heard(Audit(list(so_far), self.workspace, 0, self.reference, self.previous), last and rounds == 1)

        groups = tiers(self.trials, self.workspace) if expected is None else expected
        until = None if minutes is None else self.began + 60 * minutes - RESERVE
        ran = run_expected(groups, self.workspace, self.progress, until=until, heard=hear)
        order = {trial.key: place for place, trial in enumerate(self.trials)}
        ordered = sorted(ran.outcomes, key=lambda outcome: order[outcome.key])
        return Audit(ordered, self.workspace, ran.reused, self.reference, self.previous)


def check_minutes(minutes: float | None) -> None:
    """Check the time in which an audit must be done.

    Raises:
        UsageError: if it is not above 0.
    """
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError(f"The minutes must be more than 0, not {minutes:g}.")


RESERVE = 5.0
"""Seconds that are kept for the report, where a time is set."""


def prepare(
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
    drop_duplicates: bool = False,
    device: str = "auto",
    live: bool = False,
    budget: int | None = None,
    price_per_1000: float | None = None,
    previous: Sequence[Result] = (),
    progress: Progress | None = None,
) -> Prepared:
    """Open a target and plan what is to be run on it; see `audit`, which also runs it.

    ``previous`` are results among which its last release is (`assay.reports.results.load_results`).
    """
    began = time.monotonic()
    progress = progress or silent()
    chosen = plan_methods(preset, methods, options)
    whole = preset == "quick" and not methods
    kept = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    reference = target if isinstance(target, str) else None
    if isinstance(target, str):
        terms = Terms(live, budget, price_per_1000)
        place = Place(reference=target, data=data, suspects=suspects, drop_duplicates=drop_duplicates, terms=terms)
        target = open_place(place, kept, device=device, seed=seed, progress=progress)
    else:
        place = Place(reference=target.digest)
    if whole:
        chosen = without_covered(chosen, target)
    last = require_comparable(target, previous) if previous else None
    changes = serving.model_dump(mode="json") if isinstance(serving, Serving) else dict(serving or {})
    trials = plan_trials(target, plan_target(place, chosen, [changes], [seed]), look(target, kept))
    return Prepared(target, trials, kept, progress, began, reference, last)


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
    drop_duplicates: bool = False,
    device: str = "auto",
    live: bool = False,
    budget: int | None = None,
    price_per_1000: float | None = None,
    progress: Progress | None = None,
    minutes: float | None = None,
    changes: bool = False,
    previous: Path | str | None = None,
) -> Audit:
    """Assess one model: a study of one target, with the methods of a preset, or the named ones.

    Args:
        target: a `Target`, or a reference to a model or a service, as `open_target` takes it.
        preset: ``quick``, ``standard`` or ``full``; None gives the named methods their own defaults.
        methods: names, such as ``evasion.fgsm``; all of the preset, if none is given.
        options: method name to option name to value.
        serving: how the model is exposed; a mapping changes some of what the target says.
        seed: the only source of randomness.
        workspace: a folder; what is finished there is not run again.
        data: see `load_target`.
        suspects: see `load_target`.
        drop_duplicates: see `load_target`.
        device: see `load_target`.
        live: for a service: images may leave this machine.
        budget: for a service: the most images that this workspace ever asks of it.
        price_per_1000: for a service that does not say: US dollars per 1,000 images.
        progress: where to report to; nowhere by default.
        minutes: all must be done in so many; see `Prepared.run`.
        changes: also measure what changes of the serving would turn elevated and high answers.
        previous: the last release's ``report.json``, or a workspace or folder that holds one of the target's name, to
            compare with; by default the last model of its name that ``workspace`` measured before.

    Raises:
        AssayError: if the target cannot be loaded, or a method, option or value is wrong; not if a method fails.
    """
    prepared = prepare(
        target,
        preset=preset,
        methods=methods,
        options=options,
        serving=serving,
        seed=seed,
        workspace=workspace,
        data=data,
        suspects=suspects,
        drop_duplicates=drop_duplicates,
        device=device,
        live=live,
        budget=budget,
        price_per_1000=price_per_1000,
        previous=load_results(Path(previous)) if previous is not None else (),
        progress=progress,
    )
    found = prepared.run(minutes=minutes)
    return prepared.measure_changes(found, minutes=minutes) if changes else found


def told(
    references: Sequence[str], data: str | None = None, **options: str | None
) -> tuple[tuple[str, ...], str | None]:
    """References with what the user says of their files of weights, and the data, which may stand last among them.

    Raises:
        UsageError: if there are options, and a reference is to no file of weights.
    """
    *models, last = references or ("",)
    if models and data is None and is_data(last):
        references, data = models, last
    return tuple(with_options(reference, **options) for reference in references), data


def describe(
    reference: str,
    data: str,
    out: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    **options: str | None,
) -> dict[str, str]:
    """Write a target file with what can be told of a model and its data; see `assay.targets.inferred.infer`.

    Returns:
        Sentences by key: what was inferred, and from what.

    Raises:
        UsageError: if the reference needs no target file, or ``out`` is there already.
        AssayError: if the model cannot be opened, or something of it cannot be told.
    """
    if out.exists():
        raise UsageError(f"{out} is there already: name another file with --out.")
    file = file_reference(with_options(reference, **options))
    if file is not None:
        described, _, notes = infer(file, data, pick_device("cpu"), seed, progress or silent())
    elif reference.startswith(PREFIX) or Path(reference).expanduser().is_dir():
        open_model(reference, seed=seed, progress=progress)
        described, notes = TargetFile(weights=reference), {"weights": "its own configuration says the rest"}
    else:
        find_entry(reference)
        raise UsageError(f"{reference} needs no target file: say assay audit {reference}.")
    write_target_file(out, described, data, notes)
    return notes


def expand(references: Sequence[str]) -> list[str]:
    """References with patterns replaced by what they match; see `assay.catalogue.curated.expand`.

    Raises:
        UsageError: if there is no reference, or a pattern matches nothing.
    """
    if not references:
        raise UsageError(
            "Name a model: a catalogue id, timm:NAME, torchvision:NAME, a file or folder of weights, or a target file; "
            "or recorded answers, with --outputs."
        )
    return matching(references)


def write_reports(audits: Sequence[Audit], folder: Path | None = None, profile: str = DEFAULT) -> Path:
    """Write every audit's report, and for more than one an overview that links to them.

    Returns:
        The page to open first.

    Raises:
        NothingAssessedError: if nothing was assessed.
    """
    workspace = audits[0].workspace.path
    return write_results(
        [Result(audit.report, workspace / "artefacts") for audit in audits], workspace, folder, profile
    )
