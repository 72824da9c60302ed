"""``assay replay``: one number of a workspace, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def replay(
    key: Annotated[str, Parameter(help="A trial's key, or its beginning.")],
    /,
    *,
    workspace: Annotated[Path, Parameter(help="Folder of outcomes.")] = Path("assay-workspace"),
    target: Annotated[str | None, Parameter(help="The model [default: as the outcome names it].")] = None,
    data: Annotated[str | None, Parameter(help="Data, where the model does not name its own.")] = None,
    metric: Annotated[str | None, Parameter(help="Which number [default: the one that decided].")] = None,
    seed: Annotated[int | None, Parameter(help="Another seed [default: the same].")] = None,
    device: Annotated[str, Parameter(help="cpu, cuda or auto.")] = "auto",
) -> int:
    """Measure a number again, from nothing. Exit code 0 if it holds, 1 if it differs, 3 if nothing can tell."""
    from functools import partial
    from tempfile import TemporaryDirectory

    from assay.api import prepare
    from assay.base.errors import UsageError
    from assay.base.progress import on_console
    from assay.reports.evidence.replay import compare, find_outcome
    from assay.reports.results import load_results

    outcomes = [outcome for result in load_results(workspace) for outcome in result.report.outcomes]
    kept = find_outcome(outcomes, key)
    if kept.serving.get("policies"):
        raise UsageError("A measurement through response policies cannot be set up from its outcome alone.")
    with TemporaryDirectory() as empty:
        plan = partial(
            prepare,
            target or kept.target.name,
            preset=None,
            methods=[kept.method.name],
            options={kept.method.name: kept.method.options},
            serving=kept.serving or None,
            workspace=Path(empty),
            data=data,
            device=device,
            progress=on_console(),
        )
        again = plan(seed=kept.seed)
        planned = next((trial for trial in again.trials if trial.method.name == kept.method.name), None)
        if planned is None or planned.key != kept.key:
            raise UsageError(
                f"What would be measured now is not what {kept.key[:12]} measured: the model, its data, its serving, "
                "the method's version or its options are others."
            )
        ran = (again if seed in (None, kept.seed) else plan(seed=seed)).run()
    found = compare(kept, next(one for one in ran.outcomes if one.method.name == kept.method.name), metric)
    print(found.sentence)
    return {"holds": 0, "differs": 1, "no interval": 3}[found.status]
