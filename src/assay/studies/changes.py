"""What an owner could change about how a model is served, and what was measured behind each change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assay.base.digests import digest_json
from assay.base.files import write_text
from assay.base.frozen import Frozen
from assay.methods.metric import Family, Metric
from assay.studies.outcome import Outcome

FOLDER = "changes"
"""Where a workspace keeps what was measured behind changes: a workspace of its own, and a file for each change."""


class Change(Frozen):
    """One way to serve a model otherwise.

    ``policies`` are applied after those that the model is served with, and ``output`` replaces what it answers with.
    ``families`` are the questions that it may help with. ``hides_weights`` says that the change is to give the weights
    to nobody, ``sibling`` is published in place of the one that was audited. ``attacks`` are methods that are run
    behind it whatever the audit ran: a change that they undo must not be proposed.
    """

    name: str
    title: str
    families: tuple[Family, ...]
    policies: tuple[str, ...] = ()
    output: str | None = None
    hides_weights: bool = False
    sibling: str | None = None
    attacks: dict[Family, tuple[str, ...]] = {}

    @property
    def settings(self) -> str:
        """The change as options of ``assay audit`` and ``assay serve``."""
        output = [f"--output {self.output}"] if self.output else []
        return " ".join([*(f"--policy {policy}" for policy in self.policies), *output])

    def serving(self, now: dict[str, Any]) -> dict[str, Any]:
        """The changed settings of a `Serving`, from those of now."""
        changed = {**now, "policies": (*now["policies"], *self.policies)}
        return {**changed, "output": self.output} if self.output else changed


CHANGES: tuple[Change, ...] = (
    Change(
        name="interface",
        title="give the weights to nobody, and serve its answers",
        families=("evasion",),
        hides_weights=True,
        attacks={"evasion": ("evasion.square", "evasion.transfer")},
    ),
    Change(
        name="rounding-2",
        title="round answers to two decimals",
        families=("membership", "stealing"),
        policies=("rounding=2",),
    ),
    Change(
        name="rounding-1",
        title="round answers to one decimal",
        families=("membership", "stealing"),
        policies=("rounding=1",),
    ),
    Change(
        name="levels",
        title="answer with the class and one of six levels of confidence",
        families=("membership", "stealing"),
        policies=("levels",),
    ),
    Change(
        name="labels",
        title="answer with labels only",
        families=("membership", "stealing", "evasion"),
        output="label",
        hides_weights=True,
        attacks={
            "membership": ("membership.label_only", "membership.augmentation", "membership.boundary"),
            "evasion": ("evasion.hop_skip_jump", "evasion.rays", "evasion.transfer"),
        },
    ),
    *(
        Change(
            name=f"sibling-{sibling}",
            title=f"publish the sibling {sibling} in place of this one",
            families=("siblings",),
            sibling=sibling,
        )
        for sibling in ("low-rank=0.5+tune", "filters=0.25+tune", "distil=tiny-cnn")
    ),
)
"""Those that are tried. What is done to answers only takes information away, so that nobody can take it back:
temperatures, reverse sigmoids and noise, which can be undone, averaged or learned around, are left out."""


class MeasuredChange(Frozen):
    """What the methods of one family found behind a change.

    ``of`` are the keys of the family's outcomes without the change. ``outcomes`` were found with the audit's seed, and
    ``repeated`` with others, where the first said that the change may turn the answer. ``cost`` is what honest users
    lose, on the non-members: ``labels_kept`` and ``l1_distance`` of their answers, and ``accuracy_change``.
    ``left_out`` says why nothing can be said of the change; empty where it was measured.
    """

    change: Change
    family: Family
    of: list[str]
    outcomes: list[Outcome] = []
    repeated: list[list[Outcome]] = []
    cost: list[Metric] = []
    left_out: str = ""

    @property
    def seeds(self) -> list[list[Outcome]]:
        """What each seed found."""
        return [self.outcomes, *self.repeated]

    @property
    def name(self) -> str:
        """The name of its file: by the change and the outcomes that it is compared with."""
        return digest_json([self.change.model_dump(mode="json"), self.family, sorted(self.of)])[:32]


def with_labels(measured: MeasuredChange, beside: Sequence[MeasuredChange]) -> list[list[Outcome]]:
    """What each seed found behind a change, with what it found behind labels only among the changes ``beside`` it.

    Who gets more than labels can throw the rest away: attacks on labels alone count for every change. Seeds that
    labels only was not measured with are left out; all of them, where it was tried and nothing can be said of it.
    """
    labels = [one for one in beside if one.change.output == "label" and one.change != measured.change]
    seeds = measured.seeds
    for one in labels:
        alone = [] if one.left_out else one.seeds
        seeds = [[*mine, *theirs] for mine, theirs in zip(seeds, alone, strict=False)]
    return seeds


def keep_change(workspace: Path, measured: MeasuredChange) -> None:
    """Write what was measured to a workspace; the last measurement of a change replaces earlier ones.

    Raises:
        OSError: if it cannot be written.
    """
    folder = workspace / FOLDER / "measured"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{measured.name}.json", measured.model_dump_json(indent=1) + "\n")


def read_changes(workspace: Path, outcomes: Sequence[Outcome]) -> list[MeasuredChange]:
    """What was measured behind changes to how these outcomes' model is served, in the order of `CHANGES`.

    A file that is damaged or of another version is passed over: the change counts as not tried.
    """
    keys = {outcome.key for outcome in outcomes}
    order = [change.name for change in CHANGES]
    found = [one for one in _read(workspace) if one.change in CHANGES and keys.issuperset(one.of)]
    return sorted(found, key=lambda one: (one.family, order.index(one.change.name), one.name))


def _read(workspace: Path) -> Iterator[MeasuredChange]:
    for file in sorted((workspace / FOLDER / "measured").glob("*.json")):
        try:
            yield MeasuredChange.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue
