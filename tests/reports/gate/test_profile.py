"""Requirements of standards: every way to decide one, what the writers make of it, and profiles that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from assay.cli import main
from assay.methods.finding import Metric
from assay.methods.metric import FAMILIES
from assay.methods.standards import ids_of
from assay.reports.gate.evaluate import evaluate
from assay.reports.gate.profile import FOLDER, PACKAGED, read_profile
from assay.reports.html import render_html
from assay.reports.report import assemble, write_json
from assay.reports.results import Result
from assay.studies.outcome import Outcome
from assay.studies.sanity import Sanity
from oracles.gate import sarif_complaints
from reports.samples import outcome, ratio, target

SUPPORTED = ratio("tpr_at_fpr_0.001", "TPR", 0.001, 0.0005, 0.0018, "Clopper-Pearson", n=50_000)
REFUSED = Metric(name="tpr_at_fpr_0.001", label="TPR", value=None, note="It needs 1,000 non-members; there are 90.")


def auc(value: float, low: float, high: float) -> Metric:
    return ratio("auc", "AUC", value, low, high, "DeLong", n=50_000)


def decided(*outcomes: Outcome, profile: str = "aisvs-1.0", beside: tuple[Result, ...] = ()) -> dict[str, str]:
    """The status of every requirement on a result of these outcomes, in the standard's words."""
    result = Result(assemble(outcomes))
    words = {"passed": "met", "failed": "not met", "skipped": "not evaluable"}
    judged = evaluate(read_profile(profile), [result, *beside]).checks
    return {check.rule.subject: words[check.status] for check in judged if check.target == result.report.target.name}


def membership(*metrics: Metric, **other: object) -> Outcome:
    return outcome("membership", "LiRA", metrics=list(metrics), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metrics", "wanted"),
    [
        ((auc(0.505, 0.49, 0.52), SUPPORTED), "met"),
        ((auc(0.505, 0.49, 0.551), SUPPORTED), "not evaluable"),
        ((auc(0.62, 0.56, 0.68), SUPPORTED), "not met"),
        ((auc(0.505, 0.49, 0.52), REFUSED), "not evaluable"),
        ((auc(0.505, 0.49, 0.52),), "not evaluable"),
        ((auc(0.505, 0.49, 0.52), ratio("tpr_at_fpr_0.001", "TPR", 0.01, 0.004, 0.02, "exact")), "not met"),
    ],
)
def test_guessing_is_an_equivalence_test(metrics: tuple[Metric, ...], wanted: str) -> None:
    assert decided(membership(*metrics))["11.2.5"] == wanted


def test_the_best_of_many_attacks_may_lie_beyond_a_bound_by_chance() -> None:
    just = auc(0.62, 0.553, 0.68)
    others = [ratio(f"auc_{name}", "AUC", 0.505, 0.49, 0.52, "DeLong", n=50_000) for name in "abcdefg"]
    assert decided(membership(just))["11.2.5"] == "not met"
    assert decided(membership(just, *others))["11.2.5"] == "not evaluable"
    assert decided(membership(auc(0.65, 0.6, 0.7), *others))["11.2.5"] == "not met"


@pytest.mark.parametrize(("low", "wanted"), [(0.51, "not evaluable"), (0.49, "met")])
def test_a_shift_between_the_sets_is_no_leak_and_no_proof(low: float, wanted: str) -> None:
    blind = ratio("auc_blind", "AUC without the model", 0.6, low, 0.7, "DeLong")
    assert decided(membership(auc(0.505, 0.49, 0.52), SUPPORTED, blind))["11.2.5"] == wanted


def test_a_weak_attack_shows_no_equivalence() -> None:
    strong = membership(auc(0.505, 0.49, 0.52), SUPPORTED, level="undecided")
    assert strong.verdict is not None
    weak = strong.model_copy(update={"verdict": strong.verdict.model_copy(update={"weak": True})})
    assert decided(strong)["11.2.5"] == "met"
    assert decided(weak)["11.2.5"] == "not evaluable"


def test_acceptance_needs_every_answer() -> None:
    four = [outcome(family, "One") for family in FAMILIES if family != "siblings"]
    assert decided(*four)["6.1.4"] == "met"
    assert decided(*four[:3])["6.1.4"] == "not evaluable"
    assert decided(*four[:3], outcome("evasion", "One", level="undecided"))["6.1.4"] == "not evaluable"
    assert decided(*four[:3], outcome("evasion", "One", level="high"))["6.1.4"] == "not met"
    assert decided(outcome("stealing", "One", level="high"))["6.1.4"] == "not met", "one that fails is enough"


