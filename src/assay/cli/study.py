"""``assay study``: many models, many methods, declared on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from assay.studies.states import State, StudyState
    from assay.studies.study_file import Study

app = App(name="study", help="Run a study: many models, many methods, declared in a file.")

File = Annotated[str, Parameter(help="A study file (TOML), or preset:NAME.")]
Place = Annotated[Path | None, Parameter(name="--workspace", help="Folder of outcomes [default: as the file says].")]
Workers = Annotated[int | None, Parameter(help="Processes, or Ray's actors [default: as the file says].")]
Engine = Annotated[
    Literal["local", "ray"] | None, Parameter(help="This machine, or Ray [default: as the file says, else local].")
]


@app.command
def new(
    preset: Annotated[str, Parameter(help="quick, population, securitynet, mebench, foundation or ondevice.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write [default: PRESET.toml].")] = None,
) -> None:
    """Write a study file to begin from."""
    from rich.console import Console

    from assay.base.errors import UsageError
    from assay.studies.study_file import PRESET, study_text

    text, place = study_text(PRESET + preset), out or Path(f"{preset}.toml")
    if place.exists():
        raise UsageError(f"{place} exists already: name another file with --out.")
    place.write_text(text, encoding="utf-8")
    Console().print(f"Written: {place}. Next: assay study plan {place}", highlight=False, soft_wrap=True)


@app.command
def plan(file: File, /, *, workspace: Place = None) -> None:
    """What a study will run and take: trials, questions, hours, dollars, disk. Runs nothing."""
    from rich.console import Console
    from rich.table import Table

    from assay.studies.estimate import Estimate, plan_study
    from assay.studies.study_file import read_study

    found = plan_study(read_study(file), workspace)
    rows = [(row.method, row.units, row.finished, row.estimate) for row in found.rows]
    whole = ("all", sum(row.units for row in found.rows), sum(row.finished for row in found.rows), found.total)
    columns = ["trials", "done", "hours", "images", "forwards", "dollars", "MB"]
    absent = {"done"} if not whole[2] else set[str]()
    absent |= {"dollars"} if not whole[3].dollars else set()
    table = Table(title=f"Study {found.study.name}: {found.targets} targets", title_justify="left")
    table.add_column("method", no_wrap=True)
    for column in columns:
        if column not in absent:
            table.add_column(column, justify="right", no_wrap=True)

    def add(name: str, units: int, done: int, estimate: Estimate) -> None:
        seconds, images, forwards, dollars, size = estimate
        numbers = (f"{seconds / 3600:.2f}", _short(images), _short(forwards), f"{dollars:,.2f}", _short(size / 1e6))
        cells = zip(columns, (f"{units}", f"{done}", *numbers), strict=True)
        table.add_row(name, *(cell for column, cell in cells if column not in absent))

    for each in rows:
        add(*each)
    table.add_section()
    add(*whole)
    console = Console()
    console.print(table)
    for line in _left_out(found.study):
        console.print(line, highlight=False, markup=False)
    console.print("Of what is not done yet. Hours are of one worker; n workers share them.", highlight=False)
    for row in found.rows:
        if row.basis:
            console.print(f"{row.method} is estimated from: {'; '.join(row.basis)}.", highlight=False)
    if unknown := sum(row.unknown for row in found.rows):
        console.print(
            f"{unknown} trials are not in these sums: nothing like them was measured in this workspace, and the file "
            "declares no [costs] for them.",
            highlight=False,
            markup=False,
        )


@app.command
def run(file: File, /, *, workspace: Place = None, workers: Workers = None, engine: Engine = None) -> int:
    """Run a study, or go on with it. What is finished is not run again."""
    return _run(file, workspace, workers, engine)


@app.command
def resume(file: File, /, *, workspace: Place = None, workers: Workers = None, engine: Engine = None) -> int:
    """Go on with a study that was interrupted. A finished one is left as it is."""
    return _run(file, workspace, workers, engine, begun=True)


@app.command
def retry(
    file: File,
    /,
    *,
    failed: Annotated[bool, Parameter(help="What failed.", negative="")] = False,
    skipped: Annotated[bool, Parameter(help="What was skipped.", negative="")] = False,
    workspace: Place = None,
    workers: Workers = None,
    engine: Engine = None,
) -> int:
    """Run again what --failed or was --skipped, once the cause is mended."""
    from assay.base.errors import UsageError

    again: list[State] = [*(["failed"] if failed else []), *(["skipped"] if skipped else [])]  # type: ignore[list-item]
    if not again:
        raise UsageError("Say what to run again: --failed, --skipped, or both.")
    return _run(file, workspace, workers, engine, begun=True, again=again)


@app.command
def status(
    workspace: Annotated[Path, Parameter(help="Folder of outcomes.")],
    name: Annotated[str | None, Parameter(help="One study, with what failed; all, if none is given.")] = None,
    /,
) -> int:
    """How far the studies of a workspace are, while they run or later."""
    from rich.console import Console
    from rich.table import Table

    from assay.base.errors import UsageError, nearest
    from assay.studies.states import read_studies

    studies = {study.name: study for study in read_studies(workspace)}
    if name is not None and name not in studies:
        raise UsageError(f"{workspace} holds no study {name!r}: {nearest(name, studies)}")
    if not studies:
        raise UsageError(f"{workspace} holds no study.")
    console = Console()
    states: tuple[State, ...] = ("done", "running", "waiting", "failed", "skipped")
    table = Table("study", "units", *states, "file")
    shown = [studies[name]] if name else list(studies.values())
    for study in shown:
        counts = [str(study.count(state)) for state in states]
        table.add_row(study.name, str(len(study.units)), *counts, study.file)
    console.print(table)
    if name:
        _print_failures(studies[name])
    return 2 if any(study.count("failed") for study in shown) else 0


@app.command
def prune(workspace: Annotated[Path, Parameter(help="Folder of outcomes.")], /) -> None:
    """Remove what interrupted runs left behind. Nothing that was measured is removed."""
    from rich.console import Console

    from assay.base.errors import WorkspaceError
    from assay.studies import Workspace
    from assay.studies.prune import prune as remove

    if not (workspace / "workspace.json").exists():
        raise WorkspaceError(f"{workspace} is not a workspace: it holds no workspace.json.")
    found = remove(Workspace(workspace))
    Console().print(f"Removed {found.files} files, {found.bytes / 1e6:.1f} MB.", highlight=False)


def _short(number: float) -> str:
    """``950``, ``17.6 k``, ``4.46 M``: three digits are all that an estimate has."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{number:,.0f}"


