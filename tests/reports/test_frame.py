from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.reports.frame import COLUMNS, frame
from reports.samples import outcomes


def test_one_row_per_metric(tmp_path: Path) -> None:
    found = outcomes(tmp_path)
    table = frame(found)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == sum(len(one.metrics) for one in found)
    row = table[table.metric == "tpr_1"].iloc[0]
    assert (row.value, row.low, row.high, row.level, row.interval_method) == (2.3, 1.4, 3.5, 0.95, "Clopper-Pearson")
    assert (row.n, row.unit, row.method) == (1000, "%", "membership.confidence")


def test_refused_numbers_and_missing_intervals(tmp_path: Path) -> None:
    table = frame(outcomes(tmp_path)).set_index("metric")
    assert pd.isna(table.loc["tpr_01", "value"])
    assert table.loc["tpr_01", "n"] == 797
    assert pd.isna(table.loc["loss", "low"])
    assert table.loc["loss", "interval_method"] == ""
    assert pd.isna(table.loc["loss", "n"])


def test_no_outcomes_make_an_empty_frame_of_the_same_types(tmp_path: Path) -> None:
    pd.testing.assert_series_equal(frame([]).dtypes, frame(outcomes(tmp_path)).dtypes)
