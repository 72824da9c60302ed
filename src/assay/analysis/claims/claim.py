"""A published claim: its file, and what the evidence makes of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from assay.analysis.claims import grids as _grids  # noqa: F401 - registers its rules
from assay.analysis.claims.evidence import Book, Origin, packaged
from assay.analysis.claims.rules import RULES, Found, Verdict, call
from assay.base.errors import LoadError, nearest
from assay.base.frozen import Frozen

PAPERS = {
    "a": "Examining the Threat Landscape: Foundation Models and Model Stealing (BMVC 2024)",
    "b": "Model Extraction Attacks Revisited (AsiaCCS 2024)",
    "c": "Publishing Efficient On-device Models Increases Adversarial Vulnerability (SaTML 2023)",
    "d": "SecurityNet (USENIX Security 2024)",
    "t": "where the papers meet",
}
SOURCES = {
    "P": "the paper's text or abstract",
    "C": "the authors' released code or result files",
    "S": "a second-hand summary",
    "R": "recomputed from the authors' released files",
    "own": "our own question",
}
ORIGINS: dict[Origin, str] = {"own-run": "our own run", "released-table": "recomputed from the authors' tables"}


class Check(BaseModel):
    """A rule with its parameters, and in words what it asks."""

    model_config = ConfigDict(frozen=True, extra="allow")

    what: str
    rule: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The rule's parameters."""
        return dict(self.model_extra or {})


class Entry(Frozen):
    """One file of the ledger; ``decision`` is the rule in prose, ``written`` the day of its present form.

    A claim asks for all of its checks together. ``proxy`` says what our own run replaces (another architecture, another
    scale): such a run never reproduces the claim. ``untestable`` says why no check can be made here; then there are
    none.
    """

    id: str
    paper: str
    statement: str
    source: list[str]
    published: str
    written: str = ""
    test: str = ""
    decision: str = ""
    remark: str = ""
    untestable: str = ""
    proxy: str = ""
    check: list[Check] = []


class Checked(NamedTuple):
    """A check, what its rule found, and whose numbers it rests on."""

    what: str
    rule: str
    found: Found
    origins: list[Origin]
    studies: list[str]


class Claim(NamedTuple):
    """A claim with its two verdicts.

    ``recomputed`` is what the authors' own tables say, ``own`` what our runs say. ``published`` is the paper's figure,
    ``test`` the study or table that tests it, ``rule`` the decision rule in prose and by name, ``written`` its date,
    ``measured`` the numbers in words, and ``why`` what led to the verdicts.
    """

    id: str
    paper: str
    statement: str
    source: str
    published: str
    test: str
    rule: str
    written: str
    recomputed: Verdict
    own: Verdict
    measured: str
    why: str
    remark: str
    checks: list[Checked]


def load_claims(book: Book | None = None) -> list[Claim]:
    """Every claim of the ledger, judged by the packaged evidence or by that of a book.

    Raises:
        LoadError: if a file of the ledger or of the evidence is damaged; the message names it.
    """
    known = packaged() if book is None else book
    return [judge(entry, known) for entry in entries()]


def entries() -> Iterator[Entry]:
    """The files of the ledger, in the order of their ids."""
    with resources.as_file(resources.files(__package__) / "ledger") as folder:
        yield from sorted((read_entry(path) for path in folder.glob("*.toml")), key=lambda entry: _order(entry.id))


def read_entry(path: Path) -> Entry:
    """One file of the ledger.

    Raises:
        LoadError: if it is not one, or names a rule that there is not.
    """
    try:
        entry = Entry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise LoadError(f"{path.name} is not a claim: {str(error).splitlines()[0]}") from error
    for check in entry.check:
        if check.rule not in RULES:
            raise LoadError(f"{path.name} names no rule of Assay, {check.rule!r}: {nearest(check.rule, RULES)}")
    if entry.id != path.stem or bool(entry.check) == bool(entry.untestable):
        raise LoadError(f"{path.name} must hold the claim of its name, with checks or the reason why there are none.")
    return entry


def judge(entry: Entry, book: Book) -> Claim:
    """The two verdicts of a claim from the evidence."""
    checks = [_checked(check, book) for check in entry.check]
    recomputed = [one.found.verdict for one in checks if one.origins == ["released-table"]]
    own = [one.found.verdict for one in checks if one.origins != ["released-table"] and not one.found.missing]
    run = [f"{one.what}: {one.found.measured}" for one in checks if not one.found.missing]
    names = ", ".join(dict.fromkeys(check.rule for check in entry.check))
    reasons = [
        entry.untestable,
        *(f"{one.what}: {'not run yet' if one.found.missing else one.found.verdict}" for one in checks),
        f"Our run is a proxy: {entry.proxy}" if entry.proxy and own else "",
        entry.remark,
    ]
    return Claim(
        id=entry.id,
        paper=PAPERS[entry.paper],
        statement=entry.statement,
        source=", ".join(SOURCES[one] for one in entry.source),
        published=entry.published,
        test=entry.test,
        rule=f"{entry.decision} [{names}]" if names else "",
        written=entry.written,
        recomputed="not testable" if entry.untestable else combine(recomputed),
        own="not testable" if entry.untestable else by_proxy(combine(own)) if entry.proxy else combine(own),
        measured="; ".join(run) if run or not checks else "not run yet",
        why=". ".join(reason.rstrip(".") for reason in reasons if reason) + ".",
        remark=entry.remark,
        checks=checks,
    )


def combine(verdicts: list[Verdict]) -> Verdict:
    """One verdict from those of all of a claim's checks.

    ``reproduced`` takes every one; one that is open leaves the claim open, unless others speak against it. Checks that
    disagree limit the claim.
    """
    if not verdicts:
        return "not run"
    decided = set(verdicts) - {"open"}
    if decided <= {"reproduced"}:
        return "open" if "open" in verdicts else "reproduced"
    return decided.pop() if len(decided) == 1 else "scope-limited"


def by_proxy(verdict: Verdict) -> Verdict:
    """What a verdict is worth where our run replaces what the claim is about by something else."""
    renamed: dict[Verdict, Verdict] = {
        "reproduced": "proxy agrees",
        "scope-limited": "proxy disagrees",
        "contradicted": "proxy disagrees",
    }
    return renamed.get(verdict, verdict)


def _checked(check: Check, book: Book) -> Checked:
    book.forget()
    found = call(book, check.rule, check.parameters)
    studies = list(book.used.values())
    origins = list(dict.fromkeys(one.origin for one in studies))
    return Checked(check.what, check.rule, found, origins, [one.study for one in studies])


def _order(name: str) -> tuple[int, int, str]:
    number = "".join(filter(str.isdigit, name))
    return "ABCDT".index(name[0]), int(number), name
