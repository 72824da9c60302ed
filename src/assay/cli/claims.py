"""``assay claims``: what four papers say, and what the evidence makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def claims(
    name: Annotated[str | None, Parameter(help="One claim, such as A6; by default all.")] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Write a page with a picture for each claim into this folder.")] = None,
    markdown: Annotated[bool, Parameter(negative="", help="Print the page of the documentation instead.")] = False,
) -> None:
    """The ledger of published claims: statement, published figure, ours, and the verdict by its rule."""
    from assay.analysis.claims import load_claims
    from assay.base.errors import UsageError, nearest
    from assay.reports.views import page
    from assay.reports.views.claim_pages import write_pages
    from assay.reports.views.claims import ledger, one
    from assay.reports.views.claims import markdown as to_markdown

    known = load_claims()
    if markdown:
        print(to_markdown(known), end="")
        return
    chosen = known if name is None else [claim for claim in known if claim.id == name]
    if not chosen:
        raise UsageError(f"There is no claim {name!r}: {nearest(name or '', [claim.id for claim in known])}")
    page.show(ledger(chosen) if name is None else one(chosen[0]))
    if out is not None:
        write_pages(chosen, out)
        print(f"Written to {out / 'index.html'}.")
