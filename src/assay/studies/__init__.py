"""Plan, trials, engine, workspace: one way through, for one model or for a thousand."""

from typing import TYPE_CHECKING

from assay.base.lazy import lazily

if TYPE_CHECKING:
    from assay.studies.outcome import Outcome
    from assay.studies.plan import make_method, parse_settings, plan_methods
    from assay.studies.run import Ran, run_trials
    from assay.studies.trial import Trial, plan_trials
    from assay.studies.workspace import Workspace

# Outcomes and workspaces are read where torch is not installed.
__getattr__ = lazily(
    __name__,
    {
        "Outcome": "assay.studies.outcome",
        "Ran": "assay.studies.run",
        "Trial": "assay.studies.trial",
        "Workspace": "assay.studies.workspace",
        "make_method": "assay.studies.plan",
        "parse_settings": "assay.studies.plan",
        "plan_methods": "assay.studies.plan",
        "plan_trials": "assay.studies.trial",
        "run_trials": "assay.studies.run",
    },
)

__all__ = [
    "Outcome",
    "Ran",
    "Trial",
    "Workspace",
    "make_method",
    "parse_settings",
    "plan_methods",
    "plan_trials",
    "run_trials",
]
