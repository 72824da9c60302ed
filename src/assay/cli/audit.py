"""``assay audit`` and ``assay run``: models in, reports out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from assay.api import Audit, Prepared
    from assay.reports.results import Result
    from assay.studies.schedule import Expected
    from assay.targets.target import Target

Workspace = Annotated[Path, Parameter(help="Folder of outcomes; what is finished there is not run again.")]
Out = Annotated[Path | None, Parameter(help="Folder for report.html and report.json [default: in the workspace].")]
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", help="An option, as method.option=value; may be repeated.", negative=""),
]
Policies = Annotated[
    tuple[str, ...],
    Parameter(
        name="--policy",
        help="What the service does to its posteriors, such as rounding=2 or noise=0.05; may be repeated, in order.",
        negative="",
    ),
]
Data = Annotated[str | None, Parameter(help="Data set: a name, or a path [default: the target's own].")]
DropDuplicates = Annotated[
    bool,
    Parameter(help="Leave out of the non-members what is among the training images too, pixel for pixel.", negative=""),
]
Architecture = Annotated[
    str | None, Parameter(help="The network of a file that holds tensors only, such as torchvision:resnet18.")
]
InputShape = Annotated[
    str | None, Parameter(help="What the network of a file of weights takes, as 3x224x224 [default: as its data are].")
]
NumClasses = Annotated[
    str | None, Parameter(help="The number of classes of a file of weights [default: as its data have].")
]
Reading = Annotated[
    str | None,
    Parameter(
        name="--preprocessing",
        help="What a file of weights expects: unit (0..1), 255, symmetric (-1..1), imagenet, cifar10, mnist, caffe, "
        "inverted, or with -bgr [default: what labelled images fit best, which is said].",
    ),
]
Suspects = Annotated[
    str | None,
    Parameter(help="Images that may carry a backdoor's trigger: a data set, whatever its labels [default: none]."),
]
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.")]
Output = Annotated[
    Literal["posteriors", "top-k", "label"] | None,
    Parameter(help="What a caller of the model gets back [default: as the target says, else posteriors]."),
]
Live = Annotated[bool, Parameter(help="Let images leave this machine, to a service.", negative="")]
Budget = Annotated[int | None, Parameter(help="The most images that this workspace ever asks of a service.")]
Price = Annotated[
    float | None, Parameter(help="US dollars per 1,000 images [default: as the service says; it must, or you].")
]
Minutes = Annotated[
    float | None,
    Parameter(help="All must be done in so many: the cheapest of each question first; what does not fit is skipped."),
]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", help="Say what each method will take, and run nothing.", negative="")
]
Outputs = Annotated[
    Path | None,
    Parameter(help="In place of a model: a .npz file of answers recorded elsewhere (see README, Recorded answers)."),
]
Seed = Annotated[int, Parameter(help="The only source of randomness.")]
Profile = Annotated[
    Literal["open-weights", "paid-api", "on-device", "internal"],
    Parameter(help="How the model will be published, which the report decides for."),
]
Changes = Annotated[
    bool,
    Parameter(help="Measure which change of the serving would turn an elevated or high answer, and at what cost."),
]
Previous = Annotated[
    Path | None,
    Parameter(
        help="The last release's report.json (or a folder or workspace that holds it), to compare with "
        "[default: the last model of the same name in the workspace]."
    ),
]
DEFAULT_WORKSPACE = Path("assay-workspace")
DEFAULT_PROFILE: Literal["open-weights"] = "open-weights"


def audit(
    *references: Annotated[
        str,
        Parameter(
            help="Catalogue ids ('starter/*' matches several), timm:NAME, hf:ORG/NAME@REVISION, folders of "
            "save_pretrained, files of weights, TOML files, or services; a data set may stand last."
        ),
    ],
    data: Data = None,
    architecture: Architecture = None,
    input_shape: InputShape = None,
    num_classes: NumClasses = None,
    preprocessing: Reading = None,
    suspects: Suspects = None,
    drop_duplicates: DropDuplicates = False,
    preset: Annotated[Literal["quick", "standard", "full"], Parameter(help="How much effort.")] = "quick",
    method: Annotated[tuple[str, ...], Parameter(help="Only this method; may be repeated.", negative="")] = (),
    settings: Settings = (),
    output: Output = None,
    policy: Policies = (),
    workspace: Workspace = DEFAULT_WORKSPACE,
    out: Out = None,
    profile: Profile = DEFAULT_PROFILE,
    device: Device = "auto",
    seed: Seed = 0,
    live: Live = False,
    budget: Budget = None,
    price: Price = None,
    minutes: Minutes = None,
    dry_run: DryRun = False,
    changes: Changes = True,
    outputs: Outputs = None,
    previous: Previous = None,
) -> int:
    """Assess models before they are published: how stealable, leaky, backdoored and evadable is each."""
    from assay.api import expand, told

    references, data = told(
        references,
        data,
        architecture=architecture,
        input_shape=input_shape,
        num_classes=num_classes,
        preprocessing=preprocessing,
    )
    wanted = {
        "preset": preset,
        "methods": method,
        "seed": seed,
        "data": data,
        "suspects": suspects,
        "drop_duplicates": drop_duplicates,
        "device": device,
        "previous": _previous(previous),
        **_terms(live, budget, price),
    }
    targets = expand(references) if outputs is None else [_recorded(outputs, references, data or suspects)]
    serving = _serving(output, policy)
    return _audit(targets, settings, serving, workspace, out, wanted, profile, minutes, dry_run, changes=changes)


def run(
    method: Annotated[str, Parameter(help="See assay methods.")],
    reference: Annotated[str, Parameter(help="As for assay audit.")],
    /,
    *,
    data: Data = None,
    suspects: Suspects = None,
    drop_duplicates: DropDuplicates = False,
    settings: Settings = (),
    output: Output = None,
    policy: Policies = (),
    workspace: Workspace = DEFAULT_WORKSPACE,
    out: Out = None,
    device: Device = "auto",
    seed: Seed = 0,
    live: Live = False,
    budget: Budget = None,
    price: Price = None,
) -> int:
    """Run one method on one model, with the method's own defaults."""
    wanted = {
        "preset": None,
        "methods": (method,),
        "seed": seed,
        "data": data,
        "suspects": suspects,
        "drop_duplicates": drop_duplicates,
        "device": device,
        **_terms(live, budget, price),
    }
    return _audit([reference], settings, _serving(output, policy), workspace, out, wanted)


