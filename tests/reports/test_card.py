from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from assay.cli import main
from assay.methods.finding import Metric
from assay.reports.card import card_section, model_index
from assay.reports.report import assemble, write_json
from reports.samples import HOSTILE, outcome, outcomes, ratio, target, unfinished


def test_a_card_answers_every_question_and_says_what_it_took(tmp_path: Path) -> None:
    report = assemble(outcomes(tmp_path))
    text = card_section(report)
    for answer in report.answers:
        assert f"| {answer.question} | {answer.level} |" in text
    assert text.count("\n- Not measured: ") == len(report.unfinished) > 0
    assert report.target.weights_digest in text
    assert "No answer clears the model" in text
    assert {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")} == {4, 6}


def test_nothing_in_a_card_is_taken_for_markup() -> None:
    text = card_section(assemble([unfinished("evasion", HOSTILE, "failed", HOSTILE), outcome("membership", HOSTILE)]))
    assert "<script>" not in text
    assert "[red]" not in text.replace("\\[red\\]", "")


def test_the_model_index_is_what_the_hub_reads(tmp_path: Path) -> None:
    report = assemble(
        [
            outcome("membership", "Metrics"),
            outcome(
                "evasion", "FGSM", metrics=[ratio("success", "Success", 91.5, 89.6, 93.1, "Wilson", unit="%", n=900)]
            ),
            outcome("backdoor", "STRIP", metrics=[Metric(name="p", label="p", value=None, note="Too few.")]),
            unfinished("stealing", "Basic", "failed", "broke"),
        ]
    )
    text = model_index(report)
    (model,) = yaml.safe_load(text)["model-index"]
    assert model["name"] == report.target.name
    (result,) = model["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"] == {"name": "digits non_members", "type": "digits-non_members"}
    assert [metric["type"] for metric in result["metrics"]] == ["membership.metrics.auc", "evasion.fgsm.success"]
    assert result["metrics"][1]["value"] == 91.5
    assert result["metrics"][1]["args"] == {
        "n": 900, "unit": "%", "seed": 0, "low": 89.6, "high": 93.1, "level": 0.95, "interval": "Wilson",
    }  # fmt: skip
    card = ModelCard(f"---\n{text}---\n\n{card_section(report)}")
    assert isinstance(card.data, ModelCardData)
    assert [one.metric_value for one in card.data.eval_results or []] == [0.538, 91.5]


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_json(assemble([outcome("membership", "Metrics", facts=target(name))]), tmp_path / name / "report.json")
    assert main(["export", "card", str(tmp_path / "a"), "--out", str(tmp_path / "o" / "card.md")]) == 0
    assert (tmp_path / "o" / "card.md").read_text().startswith("## Security and privacy assessment")
    assert main(["export", "model-index", str(tmp_path), "--model", "b"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model-index"][0]["name"] == "b"
    assert main(["export", "card", str(tmp_path)]) == 4
    assert "holds 2 results (a, b): say which --model" in capsys.readouterr().err
    assert main(["export", "card", str(tmp_path), "--model", "c"]) == 4
    assert "no result for 'c': known: a, b." in capsys.readouterr().err


def test_the_card_names_the_file_as_sha256sum_does(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    facts = target("m").model_copy(update={"facts": {"sha256": digest}})
    told = card_section(assemble([outcome("evasion", "FGSM", facts=facts)]))
    assert f"SHA-256 of the weights file `{digest}`" in told
    assert facts.weights_digest not in told
    unknown = card_section(assemble([outcome("evasion", "FGSM", facts=target("m"))]))
    assert "SHA-256" not in unknown
    assert f"network `{target('m').weights_digest}` (Assay's own digest" in unknown
