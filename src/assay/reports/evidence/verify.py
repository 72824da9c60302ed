"""A signed statement held against what it speaks of, offline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from assay.base.errors import LoadError, UsageError
from assay.reports.evidence.envelope import VerificationError, check_signature, read_envelope
from assay.reports.evidence.statement import (
    PREDICATE,
    SCHEMA_VERSION,
    STATEMENT,
    build_digest,
    commitment,
    digests,
    measured,
    part_commitments,
)

AHEAD = timedelta(minutes=5)
"""By so much the clock of who signed may be ahead of the verifier's."""


class Verified(NamedTuple):
    """What was checked and holds, and what was not checked; sentences. ``signed`` says whether by a known key."""

    holds: list[str]
    unchecked: list[str]
    signed: bool


def verify(
    path: Path,
    *,
    key: Path | None = None,
    weights: Sequence[Path] = (),
    data: Sequence[Path] = (),
    report: Path | None = None,
    salt: Path | None = None,
    package: Path | None = None,
) -> Verified:
    """Check a statement.

    Args:
        path: the envelope.
        key: the signer's public key or certificate.
        weights: files of the model; each must be one that was measured.
        data: files of data; each must be one that was committed to. Needs the salt.
        report: a result; every option, seed and number of it must be as signed. With the salt, its data too.
        salt: the file that `assay attest` wrote beside the statement.
        package: the folder of an installed Assay, which must be the build that measured.

    Raises:
        VerificationError: if something does not hold.
        LoadError: if a file cannot be read, or the statement's schema is newer.
        UsageError: if data are given without the salt.
    """
    statement, payload, signatures = read_envelope(path)
    predicate = _predicate(path, statement)
    holds, unchecked = [], []
    if key is not None:
        holds.append(f"Signed by the key {check_signature(path, payload, signatures, key)[:12]}.")
    else:
        unchecked.append("The signature: name the signer's public key with --key.")
    _current(path, predicate)
    try:
        _weights(path, statement, weights, holds, unchecked)
        _data(path, predicate, data, salt, holds, unchecked)
        _report(path, predicate, report, salt, holds, unchecked)
        _build(path, predicate, package, holds, unchecked)
    except (KeyError, TypeError, AttributeError) as error:
        raise LoadError(f"The statement {path} lacks what its schema demands: {error}.") from None
    return Verified(holds, unchecked, key is not None)


def _predicate(path: Path, statement: dict[str, Any]) -> dict[str, Any]:
    kind = str(statement.get("predicateType", ""))
    schema = kind.removeprefix(PREDICATE)
    if statement.get("_type") != STATEMENT or not kind.startswith(PREDICATE) or not schema.isdecimal():
        raise LoadError(f"{path} is no statement of an assessment, but {kind or 'of no known kind'}.")
    if int(schema) > SCHEMA_VERSION:
        raise LoadError(f"{path} has schema {schema}, newer than {SCHEMA_VERSION}: update Assay to verify it.")
    predicate = statement.get("predicate")
    if not isinstance(predicate, dict):
        raise LoadError(f"The statement {path} has no predicate.")
    return predicate


def _current(path: Path, predicate: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    try:
        created = datetime.fromisoformat(predicate["created"])
        expires = datetime.fromisoformat(predicate["expires"]) if "expires" in predicate else None
        early, late = created > now + AHEAD, expires is not None and now > expires
    except (KeyError, TypeError, ValueError):
        raise LoadError(f"The statement {path} does not say when it was made.") from None
    if early:
        raise VerificationError(f"{path} was made at {created:%Y-%m-%d %H:%M} UTC, in the future: check the clock.")
    if late:
        raise VerificationError(f"{path} has expired on {expires:%Y-%m-%d}.")


def _weights(
    path: Path, statement: dict[str, Any], files: Sequence[Path], holds: list[str], unchecked: list[str]
) -> None:
    subjects = {one["digest"]["sha256"]: one["name"] for one in statement["subject"]}
    found = digests(files)
    for digest, name in found.items():
        if digest not in subjects:
            raise VerificationError(f"{name} is not what {path} speaks of: no such file was measured.")
        holds.append(f"{name} is a file that was measured.")
    unchecked += [f"The model's file {name}." for digest, name in subjects.items() if digest not in found]


def _data(
    path: Path,
    predicate: dict[str, Any],
    files: Sequence[Path],
    salt: Path | None,
    holds: list[str],
    unchecked: list[str],
) -> None:
    if not files:
        if predicate["data"]["files"]:
            unchecked.append("The files of data.")
        return
    if salt is None:
        raise UsageError("Data are committed to with a salt: name its file with --salt.")
    known, secret = set(predicate["data"]["files"]), read_salt(salt)
    for digest, name in digests(files).items():
        if commitment(secret, digest) not in known:
            raise VerificationError(f"{name} is not among the data that {path} commits to, or the salt is another's.")
        holds.append(f"{name} is among the data.")


def _report(
    path: Path,
    predicate: dict[str, Any],
    report: Path | None,
    salt: Path | None,
    holds: list[str],
    unchecked: list[str],
) -> None:
    if report is None:
        unchecked.append("Options, seeds and numbers of a report.")
        return
    from assay.reports.results import one_report

    given = one_report(report)
    for name, value in measured(given).items():
        if value != predicate[name]:
            raise VerificationError(f"{report} is not the report that was signed: {_where(value, predicate[name])}.")
    holds.append("The report's options, seeds and numbers are those that were signed.")
    if salt is None:
        unchecked.append("The parts of the data: name the salt's file with --salt.")
    elif part_commitments(given, read_salt(salt)) != predicate["data"]["parts"]:
        raise VerificationError(f"The data of {report} are not those that were signed, or the salt is another's.")
    else:
        holds.append("The report's data are those that were signed.")


def _where(given: Any, signed: Any, place: str = "") -> str:
    """Where two values differ first."""
    if isinstance(given, dict) and isinstance(signed, dict) and given.keys() == signed.keys():
        for name in given:
            if given[name] != signed[name]:
                return _where(given[name], signed[name], f"{place}.{name}" if place else name)
    if isinstance(given, list) and isinstance(signed, list) and len(given) == len(signed):
        for number, (one, other) in enumerate(zip(given, signed, strict=True)):
            if one != other:
                return _where(one, other, f"{place} {number + 1}")
    return f"{place or 'its outcomes'} differ" if isinstance(given, dict | list) else f"{place} is {given!r}"


def _build(path: Path, predicate: dict[str, Any], package: Path | None, holds: list[str], unchecked: list[str]) -> None:
    build = predicate["build"]
    if package is None:
        unchecked.append(f"Whether this Assay is the build that measured ({build['version']}): --build.")
    elif build_digest(package) != build["sha256"]:
        raise VerificationError(f"{path} was made by another build of Assay ({build['version']}) than this one.")
    else:
        holds.append(f"This Assay is the build that measured ({build['version']}).")


def read_salt(path: Path) -> bytes:
    """The salt of a statement's commitments.

    Raises:
        LoadError: if the file cannot be read or holds no salt.
    """
    try:
        return bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise LoadError(f"The salt {path} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise LoadError(f"{path} holds no salt: 64 hexadecimal digits.") from None
