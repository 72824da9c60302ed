"""Every case of the table of users' models, opened in this process: it is judged, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.cli import main
from benchmarks.users.making import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_ends_as_it_should(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "skl2onnx" in case.name:
        pytest.importorskip("skl2onnx")
    if "dynamo" in case.name:
        pytest.importorskip("onnxscript")
    if "TFLite" in case.name:
        pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    arguments = case.make(tmp_path)
    code = main(["audit", *arguments, "--method", "membership.metrics"])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("assay:")]
    if case.refused:
        assert code in (2, 4)
        assert len(said) == 1
        assert case.refused in said[0]
    else:
        assert (code, said) == (0, [])
