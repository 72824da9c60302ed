"""The published JSON schema of ``report.json``.

``python -m assay.reports.schema > src/assay/reports/report.schema.json`` writes it anew after a change of the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assay.reports.report import SCHEMA_VERSION, Report

FILE = Path(__file__).with_name("report.schema.json")


def report_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of the reports that this version writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:modelassay:report:{SCHEMA_VERSION}",
        **Report.model_json_schema(mode="serialization"),
    }


if __name__ == "__main__":
    print(json.dumps(report_schema(), indent=1, sort_keys=True))
