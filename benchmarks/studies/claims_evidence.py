"""Regenerate the packaged evidence that does not come from a benchmark of its own.

    python -m benchmarks.studies.claims_evidence securitynet TABLE     # SecurityNet's Database/README.MD
    python -m benchmarks.studies.claims_evidence membership            # from docs/studies/membership_public.md
    python -m benchmarks.studies.claims_evidence text                  # from docs/studies/data/text.json

``tables WORKSPACE --evidence FILE`` and ``siblings report FOLDER --evidence FILE`` write the others.
Then ``assay claims --markdown > docs/claims.md`` writes the ledger's page again.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import assay.analysis.claims
from assay.analysis.claims.evidence import Evidence, Number, Tables, write_evidence
from assay.analysis.claims.released import securitynet_evidence
from assay.analysis.securitynet import analyse
from assay.catalogue.importers.securitynet import read_tables

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "docs" / "studies"
PACKAGED = Path(assay.analysis.claims.__file__).parent / "evidence"
SCORES = (
    "correctness",
    "confidence",
    "entropy",
    "modified_entropy",
    "mlp_full",
    "mlp_top_3",
    "mlp_full_and_correctness",
)


def membership() -> Evidence:
    """The public models' gaps and AUCs, as the study prints them."""
    rows: dict[str, dict[str, Number]] = {}
    for line in (STUDIES / "membership_public.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| \n").split("|")]
        if len(cells) != 13 or "/" not in cells[0]:
            continue
        low, high = map(float, cells[11].split(" to "))
        numbers = {"gap": Number(value=float(cells[3]), n=11_000)}
        for name, cell in zip(SCORES, cells[4:11], strict=True):
            numbers[f"auc_{name}"] = Number(value=float(cell), n=11_000)
        numbers["auc_modified_entropy"] = Number(value=float(cells[7]), low=low, high=high, n=11_000, how="DeLong")
        numbers["correctness_error"] = Number(value=round(abs(float(cells[4]) - 0.5 - float(cells[3]) / 2), 6))
        rows[cells[0]] = numbers
    small = sum(row["auc_modified_entropy"].value < 0.6 for row in rows.values())
    worst = max(row["correctness_error"].value for row in rows.values())
    tables: Tables = {
        "public": rows,
        "summary": {
            "all models": {
                "share of AUCs under 0.6": Number(value=small / len(rows), n=len(rows)),
                "largest |AUC - (0.5 + gap/2)|": Number(value=worst, n=len(rows)),
            }
        },
    }
    return Evidence(
        study="membership",
        date="2026-11-23",
        source="docs/studies/membership_public.md",
        configuration="23 public CIFAR-10 models, 10,000 members and 1,000 non-members, posteriors, seed 0",
        tables=tables,
    )


def text(file: Path = STUDIES / "data" / "text.json") -> Evidence:
    """The study of text models: the numbers of every seed, as its benchmark leaves them."""
    known = json.loads(file.read_text(encoding="utf-8"))
    return Evidence(
        study="text",
        date=known.get("date") or datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat(),
        source="benchmarks/stealing/text_study.py",
        configuration="all-MiniLM-L6-v2 with a classifier for SST-2, stolen with up to 400 sentences, three seeds",
        tables={table: {row: flat(found) for row, found in rows.items()} for table, rows in known["tables"].items()},
    )


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row's numbers by seed; those by budget are named as in the stealing study."""
    numbers = {name: values for name, values in row.items() if isinstance(values, list)}
    return numbers | {f"agreement_at_{budget}": values for budget, values in row.get("agreement_at", {}).items()}


def main() -> None:
    """Write one file of evidence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("study", choices=("securitynet", "membership", "text"))
    parser.add_argument("table", type=Path, nargs="?", help="SecurityNet's table")
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args()
    if options.study == "securitynet":
        tables = read_tables(options.table)
        found = securitynet_evidence(analyse(tables), tables)
    else:
        found = {"membership": membership, "text": text}[options.study]()
    write_evidence(options.out / f"{found.study}.json", found)


if __name__ == "__main__":
    main()
