"""Runs an audit's attacks again behind changes of the serving, for the questions that came out badly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assay.access import Oracle, Serving
from assay.base.progress import Progress, silent
from assay.data.images import Subset
from assay.methods.measures import proportion, resampled
from assay.methods.method import METHODS, Method
from assay.methods.metric import Family, Metric
from assay.studies.changes import CHANGES, FOLDER, Change, MeasuredChange, keep_change, with_labels
from assay.studies.outcome import Outcome
from assay.studies.plan import make_method
from assay.studies.promise import Bad, fell, holds
from assay.studies.schedule import duration, expect, run_expected
from assay.studies.trial import Trial
from assay.studies.workspace import Workspace, reported

SHARE = 0.25
"""What changes may take of the time that the audit itself took."""

LEAST = 15.0
"""Seconds that they may take in any case."""

CHEAPEST_FIRST: tuple[Family, ...] = ("membership", "siblings", "stealing", "evasion")
"""Families in the order of what their attacks cost behind a change, by stored answers the least."""

MOST_IMAGES = 5_000
"""Non-members that the costs of a change are measured on."""

BAD: tuple[Bad, Bad] = ("elevated", "high")

REPEATS = 4
"""Seeds at most, after the audit's own, with which a change is measured that may turn an answer."""


def measure_changes(
    trials: Sequence[Trial],
    outcomes: Sequence[Outcome],
    workspace: Workspace,
    progress: Progress | None = None,
    *,
    seconds: float | None = None,
) -> list[MeasuredChange]:
    """Run the black-box methods of each elevated or high family again behind each change that may help.

    Args:
        trials: the audit's.
        outcomes: what they found.
        workspace: where that is kept; what is measured here goes to a folder of its own there, and shares answers and
            shadow models with it.
        progress: where to report to; nowhere by default.
        seconds: what may be spent in all; by default `SHARE` of what the outcomes took, and at least `LEAST`. A change
            whose attacks do not fit is left out, and says so.

    Raises:
        WorkspaceError: if the workspace cannot be written.
    """
    progress = progress or silent()
    bad = {o.method.family for o in outcomes if o.verdict is not None and o.verdict.answers and o.verdict.level in BAD}
    target = trials[0].target if trials else None
    if target is None or not bad or target.answers not in ("logits", "posteriors"):
        return []
    allowed = max(LEAST, SHARE * sum(o.seconds for o in outcomes)) if seconds is None else seconds
    until = time.monotonic() + allowed
    aside = Workspace(workspace.path / FOLDER, shared=workspace)
    found = []
    for family in [each for each in CHEAPEST_FIRST if each in bad]:
        of = [o for o in outcomes if o.method.family == family and o.status == "done"]
        tried: dict[str, tuple[list[Trial], MeasuredChange]] = {}
        for change in [each for each in CHANGES if family in each.families]:
            served = _served(trials, change, family)
            if not served or not _helps(change, of):
                continue
            progress.say(f"{target.name}: what if the owner would {change.title}? ({family})")
            measured = _measure(change, family, served, of, aside, progress, until)
            tried[change.name] = served, measured
            _keep(measured, workspace)
        for measured in _repeated(tried, of, aside, progress, until):
            _keep(measured, workspace)
            found.append(measured)
    return found


def _keep(measured: MeasuredChange, workspace: Workspace) -> None:
    with reported(workspace.path):
        keep_change(workspace.path, measured)


def _helps(change: Change, of: Sequence[Outcome]) -> bool:
    """Whether a change takes anything away from the attacks that succeeded."""
    succeeded = [o for o in of if o.verdict is not None and o.verdict.answers and o.verdict.level in BAD]
    if change.hides_weights and not change.output:
        return any(not o.serving for o in succeeded)
    if change.sibling:
        return all(o.method.options.get("sibling") != change.sibling for o in succeeded)
    return all(not o.serving or o.serving.get("output") != "label" for o in succeeded)


def _served(trials: Sequence[Trial], change: Change, family: Family) -> list[Trial]:
    """The trials behind a change: the family's black-box methods of the audit, and the change's own attacks."""
    own = [t for t in trials if t.method.family == family]
    if change.sibling:
        return [
            replace(t, method=t.method.model_copy(update={"sibling": change.sibling}))
            for t in own
            if hasattr(t.method, "sibling")
        ]
    black = [t for t in own if t.method.needs != "white-box"]
    names = {t.method.name for t in black}
    if not own or (not black and not change.attacks.get(family)):
        return []
    like = (black or own)[0]
    added = [
        replace(like, method=method)
        for name in change.attacks.get(family, ())
        if name not in names and name in METHODS.names() and (method := attack(name, own)) is not None
    ]
    served = []
    for trial in (*black, *added):
        changed = Serving.model_validate(change.serving(trial.serving.model_dump()))
        served.append(replace(trial, serving=changed))
    return served


def attack(name: str, own: Sequence[Trial]) -> Method | None:
    """An attack with the norm and size that the audit's own were run with; None if they were run in other norms."""
    method = make_method(name, "standard")
    norms = [norm for trial in own if (norm := getattr(trial.method, "norm", None)) is not None]
    if not norms or not hasattr(method, "norm"):
        return method
    if "norm" in type(method).model_fields:
        method = make_method(name, "standard", {"norm": norms[0]})
    elif method.norm not in norms:
        return None
    sizes = [
        trial.method.epsilon
        for trial in own
        if hasattr(trial.method, "epsilon") and getattr(trial.method, "norm", None) == getattr(method, "norm", None)
    ]
    return method.model_copy(update={"epsilon": sizes[0]}) if sizes and hasattr(method, "epsilon") else method


def _measure(
    change: Change,
    family: Family,
    served: Sequence[Trial],
    of: Sequence[Outcome],
    aside: Workspace,
    progress: Progress,
    until: float,
) -> MeasuredChange:
    keys = [o.key for o in of]
    kept = _run(served, aside, progress, until)
    if isinstance(kept, str):
        return MeasuredChange(change=change, family=family, of=keys, left_out=kept)
    cost = sibling_cost(kept) if change.sibling else served_cost(served[0], aside)
    return MeasuredChange(change=change, family=family, of=keys, outcomes=kept, cost=cost)


def _run(served: Sequence[Trial], aside: Workspace, progress: Progress, until: float) -> list[Outcome] | str:
    """What trials find, without their pictures; or why it is not known."""
    if time.monotonic() >= until:  # before anything is calibrated
        return "The time allowed was up."
    expected = expect(served, aside)
    needed, left = sum(each.seconds or 0.0 for each in expected), until - time.monotonic()
    if needed > left:  # one attack alone would tell nothing
        return f"It takes about {duration(needed)}, and {duration(max(left, 0.0))} were left for changes."
    ran = run_expected([expected], aside, progress, until=until)
    kept = [o.model_copy(update={"figures": []}) for o in ran.outcomes]
    missing = [o for o, trial in zip(kept, served, strict=True) if o.status != "done" and not trial.why_not()]
    if missing:
        return f"{missing[0].method.title}: {missing[0].reason}"
    return kept if any(o.status == "done" for o in kept) else "No attack applies behind it."


def _repeated(
    tried: dict[str, tuple[list[Trial], MeasuredChange]],
    of: Sequence[Outcome],
    aside: Workspace,
    progress: Progress,
    until: float,
) -> list[MeasuredChange]:
    """The changes, those that seem to turn the answer measured with more seeds, until one of them can be promised.

    A change gets seeds until it can be promised, a seed finds the level again, or there were `REPEATS` more. Attacks on
    labels alone count for every change, so that those are repeated first.
    """
    found = {name: measured for name, (_, measured) in tried.items()}
    before: Bad = "high" if any(o.verdict and o.verdict.answers and o.verdict.level == "high" for o in of) else BAD[0]
    if not all(fell(before, one.outcomes) for one in found.values() if one.change.output == "label"):
        return list(found.values())
    falling = [one for one in found.values() if not one.left_out and fell(before, one.outcomes)]
    for one in sorted(falling, key=lambda each: each.change.output != "label"):
        settled = False
        for further in range(1, REPEATS + 1):
            seeded = [replace(trial, seed=trial.seed + further) for trial in tried[one.change.name][0]]
            kept = _run(seeded, aside, progress, until)
            if isinstance(kept, str):
                break
            known = found[one.change.name]
            found[one.change.name] = known.model_copy(update={"repeated": [*known.repeated, kept]})
            settled = holds(before, with_labels(found[one.change.name], list(found.values())))
            if settled or not fell(before, kept):
                break
        if settled and one.change.output != "label":
            break
    return list(found.values())


def sibling_cost(outcomes: Sequence[Outcome]) -> list[Metric]:
    """What those lose who use a sibling: the share of its labels that are the model's, where a method measured it."""
    agreed = next((m for o in outcomes for m in o.metrics if m.name == "agreement"), None)
    return [] if agreed is None else [agreed.model_copy(update={"name": "labels_kept", "scale": None})]


def served_cost(trial: Trial, workspace: Workspace) -> list[Metric]:
    """What a trial's serving costs honest users, on at most `MOST_IMAGES` non-members, against the model's own answers.

    ``labels_kept`` is the share of images that keep the model's label, ``accuracy_change`` the change of accuracy, and
    ``l1_distance`` the mean L1 distance from the model's posteriors, in [0, 2]; a label alone counts as certainty.
    Nothing where there are no non-members.
    """
    part = trial.target.splits.non_members
    if part is None or not len(part):
        return []
    rows = np.random.default_rng(trial.seed).permutation(len(part))[:MOST_IMAGES]
    shown = Subset(part, np.sort(rows))
    oracle = Oracle(trial.target, trial.serving.model_copy(update={"budget": None}), workspace.store(trial.target))
    answers, true = oracle.ask_all(shown), oracle.evaluator().ask_all(shown)
    hot = np.eye(oracle.num_classes, dtype=np.float32)[answers.labels]
    posteriors = hot if answers.posteriors is None else answers.posteriors
    distance = np.abs(posteriors.astype(np.float64) - true.require_posteriors()).sum(axis=1)
    gained = (answers.labels == shown.labels).astype(np.float64) - (true.labels == shown.labels)
    return [
        proportion("labels_kept", "Answers that keep their label", answers.labels == true.labels),
        resampled("accuracy_change", "Change of accuracy", lambda drawn: drawn.mean(1), gained, seed=trial.seed),
        resampled("l1_distance", "Mean L1 change of answers", lambda drawn: drawn.mean(1), distance, seed=trial.seed),
    ]
