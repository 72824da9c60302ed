"""The outcome of one trial: the immutable record that every report is made from."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from assay.access.ledger import Spent
from assay.base.digests import digest_json
from assay.base.frozen import Frozen
from assay.methods.figures import Figure
from assay.methods.metric import Family, Metric, Verdict
from assay.studies.sanity import Sanity

SCHEMA_VERSION = 2
Status = Literal["done", "failed", "skipped"]


class TargetFacts(Frozen):
    """The target as an outcome remembers it.

    ``data`` maps part names to name, size and digest; ``sanity`` is what the model gets right before anything is done
    to it, None where that was not measured.
    """

    name: str
    digest: str
    weights_digest: str
    input_shape: tuple[int, int, int]
    num_classes: int
    class_names: tuple[str, ...] = ()
    preprocessing: dict[str, Any]
    data: dict[str, PartFacts]
    facts: dict[str, Any] = {}
    sanity: Sanity | None = None


class PartFacts(Frozen):
    """One part of the data: members, non_members, auxiliary or suspects."""

    name: str
    size: int
    digest: str


class MethodFacts(Frozen):
    """The method as an outcome remembers it, with its resolved options."""

    name: str
    version: int
    family: Family
    title: str
    threat_model: str
    access: str
    paper: str
    atlas: tuple[str, ...] = ()
    options: dict[str, Any]


class Outcome(Frozen):
    """What one method found of one target.

    ``key`` is the trial's identity. ``status`` is ``done``; ``failed`` (an error, in ``reason``); or ``skipped`` (the
    method cannot apply to this target, in ``reason``). Only ``done`` has metrics and a verdict, and only ``done`` is
    never run again. ``artefacts`` maps file names in the trial's folder to their SHA-256. ``versions`` are those of
    Assay, Python and the libraries that numbers depend on; ``seconds`` is wall time.
    """

    schema_version: int = SCHEMA_VERSION
    key: str
    status: Status
    reason: str = ""
    target: TargetFacts
    method: MethodFacts
    serving: dict[str, Any]
    seed: int
    metrics: list[Metric] = []
    verdict: Verdict | None = None
    figures: list[Figure] = []
    artefacts: dict[str, str] = {}
    spent: Spent = Spent()
    seconds: float = 0.0
    started: datetime
    versions: dict[str, str]
    device: str = "cpu"

    def metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            KeyError: if there is none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def comparable(self) -> dict[str, Any]:
        """All but what a clock or an earlier run decides, as plain values.

        Left out are ``seconds``, ``started`` and ``spent.forwards`` (what the posterior store held already is not
        computed again). Two runs of one trial in the same order on one machine agree in all the rest, byte for byte.
        """
        content = self.model_dump(mode="json", exclude={"seconds": True, "started": True, "spent": {"forwards"}})
        return content


TargetFacts.model_rebuild()


def trial_text(outcome: Outcome) -> str:
    """The content of a finished trial's file: the outcome, sealed by its digest."""
    content = outcome.model_dump(mode="json")
    return json.dumps({"sha256": digest_json(content), "outcome": content}, indent=1, sort_keys=True) + "\n"


def read_trial(file: Path, *, sealed: bool = True, figures: bool = True) -> Outcome | None:
    """The outcome in a trial's file; None if it is damaged, was edited, or has another name than its key.

    Args:
        file: ``trials/KEY.json`` or ``attempts/KEY.json`` of a workspace.
        sealed: it is a finished trial, and must hold the digest of its content; attempts have none.
        figures: False leaves the pictures out, which are most of a file.

    Raises:
        OSError: if there is no such file, or it cannot be read.
    """
    try:
        content = json.loads(file.read_bytes())
        plain = content["outcome"] if sealed else content
        if sealed and content["sha256"] != digest_json(plain):
            return None
        outcome = Outcome.model_validate(plain if figures else {**plain, "figures": []})
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None
    return outcome if outcome.key == file.stem else None
