"""What trials will take, and running them within a time: the cheapest of each question first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from assay.base.digests import canonical_json
from assay.base.errors import TimeUpError
from assay.base.progress import Progress, Step
from assay.methods.work import Sizes, Work
from assay.studies.calibration import Calibration, calibrate, sizes
from assay.studies.outcome import Outcome
from assay.studies.run import Ran, leave_out, run_trial
from assay.studies.trial import Trial
from assay.studies.workspace import Workspace

POOLS = ("members", "non_members", "auxiliary")
TELLS = 1.0
"""Seconds that must have been expected of finished trials before they say how far estimates are off."""

NOMINAL = 60.0
"""Seconds that a trial of unknown cost counts in progress; no estimate rests on it."""


class Expected(NamedTuple):
    """A trial before it is run. ``seconds`` None: nobody can tell. ``basis`` says on what the estimate rests."""

    trial: Trial
    work: Work | None
    seconds: float | None
    basis: str


def expect(
    trials: Sequence[Trial], workspace: Workspace, calibration: Calibration | None = None, *, alone: bool = False
) -> list[Expected]:
    """What each trial of one target will take, in their order.

    What is finished takes nothing, and neither does what cannot apply. Else it rests on what the method says that it
    will compute (`Method.work`) and a calibration on this machine, or on earlier outcomes of the method in the
    workspace with the same options. What trials share is counted for the first of them, or with ``alone`` for each.
    """
    past: dict[tuple[str, str], list[float]] = {}
    for outcome in workspace.outcomes():
        if outcome.status == "done":
            like = (outcome.method.name, canonical_json(outcome.method.options))
            past.setdefault(like, []).append(outcome.seconds)
    open_, found = [], dict[str, Expected]()
    for trial in trials:
        if workspace.load(trial.key) is not None:
            found[trial.key] = Expected(trial, None, 0.0, "finished")
        elif reason := trial.why_not():
            found[trial.key] = Expected(trial, None, 0.0, reason)
        else:
            open_.append(trial)
    if open_:
        calibration = calibration or _calibrated(open_)
        counted = _Counted(sizes(open_[0].target), calibration, workspace)
        for trial in open_:
            if alone:
                counted = _Counted(counted.sizes, calibration, workspace)
            found.setdefault(trial.key, counted.expected(trial, past))
    return [found[trial.key] for trial in trials]


def _calibrated(trials: Sequence[Trial]) -> Calibration | None:
    """A calibration of the trials' target; None for a service, of which each question may cost."""
    target = trials[0].target if trials else None
    return None if target is None or target.answers != "logits" else calibrate(target)


class _Counted:
    """Counts the work of one target's trials, what they share once."""

    def __init__(self, sizes: Sizes, calibration: Calibration | None, workspace: Workspace) -> None:
        self.sizes, self.calibration, self.workspace = sizes, calibration, workspace
        self.asked = dict.fromkeys(POOLS, 0.0)
        self.trained: set[tuple[str, float]] = set()
        self.planned: set[str] = set()

    def expected(self, trial: Trial, past: dict[tuple[str, str], list[float]]) -> Expected:
        chain = [trial]
        while (required := chain[-1].required) is not None:
            chain.append(required)
        fresh = [each for each in chain if each.key not in self.planned and self.workspace.load(each.key) is None]
        self.planned |= {each.key for each in fresh}
        works = [each.method.work(self.sizes) for each in fresh]
        seconds = [None if work is None else self._seconds(work) for work in works]
        for number, each in enumerate(fresh):
            like = past.get((each.method.name, canonical_json(each.method.model_dump(mode="json"))))
            if seconds[number] is None and like:
                seconds[number] = median(like)
        known = [each for each in seconds if each is not None]
        total = sum(known) if len(known) == len(seconds) else None
        basis = "unknown" if total is None else "counted" if None not in works else "earlier outcomes"
        return Expected(trial, works[0] if works else None, total, basis)

    def _seconds(self, work: Work) -> float | None:
        left = self._alone(work)
        return None if self.calibration is None else self.calibration.seconds(left)

    def _alone(self, work: Work) -> Work:
        """The work that is left where others did part of it: answers that are kept, shadow models that are shared."""
        left = {}
        for pool in POOLS:
            wanted, size = getattr(work, pool), max(getattr(self.sizes, pool), 1)
            new = wanted * (1 - self.asked[pool] / size)  # samples are drawn independently of one another
            self.asked[pool] += new
            left[pool] = new
        made = (work.trains, work.training)
        repeated = work.shared and made in self.trained
        if work.shared:
            self.trained.add(made)
        return work._replace(**left, training=0.0 if repeated else work.training)


BESIDE = 3.0
"""Seconds of an audit beside its methods: libraries that the first of them import, and the report."""


def total(expected: Sequence[Expected]) -> float:
    """Seconds of all whose cost is known, and of what an audit does beside; 0 if nothing is left to do."""
    left = sum(each.seconds for each in expected if each.seconds is not None)
    return left + BESIDE if left else 0.0


SOON = 15.0
"""Seconds that the cheapest trial of a question may take to be among the first."""

NEARLY_FREE = 2.0
"""Seconds that another trial may take, after those before it, to be among the first."""


