"""``assay attest`` and ``assay verify``: signed statements of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.cli.gate import Result

Files = Annotated[list[Path] | None, Parameter(consume_multiple=True)]


def attest(
    result: Result,
    /,
    *,
    key: Annotated[Path, Parameter(help="Ed25519 private key (PEM).")],
    out: Annotated[Path, Parameter(help="File for the statement; the salt goes beside it.")] = Path("assay.dsse.json"),
    weights: Annotated[Files, Parameter(help="Every file of the model, or its folder [default: the report's].")] = None,
    data: Annotated[Files, Parameter(help="Files of data to commit to.")] = None,
    days: Annotated[int | None, Parameter(help="Days until the statement expires.")] = None,
    model: Annotated[str | None, Parameter(help="Which model, where the result holds several.")] = None,
) -> None:
    """Sign what was measured: files, data, build, options, seeds and numbers (DSSE over an in-toto statement)."""
    _need_cryptography()
    import json

    from assay.base.errors import UsageError
    from assay.reports.evidence.envelope import read_private, seal
    from assay.reports.evidence.statement import make_statement
    from assay.reports.report import save
    from assay.reports.results import one_report

    if days is not None and days < 1:
        raise UsageError(f"--days must be at least 1, and is {days}.")
    signer = read_private(key)
    statement, salt = make_statement(one_report(result, model), weights or (), data or (), days=days)
    secret = out.with_name(f"{out.name}.salt")
    save(secret, salt.hex() + "\n")
    secret.chmod(0o600)
    save(out, json.dumps(seal(statement, signer), indent=1) + "\n")
    print(f"Statement: {out}\nSalt of the commitments to the data, for those who may check them: {secret}")


def verify(
    statement: Annotated[Path, Parameter(help="A statement that assay attest wrote.")],
    /,
    *,
    key: Annotated[Path | None, Parameter(help="The signer's public key or certificate (PEM).")] = None,
    weights: Annotated[Files, Parameter(help="Files of the model, or its folder.")] = None,
    data: Annotated[Files, Parameter(help="Files of data; needs --salt.")] = None,
    report: Annotated[Path | None, Parameter(help="A report whose every number must be as signed.")] = None,
    salt: Annotated[Path | None, Parameter(help="The salt's file.")] = None,
    build: Annotated[bool, Parameter(help="Whether this Assay must be the build that measured.", negative=())] = False,
) -> int:
    """Check a statement, offline. Exit code 0 if all holds, 1 if something does not, 3 without a key."""
    if key is not None:
        _need_cryptography()
    from assay.reports.evidence.statement import PACKAGE
    from assay.reports.evidence.verify import verify

    found = verify(
        statement,
        key=key,
        weights=weights or (),
        data=data or (),
        report=report,
        salt=salt,
        package=PACKAGE if build else None,
    )
    for sentence in found.holds:
        print(f"holds        {sentence}")
    for sentence in found.unchecked:
        print(f"not checked  {sentence}")
    return 0 if found.signed else 3


def _need_cryptography() -> None:
    """Say what to install, where the library of the signatures is missing.

    Raises:
        AssayError: if it is.
    """
    from importlib.util import find_spec

    from assay.base.errors import AssayError

    if find_spec("cryptography") is None:
        raise AssayError("Signatures need the library cryptography: pip install 'modelassay[attest]'.")
