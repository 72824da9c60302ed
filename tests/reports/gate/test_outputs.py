"""What the gate writes for machines and people, and what the command makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from assay.cli import main
from assay.methods.finding import NO_SAMPLES
from assay.reports.gate.check import Gate, check
from assay.reports.gate.junit import write_junit
from assay.reports.gate.markdown import markdown
from assay.reports.gate.sarif import write_sarif
from assay.reports.markdown import plain
from assay.reports.report import assemble, write_json
from oracles.gate import sarif_complaints
from reports.gate.cases import RULE, fgsm, policy, result, share
from reports.samples import HOSTILE, outcome, target

THREE = (
    f"{RULE}max = 0.1\nreason = 'Ours | theirs'\n\n{RULE}max = 0.9\n\n"
    "[[rule]]\nmethod = 'evasion.apgd'\nmetric = 'x'\nmax = 1\noptional = true\n"
)


def gate(folder: Path, name: str = f"{HOSTILE}\x00\x1b|*`") -> Gate:
    folder = folder / "policies of ours"
    folder.mkdir()
    return check(policy(folder, THREE), [result(fgsm(share(30, 100), name)), result(fgsm(share(0, 100), "calm"))])


def test_junit_counts_and_quotes(tmp_path: Path) -> None:
    write_junit(gate(tmp_path), tmp_path / "junit.xml")
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert root.attrib == {"name": "assay gate", "tests": "6", "failures": "1", "errors": "0", "skipped": "2"}
    assert [suite.get("tests") for suite in root] == ["3", "3"]
    assert len(root.findall(".//failure")) == 1
    assert len(root.findall(".//skipped")) == 2
    (failure,) = root.findall(".//failure")
    assert failure.get("message", "").startswith("The interval reaches up to 0.4")
    assert root[0].get("name", "").startswith("<script>alert")


def test_sarif_holds_what_the_standard_asks_for(tmp_path: Path) -> None:
    write_sarif(gate(tmp_path), tmp_path / "gate.sarif")
    log = json.loads((tmp_path / "gate.sarif").read_text())
    assert sarif_complaints(log) == []
    (run,) = log["runs"]
    (one,) = run["results"]
    assert (one["kind"], one["level"]) == ("fail", "error"), "what passed is no alert"
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == one["ruleId"] == "evasion.fgsm success"
    assert rule["helpUri"] == "https://atlas.mitre.org/techniques/AML.T0015"
    assert rule["properties"]["security-severity"] == "3.0", "the verdict is low"


def test_sarif_points_at_the_model_and_keeps_the_worst_severity(tmp_path: Path) -> None:
    facts = target("m").model_copy(update={"facts": {"file": "models/our model.toml"}})
    high = outcome("evasion", "FGSM", metrics=[share(30, 100)], facts=facts, level="high")
    rules = policy(tmp_path, f"{RULE}max = 0.1\n\n[[rule]]\nquestion = 'evasion'\nworst = 'low'\n")
    write_sarif(check(rules, [result(fgsm(share(30, 100), "calm")), result(high)]), tmp_path / "s.json")
    (run,) = json.loads((tmp_path / "s.json").read_text())["runs"]
    assert sarif_complaints({"$schema": "", "version": "2.1.0", "runs": [run]}) == []
    places = [one["locations"][0] for one in run["results"]]
    assert [place["physicalLocation"]["artifactLocation"]["uri"] for place in places] == [
        "calm",
        "models/our%20model.toml",
        "models/our%20model.toml",
    ]
    assert [place["logicalLocations"][0]["name"] for place in places] == ["calm", "m", "m"]
    severities = {rule["id"]: rule["properties"]["security-severity"] for rule in run["tool"]["driver"]["rules"]}
    assert severities == {"evasion.fgsm success": "8.0", "question: evasion": "8.0"}
    assert len({one["partialFingerprints"]["assayCheck/v1"] for one in run["results"]}) == 3


def test_the_oracle_for_sarif_complains(tmp_path: Path) -> None:
    write_sarif(gate(tmp_path), tmp_path / "gate.sarif")
    log = json.loads((tmp_path / "gate.sarif").read_text())
    log["runs"][0]["results"][0]["kind"] = "pass"
    log["version"] = "2.2"
    assert sarif_complaints(log) == ["version", "3.27.10: only a failure has a level"]


def test_markdown_has_the_failed_first_and_no_markup_from_names(tmp_path: Path) -> None:
    lines = markdown(gate(tmp_path)).splitlines()
    assert lines[0] == "## The gate failed: 1 of 6 checks, 2 did not apply."
    assert lines[4].startswith("| ✗ failed |")
    assert "Ours \\| theirs" in lines[4]
    assert "<script>" not in "".join(lines)
    assert {line.replace("\\|", "").count("|") for line in lines[2:]} == {6}
    assert plain("a\n[b](c)") == "a \\[b\\](c)"


def write_result(folder: Path, hits: int, name: str = "m") -> str:
    write_json(assemble([fgsm(share(hits, 100), name)]), folder / name / "report.json")
    return str(folder / name / "report.json")


def test_the_exit_code_follows_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.toml").write_text(f"{RULE}max = 0.5\n")
    rules = ["--policy", str(tmp_path / "policy.toml")]
    good, bad = write_result(tmp_path / "good", 10), write_result(tmp_path / "bad", 90)
    outputs = ["--junit", f"{tmp_path}/o/j.xml", "--sarif", f"{tmp_path}/o/s.json", "--markdown", f"{tmp_path}/o/m.md"]
    assert main(["gate", good, *rules, *outputs]) == 0
    assert capsys.readouterr().out == "The gate passed: 1 check.\n"
    assert sorted(file.name for file in (tmp_path / "o").iterdir()) == ["j.xml", "m.md", "s.json"]
    assert main(["gate", bad, *rules]) == 1
    told = capsys.readouterr().out
    assert "failed  m: evasion.fgsm success, at most 0.5" in told
    assert told.endswith("The gate failed: 1 of 1 check.\n")
    assert main(["gate", str(tmp_path), *rules]) == 1, "a folder of reports: each is judged"
    assert capsys.readouterr().out.endswith("The gate failed: 1 of 2 checks.\n")


def test_bad_input_is_told_from_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.toml").write_text(f"{RULE}max_increase = 0.5\n")
    (tmp_path / "empty").mkdir()
    rules, good = ["--policy", str(tmp_path / "policy.toml")], write_result(tmp_path / "good", 10)
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"schema_version": 1, "target": 3}')
    cases = {
        ("gate", good, *rules): (4, "--baseline"),
        ("gate", good): (4, "--policy"),
        ("gate", str(tmp_path / "nowhere"), *rules): (2, "There is no result at"),
        ("gate", str(damaged), *rules): (2, "is not a report that this version of Assay reads: target"),
        ("gate", str(tmp_path / "empty"), *rules): (3, "holds no result"),
        ("gate", good, "--policy", good): (2, "is not TOML"),
    }
    for arguments, (code, told) in cases.items():
        assert main(list(arguments)) == code, arguments
        assert told in capsys.readouterr().err


def test_a_workspace_is_a_result(tmp_path: Path) -> None:
    from assay.studies import Workspace

    workspace = Workspace(tmp_path / "w")
    for one in (fgsm(share(10, 100)), outcome("membership", "Metrics", facts=target("m"))):
        workspace.fresh_artefacts(one.key)
        workspace.save(one, NO_SAMPLES)
    (tmp_path / "policy.toml").write_text(f"{RULE}max = 0.5\n")
    assert main(["gate", str(workspace.path), "--policy", str(tmp_path / "policy.toml")]) == 0
