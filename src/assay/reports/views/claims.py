"""The ledger as a view for the terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from assay.analysis.claims.claim import ORIGINS, Claim
from assay.analysis.claims.rules import Verdict
from assay.reports.views.page import Cell, Table, View

MEANING: dict[Verdict, str] = {
    "reproduced": "every check agrees with the claim",
    "contradicted": "the checks that are decided speak against it",
    "scope-limited": "it holds in a part of the settings, or in its direction but not in its size",
    "proxy agrees": "our run replaces a part of what the claim is about, and agrees: no replication",
    "proxy disagrees": "our run replaces a part of what the claim is about, and does not agree, or only in part",
    "open": "the intervals do not decide every check, or are too wide for the published number",
    "not run": "nothing of this kind was run",
    "not testable": "nothing at hand can tell; the reason is given",
}

WRITTEN = (
    "When the rules were written (each section has the date of its rule's present form): those for differences in the "
    "stealing study, before its first run; those for its tables foundation, sizes and targets, for unpairing, for the "
    "correlations over siblings and for texts, before their numbers were seen. Those for released tables, for the "
    "membership study, for the saving by a sibling (C1), for optimisers (5 points) and for no difference were written "
    "when numbers were known. On 2026-12-01, with all numbers known, they were made stricter for all claims at once: a "
    "claim needs every one of its checks, an interval wider than the tolerance decides nothing, a proxy never "
    "reproduces, and an identity (D11) is no test."
)


def counts(claims: Sequence[Claim]) -> list[str]:
    """What the ledger holds, in sentences."""
    checked = [check for claim in claims for check in claim.checks if check.found.verdict != "open"]
    studies = {study for check in checked for study in check.studies}
    return [
        f"{len(claims)} claims.",
        f"The authors' tables, recomputed: {_told([claim.recomputed for claim in claims])}.",
        f"Our own runs: {_told([claim.own for claim in claims])}.",
        f"{len(checked)} checks are decided, on {len(studies)} studies: many share their data, and stand or fall "
        f"together. At 95 % intervals about {0.05 * len(checked):.0f} of them may have come out by chance.",
    ]


def _told(verdicts: Sequence[Verdict]) -> str:
    found = Counter(verdicts)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in get_args(Verdict) if found[verdict])


def ledger(claims: Sequence[Claim]) -> View:
    """One row a claim."""
    rows: list[list[Cell]] = [
        [claim.id, claim.statement, claim.published, claim.measured or claim.why, claim.recomputed, claim.own]
        for claim in claims
    ]
    head = ("id", "claim", "published", "found", "authors' tables", "our run")
    return View("Published claims", counts(claims), [Table("Claims", head, rows)])


def one(claim: Claim) -> View:
    """One claim and its checks."""
    notes = [
        claim.statement,
        f"Published: {claim.published}.",
        f"By the authors' tables: {claim.recomputed}. By our own run: {claim.own}.",
        claim.why,
    ]
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
        "(`src/assay/analysis/claims/ledger/`); nobody writes one. By the authors' tables means that the numbers are "
        "theirs and the arithmetic is ours: it is no replication.",
        "",
        WRITTEN,
        "",
        "| verdict | meaning |",
        "|---|---|",
        *(f"| {verdict} | {meaning} |" for verdict, meaning in MEANING.items()),
        "",
        "| id | claim | published | authors' tables | our run |",
        "|---|---|---|---|---|",
        *(
            f"| [{c.id}](#{c.id.lower()}) | {_cell(c.statement)} | {_cell(c.published)} | {c.recomputed} "
            f"| **{c.own}** |"
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
        ("Rule", f"{claim.rule} (as of {claim.written})" if claim.rule else ""),
        ("By the authors' tables", claim.recomputed),
        ("By our own run", f"**{claim.own}**"),
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
