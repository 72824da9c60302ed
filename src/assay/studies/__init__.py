"""Plan, trials, engine, workspace: one way through, for one model or for a thousand."""

from assay.studies.outcome import Outcome
from assay.studies.plan import make_method, parse_settings, plan_methods
from assay.studies.run import Ran, run_trials
from assay.studies.trial import Trial, plan_trials
from assay.studies.workspace import Workspace

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