def _left_out(study: Study) -> list[str]:
    """What each query selects and a study cannot open, a sentence for each query."""
    lines = []
    for choice in study.targets:
        if names := choice.left_out():
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(
                f"Left out, for they do not load by their id: {len(names)} of the models that {choice.query!r} selects "
                f"({', '.join(names[:5])}{more}); describe one in a target file, and name that."
            )
    return lines


def _run(
    file: str,
    workspace: Path | None,
    workers: int | None,
    engine: Literal["local", "ray"] | None,
    *,
    begun: bool = False,
    again: list[State] | None = None,
) -> int:
    from rich.console import Console

    from assay.base.progress import on_console
    from assay.studies.coordinator import run_study
    from assay.studies.study_file import read_study, study_text

    study = read_study(file)
    changes = {"workers": workers, "kind": engine}
    changed = {key: value for key, value in changes.items() if value is not None}
    study = study.model_copy(update={"engine": study.engine.model_copy(update=changed)})
    progress = on_console()
    for line in _left_out(study):
        progress.say(line)
    ran = run_study(
        study,
        file=file,
        text=study_text(file),
        workspace=workspace,
        begun=begun,
        retry=again or [],
        progress=progress,
    )
    console, state = Console(soft_wrap=True), ran.state
    if not ran.measured and not ran.spent:
        console.print(f"Nothing was measured: the study {study.name} is finished.", highlight=False)
    counts = ", ".join(f"{state.count(each)} {each}" for each in ("done", "failed", "skipped", "waiting"))
    console.print(f"{study.name}: {counts} of {len(state.units)}. Workspace: {ran.workspace}", highlight=False)
    if ran.spent:
        console.print(f"{ran.spent} Raise it and run again to go on.", highlight=False)
    _print_failures(state)
    if state.count("failed"):
        console.print(f"To try these again: assay study retry {file} --failed", highlight=False)
    return 2 if state.count("failed") or ran.spent else 0


def _print_failures(study: StudyState) -> None:
    """Causes, the most frequent first, with where they occurred."""
    from rich.console import Console

    console, causes = Console(soft_wrap=True), dict[str, list[str]]()
    for unit in study.units:
        if unit.state == "failed":
            causes.setdefault(unit.reason, []).append(f"{unit.reference} {unit.method}, seed {unit.seed}")
    for reason, places in sorted(causes.items(), key=lambda item: -len(item[1])):
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        console.print(f"Failed: {'; '.join(places[:3])}{more}: {reason}", highlight=False, markup=False)
