"""One target's report as data: assembled from its outcomes and nothing else, so that it can be made again at will."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assay.base.errors import NothingAssessedError, WorkspaceError
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.methods.metric import FAMILIES, OPTIONAL, Family, Metric
from assay.reports.answers import Answer, answer
from assay.reports.decision import DEFAULT, PROFILES, Decision, decide, profile_named
from assay.reports.last_release import LastRelease
from assay.reports.outdone import checked
from assay.reports.remedies import Remedy, remedies
from assay.reports.standing import Standing, standings
from assay.reports.wording import summary
from assay.studies.changes import MeasuredChange
from assay.studies.outcome import Outcome, TargetFacts

SCHEMA_VERSION = 2


class Report(Frozen):
    """Everything that a reader is shown of one target. ``report.json`` is this model, dumped.

    ``decisions`` has one entry for each profile of `assay.reports.decision`, and none in reports of earlier versions.
    ``answers`` has one entry per family, those of `OPTIONAL` families only where a method of theirs was run.
    ``remedies`` has one entry for each elevated or high answer that a change of the serving was measured against,
    ``standings`` one for each answer whose number enough other models have. ``last_release`` is what an earlier model
    is known to have shown, None without one (see `assay.reports.previous`). ``outcomes`` are sorted by family, the
    finished first.
    ``measured_from`` and ``measured_until`` span the trials.
    """

    schema_version: int = SCHEMA_VERSION
    target: TargetFacts
    measured_from: datetime
    measured_until: datetime
    summary: str
    decisions: list[Decision] = []
    answers: list[Answer]
    remedies: list[Remedy] = []
    standings: list[Standing] = []
    last_release: LastRelease | None = None
    outcomes: list[Outcome]

    def of(self, family: Family) -> list[Outcome]:
        """The finished outcomes of a family."""
        return [outcome for outcome in self.outcomes if outcome.method.family == family and outcome.status == "done"]

    @property
    def unfinished(self) -> list[Outcome]:
        """What failed or was skipped."""
        return [outcome for outcome in self.outcomes if outcome.status != "done"]

    @property
    def file_digest(self) -> str | None:
        """The SHA-256 of the file of weights, as any program computes it; None where the model came from no file."""
        known = self.target.facts.get("sha256")
        return known if isinstance(known, str) else None

    def decision(self, profile: str = DEFAULT) -> Decision:
        """What to do under a profile.

        Raises:
            UsageError: if there is no such profile.
        """
        named = profile_named(profile).name
        return next((one for one in self.decisions if one.profile == named), decide(self.outcomes, PROFILES[named]))

    def remedy(self, family: Family) -> Remedy | None:
        """What was tried against a family's answer."""
        return next((remedy for remedy in self.remedies if remedy.family == family), None)

    def standing(self, family: Family) -> Standing | None:
        """Where the number that decided a family's answer lies among other models'."""
        return next((standing for standing in self.standings if standing.family == family), None)

    def before(self, key: str | None, metric: Metric | None) -> Metric | None:
        """The last release's number, beside a number of one of the outcomes; None where it has none."""
        if self.last_release is None or metric is None:
            return None
        return self.last_release.before(key, metric.name)

    def deciding(self, answer: Answer) -> Outcome | None:
        """The outcome that an answer was taken from."""
        return next((outcome for outcome in self.outcomes if outcome.key == answer.decided_by), None)


def assemble(
    outcomes: Sequence[Outcome],
    changes: Sequence[MeasuredChange] = (),
    reference: str | None = None,
    peers: Sequence[Outcome] = (),
) -> Report:
    """The report of one target; the order of the outcomes does not matter.

    ``changes`` is what was measured behind changes of its serving, and ``reference`` how it is named on a command
    line, by default by its name. ``peers`` are outcomes of other targets, to compare with. A theft
    that another outdoes calls nothing low (`assay.reports.outdone`).

    Raises:
        NothingAssessedError: if there is no outcome.
        ValueError: if the outcomes are of several targets.
    """
    if not outcomes:
        raise NothingAssessedError("There is no outcome to report.")
    if len({outcome.target.digest for outcome in outcomes}) > 1:
        raise ValueError("a report is about one target")
    ordered = checked(sorted(outcomes, key=_order), peers)
    by_family = {family: [o for o in ordered if o.method.family == family] for family in FAMILIES}
    answers = [answer(family, them) for family, them in by_family.items() if them or family not in OPTIONAL]
    target = ordered[0].target
    return Report(
        target=target,
        measured_from=min(o.started for o in ordered),
        measured_until=max(o.started + timedelta(seconds=o.seconds) for o in ordered),
        summary=_doubt(ordered) + summary(target.name, {answer.family: answer.level for answer in answers}),
        decisions=[decide(ordered, profile) for profile in PROFILES.values()],
        answers=answers,
        remedies=remedies(answers, ordered, changes, reference or target.name),
        standings=standings(answers, ordered, peers),
        outcomes=ordered,
    )


def _doubt(outcomes: Sequence[Outcome]) -> str:
    """What is to be settled before anything below is read, where the model itself is in doubt."""
    doubts = (outcome.target.sanity.doubt for outcome in outcomes if outcome.target.sanity is not None)
    found = next((doubt for doubt in doubts if doubt), "")
    return f"First: {found[0].lower()}{found[1:]} Until that is settled, nothing is called low. " if found else ""


def save(path: Path, text: str) -> None:
    """Write a report's file whole or not at all, and make its folder.

    Raises:
        WorkspaceError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise WorkspaceError(f"The report {path} cannot be written: {error.strerror or error}.") from error


def write_json(report: Report, path: Path) -> None:
    """Write ``report.json``.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    save(path, report.model_dump_json(indent=1) + "\n")


def _order(outcome: Outcome) -> tuple[Any, ...]:
    status = ("done", "failed", "skipped").index(outcome.status)
    method = outcome.method
    return FAMILIES.index(method.family), status, method.title, method.name, outcome.seed, outcome.key