def tiers(trials: Sequence[Trial], workspace: Workspace, *, by_cost: bool = True) -> list[list[Expected]]:
    """What can be told soon, and then the rest.

    First are the cheapest trial of each question, unless it takes longer than `SOON`, and what costs next to nothing
    once those have asked. Then come the cheapest trials of the questions that are left, and then the others. What a
    trial costs by itself sets the order; what it is expected to take then leaves out what those before it did. In each
    group the cheapest are first and the unknown last, or with ``by_cost`` False all are in the order given, which
    repeats where costs are alike.
    """
    unfinished = [trial for trial in trials if workspace.load(trial.key) is None]
    calibration = _calibrated(unfinished)
    priced = sorted(expect(trials, workspace, calibration, alone=True), key=_cost)
    cheapest: dict[str, Expected] = {}
    for each in priced:
        if not each.trial.why_not():
            cheapest.setdefault(each.trial.method.family, each)
    leading = {each.trial.key for each in cheapest.values()}
    soon = {each.trial.key for each in cheapest.values() if _cost(each) <= SOON} or leading

    def ordered(first: set[str]) -> list[Expected]:
        sequence = [each.trial for each in priced] if by_cost else list(trials)
        groups = (first, leading - first, {trial.key for trial in trials} - first - leading)
        return expect([t for group in groups for t in sequence if t.key in group], workspace, calibration)

    free = {
        each.trial.key
        for each in ordered(soon)[len(soon) :]
        if _cost(each) <= NEARLY_FREE and (each.trial.required is None or each.trial.required.key in soon)
    }
    found = ordered(soon | free)
    return [found[: len(soon | free)], found[len(soon | free) :]]


def _cost(each: Expected) -> float:
    return float("inf") if each.seconds is None else each.seconds


def run_expected(
    groups: Sequence[Sequence[Expected]],
    workspace: Workspace,
    progress: Progress,
    *,
    until: float | None = None,
    heard: Callable[[Outcome, bool], None] = lambda outcome, last: None,
) -> Ran:
    """Run trials, group after group, with one progress over all of them.

    Args:
        groups: what is to be run; see `tiers`.
        workspace: where outcomes are kept.
        progress: where to report to.
        until: when to stop, by `time.monotonic`. What would not fit, at the pace of what was run before, is left out
            with its reason, and what is under way then ends at its next report of progress.
        heard: called with each outcome, and whether it was the last of its group.

    Raises:
        WorkspaceError: if the workspace cannot be written; finished trials are kept.
    """
    ran, everything, pace = Ran(), [each for group in groups for each in group], Pace()
    number, whole, left_out = 0, sum(_nominal(each) for each in everything), set[str]()
    with progress.step("all methods", round(whole)) as step:
        for group in groups:
            for place, each in enumerate(group, start=1):
                number += 1
                label = f"[{number}/{len(everything)}] {each.trial.target.name}: {each.trial.method.name}"
                needed = each.trial.required
                if needed is not None and needed.key in left_out and each.basis != "finished":
                    text = f"It builds on {needed.method.about.title}, for which the time allowed was too short."
                    outcome, reused = leave_out(each.trial, workspace, text), False
                else:
                    outcome, reused = _run_one(each, workspace, progress, label, until, pace)
                if outcome.status == "skipped" and not each.trial.why_not():
                    left_out.add(each.trial.key)
                pace.heard(each, outcome)
                ran.outcomes.append(outcome)
                ran.reused += reused
                step.advance(round(_nominal(each)))
                heard(outcome, place == len(group))
    return ran


def _nominal(each: Expected) -> float:
    return NOMINAL if each.seconds is None else each.seconds


def _run_one(
    each: Expected, workspace: Workspace, progress: Progress, label: str, until: float | None, pace: Pace
) -> tuple[Outcome, bool]:
    if until is None or each.basis == "finished":
        return run_trial(each.trial, workspace, progress, label)
    left = until - time.monotonic()
    seconds = None if each.seconds is None else each.seconds * pace.ratio
    if left <= 0 or (seconds is not None and seconds > left):
        needs = "" if seconds is None else f"It takes about {duration(seconds)}, and "
        text = f"{needs}{duration(max(left, 0.0))} of the time allowed were left: allow more, or run it alone."
        return leave_out(each.trial, workspace, text[0].upper() + text[1:]), False
    return run_trial(each.trial, workspace, _Watched(progress, until), label)


class Pace:
    """How long trials took, beside what was expected of them: other processes may have come or gone since.

    ``ratio`` is at least 1, so that what was too long for the estimates never fits because others were shorter; until
    `TELLS` seconds were expected it is 1, for start-up tells nothing of the rest.
    """

    def __init__(self) -> None:
        self.expected = self.taken = 0.0

    @property
    def ratio(self) -> float:
        """Seconds taken for each that was expected."""
        return max(1.0, self.taken / self.expected) if self.expected >= TELLS else 1.0

    def heard(self, each: Expected, outcome: Outcome) -> None:
        """Take note of a trial that was run to its end, and whose cost had been estimated."""
        if each.seconds and outcome.status == "done":
            self.expected += each.seconds
            self.taken += outcome.seconds


class _Watched:
    """Progress that ends what reports to it when the time is up."""

    def __init__(self, progress: Progress, until: float) -> None:
        self.progress, self.until = progress, until

    @contextmanager
    def step(self, label: str, total: float) -> Iterator[Step]:
        """A piece of work that may be ended at each advance."""
        with self.progress.step(label, total) as step:
            yield _WatchedStep(step, self)

    def say(self, text: str) -> None:
        """Pass a line on."""
        self.progress.say(text)


class _WatchedStep:
    def __init__(self, step: Step, owner: _Watched) -> None:
        self.inner, self.owner = step, owner

    def advance(self, amount: float = 1.0) -> None:
        """Go on, unless the time is up.

        Raises:
            TimeUpError: if it is.
        """
        self.inner.advance(amount)
        if time.monotonic() > self.owner.until:
            raise TimeUpError("It was ended when the time allowed was up: allow more, or run it alone.")


def duration(seconds: float) -> str:
    """``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
