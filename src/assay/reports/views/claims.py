"""The ledger as a view for the terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from assay.analysis.claims.claim import ORIGINS, Claim
from assay.analysis.claims.rules import Verdict
from assay.reports.views.page import Cell, Table, View

MEANING: dict[Verdict, str] = {
    "reproduced": "every check that is decided agrees with the claim",
    "contradicted": "every check that is decided speaks against it",
    "scope-limited": "it holds in a part of the settings, or in its direction but not in its size",
    "open": "not run yet, or the intervals do not decide",
    "not testable": "nothing at hand can tell; the reason is given",
}


def counts(claims: Sequence[Claim]) -> list[str]:
    """What the ledger holds, in sentences."""
    found = Counter(claim.verdict for claim in claims)
    told = ", ".join(f"{found[verdict]} {verdict}" for verdict in get_args(Verdict) if found[verdict])
    own = sum(claim.own for claim in claims)
    return [
        f"{len(claims)} claims: {told}.",
        f"{own} verdicts rest on our own runs, alone or beside a recomputation from the authors' tables.",
    ]


def ledger(claims: Sequence[Claim]) -> View:
    """One row a claim."""
    rows: list[list[Cell]] = [
        [claim.id, claim.statement, claim.published, claim.measured or claim.why, claim.verdict, claim.origin]
        for claim in claims
    ]
    head = ("id", "claim", "published", "ours", "verdict", "decided by")
    return View("Published claims", counts(claims), [Table("Claims", head, rows)])


def one(claim: Claim) -> View:
    """One claim and its checks."""
    notes = [claim.statement, f"Published: {claim.published}.", f"Verdict: {claim.verdict}.", claim.why]
    return View(claim.id, notes, [checks(claim)] if claim.checks else [])


def checks(claim: Claim) -> Table:
    """What each check of a claim found."""
    rows: list[list[Cell]] = [
        [
            check.what,
            check.found.measured,
            check.found.verdict,
            check.rule.replace("_", " "),
            ", ".join(ORIGINS[origin] for origin in check.origins),
        ]
        for check in claim.checks
    ]
    return Table("Checks", ("check", "found", "verdict", "rule", "whose numbers"), rows)


def markdown(claims: Sequence[Claim]) -> str:
    """The ledger as a page of the documentation: a table, and a section for each claim."""
    lines = [
        "# Published claims and what became of them",
        "",
        "Written by `assay claims --markdown`; do not edit. `assay claims --out FOLDER` draws a page with a picture "
        "for each claim.",
        "",
        *(f"{line}" for line in counts(claims)),
        "",
        "A verdict is computed from the packaged evidence by the rule that stands in the claim's file "
        "(`src/assay/analysis/claims/ledger/`); nobody writes one. *Recomputed from the authors' tables* means that "
        "the numbers are theirs and the arithmetic is ours: it is no replication.",
        "",
        "When the rules were written: those for differences in the stealing study, before its first run; those for its "
        "tables foundation, sizes and targets, for unpairing, for the correlations over siblings and for texts, before "
        "their numbers were seen. Those for released tables, for the membership study, for the saving by a sibling "
        "(C1), for optimisers (5 points) and for no difference were written when numbers were known.",
        "",
        "| verdict | meaning |",
        "|---|---|",
        *(f"| {verdict} | {meaning} |" for verdict, meaning in MEANING.items()),
        "",
        "| id | claim | published | verdict | decided by |",
        "|---|---|---|---|---|",
        *(
            f"| [{c.id}](#{c.id.lower()}) | {_cell(c.statement)} | {_cell(c.published)} | **{c.verdict}** "
            f"| {c.origin} |"
            for c in claims
        ),
        "",
    ]
    for paper in dict.fromkeys(claim.paper for claim in claims):
        lines += [f"## {paper[0].upper()}{paper[1:]}", ""]
        for claim in claims:
            if claim.paper == paper:
                lines += _section(claim)
    return "\n".join(lines)


def _section(claim: Claim) -> list[str]:
    lines = [f"### {claim.id}", "", claim.statement, ""]
    facts = (
        ("Published", claim.published),
        ("Source", claim.source),
        ("Tested by", claim.test),
        ("Rule", claim.rule),
        ("Verdict", f"**{claim.verdict}**" + (f" ({claim.origin})" if claim.origin else "")),
        ("Why" if not claim.checks else "Note", claim.remark if claim.checks else claim.why),
    )
    lines += [f"- {name}: {text}" for name, text in facts if text]
    if claim.checks:
        table = checks(claim)
        lines += ["", "| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(_cell(str(cell)) for cell in row) + " |" for row in table.rows]
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