def test_a_release_set_is_measured_alike() -> None:
    facts = target("int8")
    first, second = outcome("evasion", "PGD"), outcome("evasion", "PGD", facts=facts)
    assert decided(first)["3.2.2"] == "not evaluable"
    assert decided(first, beside=(Result(assemble([second])),))["3.2.2"] == "met"
    more = Result(assemble([second, outcome("membership", "LiRA", facts=facts)]))
    assert decided(first, beside=(more,))["3.2.2"] == "not met"


def test_the_file_is_known_or_not() -> None:
    facts = target().model_copy(update={"facts": {"format": "safetensors", "sha256": "ab" * 32}})
    known = decided(outcome("evasion", "PGD", facts=facts))
    assert (known["6.1.1"], known["6.1.3"]) == ("met", "met")
    unknown = decided(outcome("evasion", "PGD"))
    assert (unknown["6.1.1"], unknown["6.1.3"]) == ("not evaluable", "not evaluable")


def test_a_model_in_doubt_is_not_accepted_and_its_file_is_still_known() -> None:
    doubt = Sanity(accuracy={}, majority=0.1, chance=0.1, doubt="It is at chance.", cause="chance")
    facts = target().model_copy(update={"facts": {"format": "safetensors", "sha256": "ab" * 32}, "sanity": doubt})
    found = decided(*(outcome(family, "One", facts=facts) for family in FAMILIES if family != "siblings"))
    assert (found["6.1.4"], found["11.1.4"], found["6.1.3"]) == ("not met", "not met", "met")


def test_rate_limits_need_a_budget() -> None:
    asked = outcome("stealing", "Best")
    assert decided(asked)["11.2.2"] == "met"
    free = asked.model_copy(update={"serving": asked.serving | {"budget": None}})
    assert decided(free)["11.2.2"] == "not evaluable"


def test_every_file_of_the_folder_is_packaged() -> None:
    assert sorted(PACKAGED) == sorted(file.stem for file in FOLDER.glob("*.toml"))


def test_the_report_shows_what_standards_ask(tmp_path: Path) -> None:
    page = render_html(assemble([membership(auc(0.62, 0.56, 0.68), SUPPORTED)]), tmp_path)
    section = page.partition('id="standards"')[2].partition("</details>")[0]
    rows = [row for row in section.split("<tr>") if "11.2.5" in row]
    assert len(rows) == 1
    assert "<td>not met</td>" in rows[0]
    assert "0.620 [0.560, 0.680] (bound 0.550)" in rows[0]


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_profiles_say_what_they_decide(name: str) -> None:
    for one in read_profile(name).requirement:
        assert one.text.endswith(".")
        assert one.scope.endswith(".")


def test_every_id_of_a_method_is_in_the_profile() -> None:
    known = {one.id for one in read_profile("aisvs-1.0").requirement}
    assert {one for family in FAMILIES for one in ids_of("", family, True).aisvs} <= known
    assert ids_of("evasion.square", "evasion", False).nist == ("NISTAML.025",)


def test_the_command_writes_numbers_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    write_json(assemble([membership(auc(0.62, 0.56, 0.68), SUPPORTED)]), report)
    files = {kind: tmp_path / kind for kind in ("junit", "sarif", "markdown")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    assert main(["gate", str(report), "--profile", "aisvs-1.0", *options]) == 1
    out = capsys.readouterr().out
    assert "not met  digits/cnn-overfitted: 11.2.5" in out
    assert "0.620 [0.560, 0.680] (bound 0.550)" in out
    log = json.loads(files["sarif"].read_text())
    assert sarif_complaints(log) == []
    assert "11.2.5" in {one["ruleId"] for one in log["runs"][0]["results"]}
    suite = ElementTree.parse(files["junit"]).getroot()
    assert int(suite.get("tests", 0)) == len(read_profile("aisvs-1.0").requirement)
    assert "not evaluable" in files["markdown"].read_text()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("title = 'x'\n", "requirement: Field required"),
        ("title = 'x'\n[[requirement]]\nid='1'\ntext='t'\ncheck='accepted'\nfamilies=['evasion']\n", "worst"),
        ("title = 'x'\n[[requirement]]\nid='1'\ntext='t'\ncheck='measured'\nmethods=['evasion.pdg']\n", "evasion.pgd"),
        ("title = 'x'\n" + "[[requirement]]\nid='1'\ntext='t'\ncheck='outside'\n" * 2, "two requirements '1'"),
    ],
)
def test_a_wrong_profile_is_one_sentence(
    tmp_path: Path, text: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(text)
    assert main(["gate", str(tmp_path), "--profile", str(file)]) == 4
    assert wanted in capsys.readouterr().err


def test_an_unknown_profile_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", str(tmp_path), "--profile", "aisvs-1"]) == 4
    assert "'aisvs-1.0'" in capsys.readouterr().err
    assert main(["gate", str(tmp_path)]) == 4
    assert "--profile" in capsys.readouterr().err