def _recorded(outputs: Path, references: Sequence[str], data: str | None) -> Target:
    from assay.base.errors import UsageError
    from assay.targets.recorded_answers import read_outputs

    if references or data is not None:
        raise UsageError("--outputs stands in place of a model and its data: name one or the other.")
    return read_outputs(outputs)


def _previous(path: Path | None) -> Sequence[Result]:
    from assay.reports.results import load_results

    return load_results(path) if path is not None else ()


def _serving(output: str | None, policies: tuple[str, ...]) -> dict[str, Any]:
    return ({"output": output} if output else {}) | ({"policies": policies} if policies else {})


def _terms(live: bool, budget: int | None, price: float | None) -> dict[str, Any]:
    return {"live": live, "budget": budget, "price_per_1000": price}


def _audit(
    targets: Sequence[Target | str],
    settings: Sequence[str],
    serving: dict[str, Any],
    workspace: Path,
    out: Path | None,
    wanted: dict[str, Any],
    profile: str = DEFAULT_PROFILE,
    minutes: float | None = None,
    dry_run: bool = False,
    *,
    changes: bool = False,
) -> int:
    began = time.monotonic()  # before torch is imported
    from assay import api
    from assay.base.errors import WorkspaceError
    from assay.base.progress import on_console
    from assay.cli.explained import explained
    from assay.studies import Workspace, parse_settings, plan_methods

    api.check_minutes(minutes)
    opened, progress, options = Workspace(workspace), on_console(), parse_settings(settings)
    plan_methods(wanted["preset"], wanted["methods"], options)  # what is wrong with all is said once
    audits: list[Audit] = []
    left_out: list[Exception] = []
    quick = wanted["preset"] == "quick" and not wanted["methods"] and minutes is None
    for target in targets:
        try:
            prepared = api.prepare(
                target, options=options, serving=serving, workspace=opened, progress=progress, **wanted
            )
        except WorkspaceError:
            raise
        except Exception as error:
            if len(targets) == 1:
                raise
            progress.say(f"{target} is left out: {explained(error)[0]}")
            left_out.append(error)
            continue
        if dry_run:
            _print_expected(prepared.target.name, list(chain(*prepared.expected())), changes)
            continue
        if not audits:
            prepared = replace(prepared, began=began)
        write = partial(_write, out=out, profile=profile)
        found = _run(prepared, QUICK if quick else minutes, write, in_order=minutes is None, alone=len(targets) == 1)
        audits.append(prepared.measure_changes(found, minutes=minutes) if changes else found)
    if left_out and len(left_out) == len(targets):
        raise left_out[0]
    code = 0 if dry_run else show(audits, out, profile)
    if left_out:
        progress.say(f"{len(left_out)} of {len(targets)} models were left out; why is said above.")
    return 2 if left_out else code


WORTH_A_FIRST_REPORT = 20.0
"""Seconds that the methods after the first of each question must be expected to take for a report before them."""


QUICK = 8.0
"""Minutes in which the methods of a quick audit must be done; with a quarter more for changes it ends within ten."""


def _run(
    prepared: Prepared, minutes: float | None, write: Callable[[Audit], Path], *, in_order: bool, alone: bool
) -> Audit:
    """Run one audit; interrupted, it says what is kept and how to go on.

    With ``in_order`` the time that is left is shown, and methods keep their order in each tier; else the cheapest go
    first.
    """
    from assay.studies.schedule import duration, total

    done, rest = 0, 0.0

    def heard(audit: Audit, first: bool) -> None:
        nonlocal done
        done = sum(outcome.status == "done" for outcome in audit.outcomes)
        if first and alone and done and (not in_order or rest > WORTH_A_FIRST_REPORT):
            prepared.progress.say(f"A first report: {write(audit)}")

    expected = prepared.expected() if in_order else None
    everything = list(chain(*expected or []))
    if expected and (seconds := total(everything)):
        unknown, rest = sum(each.seconds is None for each in everything), total(expected[-1])
        more = f", and {unknown} that cannot be told beforehand" if unknown else ""
        prepared.progress.say(f"{prepared.target.name}: {len(everything)} methods, about {duration(seconds)}{more}.")
        if minutes is not None and seconds > 60 * minutes:
            prepared.progress.say(
                f"A quick audit leaves out what does not fit into {minutes:g} minutes: --minutes allows more."
            )
    try:
        return prepared.run(expected, minutes=minutes, heard=heard)
    except KeyboardInterrupt:
        prepared.progress.say(
            f"{done} of {len(prepared.trials)} methods of {prepared.target.name} are finished and kept in "
            f"{prepared.workspace.path}."
        )
        raise


def _write(audit: Audit, out: Path | None, profile: str) -> Path:
    return audit.write(out, profile)


def _print_expected(name: str, expected: Sequence[Expected], changes: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from assay.studies.changing import LEAST, SHARE
    from assay.studies.schedule import duration, total

    table = Table(title=f"{name}: what an audit will take", title_justify="left")
    table.add_column("method", no_wrap=True)
    for column in ("questions", "gradients", "training", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for each in expected:
        work, shown = each.work, ("", "", "")
        if work is not None:
            asked = work.members + work.non_members + work.auxiliary + work.forwards
            shown = (f"{asked:,.0f}", f"{work.gradients:,.0f}", f"{work.training:,.0f}")
        seconds = "?" if each.seconds is None else duration(each.seconds)
        table.add_row(each.trial.method.name, *shown, seconds, "" if each.basis == "counted" else each.basis)
    console = Console()
    console.print(table)
    console.print(
        f"About {duration(total(expected))} in all. Questions and gradients are images through the model, training is "
        "images through training steps of a copy; each was timed on this machine for a moment.",
        highlight=False,
    )
    if changes:
        most = duration(max(LEAST, SHARE * total(expected)))
        console.print(
            f"Where an answer is elevated or high, changes of the serving are tried for at most {most} more.",
            highlight=False,
        )
    if unknown := sum(each.seconds is None for each in expected):
        console.print(f"{unknown} methods cannot be told beforehand, and are not in the sum.", highlight=False)


def show(audits: Sequence[Audit], out: Path | None, profile: str = DEFAULT_PROFILE) -> int:
    """Write the reports, print their summaries, and return the exit code."""
    from rich.console import Console

    from assay.api import write_reports
    from assay.reports.terminal import print_summary

    console = Console()
    first = write_reports(audits, out, profile)
    for audit in audits:
        print_summary(audit.report, console, profile=profile)
    outcomes = [outcome for audit in audits for outcome in audit.outcomes]
    if sum(audit.reused for audit in audits) == len(outcomes):
        console.print("Nothing was measured: every outcome was there already.", highlight=False)
    console.print(f"Report: {first}", highlight=False, soft_wrap=True)
    return 2 if any(outcome.status == "failed" for outcome in outcomes) else 0
