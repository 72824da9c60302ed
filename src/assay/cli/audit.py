"""``assay audit`` and ``assay run``: models in, reports out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

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
Device = Annotated[str, Parameter(help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.")]
Output = Annotated[
    Literal["posteriors", "top-k", "label"] | None,
    Parameter(help="What a caller of the model gets back [default: as the target says, else posteriors]."),
]
DEFAULT_WORKSPACE = Path("assay-workspace")


def audit(
    *references: Annotated[str, Parameter(help="Catalogue ids (starter/* matches several), timm:NAME, or TOML files.")],
    data: Data = None,
    preset: Annotated[Literal["quick", "standard", "full"], Parameter(help="How much effort.")] = "quick",
    method: Annotated[tuple[str, ...], Parameter(help="Only this method; may be repeated.", negative="")] = (),
    settings: Settings = (),
    output: Output = None,
    policies: Policies = (),
    workspace: Workspace = DEFAULT_WORKSPACE,
    out: Out = None,
    device: Device = "auto",
    seed: Annotated[int, Parameter(help="The only source of randomness.")] = 0,
) -> int:
    """Assess models before they are published: how stealable, leaky, backdoored and evadable is each."""
    from assay.api import audit_all
    from assay.base.progress import on_console
    from assay.studies import parse_settings

    return audit_all(
        references,
        data=data,
        preset=preset,
        methods=method,
        options=parse_settings(settings),
        output=output,
        policies=policies,
        workspace=workspace,
        out=out,
        device=device,
        seed=seed,
        progress=on_console(),
    )


def run(
    method: Annotated[str, Parameter(help="See assay methods.")],
    reference: Annotated[str, Parameter(help="As for assay audit.")],
    /,
    *,
    data: Data = None,
    settings: Settings = (),
    output: Output = None,
    policies: Policies = (),
    workspace: Workspace = DEFAULT_WORKSPACE,
    out: Out = None,
    device: Device = "auto",
    seed: Annotated[int, Parameter(help="The only source of randomness.")] = 0,
) -> int:
    """Run one method on one model, with the method's own defaults."""
    from assay.api import audit_all
    from assay.base.progress import on_console
    from assay.studies import parse_settings

    return audit_all(
        (reference,),
        data=data,
        preset=None,
        methods=(method,),
        options=parse_settings(settings),
        output=output,
        policies=policies,
        workspace=workspace,
        out=out,
        device=device,
        seed=seed,
        progress=on_console(),
    )
