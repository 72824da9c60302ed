"""What is signed: which files were measured, by which build, with which options and seeds, and every number."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.base.digests import digest_file, digest_json
from assay.base.errors import LoadError, UsageError

if TYPE_CHECKING:
    from assay.reports.report import Report

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:modelassay:assessment:"
SCHEMA_VERSION = 1
PACKAGE = Path(__file__).parents[2]


def make_statement(
    report: Report,
    weights: Sequence[Path] = (),
    data: Sequence[Path] = (),
    *,
    salt: bytes | None = None,
    days: int | None = None,
) -> tuple[dict[str, Any], bytes]:
    """The in-toto statement of a report, and the salt of its commitments, which is not in it.

    Args:
        report: what was measured.
        weights: every file of the model, or folders of them; else the one file that the report knows.
        data: files of data to commit to, besides the digests of the parts that the report knows.
        salt: 32 bytes; drawn anew if None.
        days: after so many days the statement has expired.

    Raises:
        UsageError: if the files are not those of the report, or none is known.
        LoadError: if a file cannot be read.
    """
    salt = secrets.token_bytes(32) if salt is None else salt
    created = datetime.now(UTC)
    predicate: dict[str, Any] = {
        "created": created.isoformat(timespec="seconds"),
        "build": {"version": version("modelassay"), "sha256": build_digest()},
        "data": {"parts": part_commitments(report, salt), "files": [commitment(salt, one) for one in digests(data)]},
        **measured(report),
    }
    if days is not None:
        predicate["expires"] = (created + timedelta(days=days)).isoformat(timespec="seconds")
    statement = {
        "_type": STATEMENT,
        "subject": _subjects(report, weights),
        "predicateType": f"{PREDICATE}{SCHEMA_VERSION}",
        "predicate": predicate,
    }
    return statement, salt


def measured(report: Report) -> dict[str, Any]:
    """Target, answers, decisions, and each outcome's options, seed, cost and numbers, as JSON gives them back."""
    outcomes = [
        {
            **{name: getattr(outcome, name) for name in ("key", "status", "reason", "serving", "seed", "versions")},
            "method": outcome.method.name,
            "version": outcome.method.version,
            "access": outcome.method.access,
            "options": outcome.method.options,
            "verdict": outcome.verdict.model_dump(mode="json") if outcome.verdict else None,
            "metrics": [metric.model_dump(mode="json") for metric in outcome.metrics],
            "spent": outcome.spent.model_dump(mode="json"),
        }
        for outcome in report.outcomes
    ]
    target = {name: getattr(report.target, name) for name in ("name", "digest", "weights_digest", "preprocessing")}
    read = report.model_dump(mode="json", include={"summary", "decisions", "answers"})
    found: dict[str, Any] = json.loads(json.dumps({"target": target, "outcomes": outcomes, **read}))
    return found


def part_commitments(report: Report, salt: bytes) -> dict[str, str]:
    """A commitment to each part of the data: who has the salt can check it, others learn nothing."""
    parts = {name: part for outcome in report.outcomes for name, part in outcome.target.data.items()}
    return {name: commitment(salt, part.digest) for name, part in sorted(parts.items())}


def commitment(salt: bytes, digest: str) -> str:
    """HMAC-SHA-256 of a digest under a salt."""
    return hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest()


def build_digest(package: Path = PACKAGE) -> str:
    """SHA-256 over the names and contents of all files of an installed Assay, but for compiled ones."""
    files = [file for file in sorted(package.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    return digest_json([[file.relative_to(package).as_posix(), digest_file(file)] for file in files])


def digests(files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of every file, and of every file in a folder, to its name.

    Raises:
        LoadError: if a file cannot be read.
    """
    found: dict[str, str] = {}
    for named in files:
        inside = [named] if not named.is_dir() else [file for file in sorted(named.rglob("*")) if file.is_file()]
        for file in inside:
            try:
                name = file.name if file == named else file.relative_to(named.parent).as_posix()
                found[digest_file(file)] = name
            except OSError as error:
                raise LoadError(f"{file} cannot be read: {error.strerror}.") from error
    return found


def _subjects(report: Report, weights: Sequence[Path]) -> list[dict[str, Any]]:
    found, known = digests(weights), report.file_digest
    if known is not None and weights and known not in found:
        raise UsageError(f"None of these files is the one that was measured: its SHA-256 is {known}.")
    if not found:
        if known is None:
            raise UsageError("The report knows no file of the model: name all of its files with --weights.")
        found = {known: str(report.target.facts.get("file") or report.target.name)}
    return [{"name": name, "digest": {"sha256": digest}} for digest, name in sorted(found.items(), key=lambda x: x[1])]
