"""The evidence bundle against the public schemas and tools of its forms, and what it must not hold."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from referencing import Registry, Resource

from assay.cli import main
from assay.methods.finding import Metric
from assay.methods.standards import AISVS, ATLAS, NIST, TESTING_GUIDE
from assay.reports.report import Report, assemble, write_json
from oracles.gate import sarif_complaints
from reports.samples import HOSTILE, START, outcome, ratio, roc_figure, target, unfinished

SCHEMAS = Path(__file__).with_name("schemas")
"""CycloneDX 1.7 and what it refers to: https://github.com/CycloneDX/specification, Apache-2.0, unchanged."""


def schema(name: str) -> Any:
    return json.loads(gzip.decompress((SCHEMAS / f"{name}.schema.json.gz").read_bytes()))


def complaints(bom: Any) -> list[str]:
    """What a bill of materials violates of the official schema of CycloneDX 1.7, and references to nothing."""
    main_schema, *others = (schema(name) for name in ("bom-1.7", "spdx", "jsf-0.82", "cryptography-defs"))
    registry: Registry[Any] = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in others)
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    validator = jsonschema.Draft7Validator(main_schema, registry=registry, format_checker=checker)
    found = [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(bom)]
    refs = list(references(bom, "bom-ref"))
    found += [f"bom-ref {ref} twice" for ref in refs if refs.count(ref) > 1]
    links = [link for row in bom["declarations"]["attestations"] for link in linked(row)]
    links += [link for claim in bom["declarations"]["claims"] for link in (claim["target"], *claim["evidence"])]
    return found + [f"{link} refers to nothing" for link in links if link not in refs]


def references(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from references(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from references(value, key)


def linked(row: Any) -> list[str]:
    found = [row["assessor"]]
    for one in row["map"]:
        found += [one["requirement"], *one.get("claims", ()), *one.get("counterClaims", ())]
    return found


def sample(name: str = "m") -> Report:
    facts = target(name).model_copy(update={"facts": {"sha256": "ab" * 32, "format": "onnx", "architecture": "cnn"}})
    refused = Metric(name="tpr_at_fpr_0.001", label="TPR", value=None, note="It needs 1,000 non-members.")
    auc = ratio("auc", "AUC", 0.62, 0.56, 0.68, "DeLong", n=900)
    return assemble(
        [
            outcome("membership", "LiRA", metrics=[auc, refused], facts=facts, figures=[roc_figure(leak=1.0)]),
            outcome("evasion", "PGD", facts=facts, level="high", white_box=True),
            outcome("stealing", "Best", facts=facts, seed=1),
            unfinished("backdoor", "Scan", "skipped", "The network has no gradients.", facts),
        ]
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return written(tmp_path, sample(), "--dataset", "org/bench")


def written(folder: Path, report: Report, *more: str) -> Path:
    write_json(report, folder / "report.json")
    assert main(["export", "evidence", str(folder / "report.json"), "--out", str(folder / "out"), *more]) == 0
    return folder / "out"


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_the_bill_of_materials_is_cyclonedx(bundle: Path) -> None:
    bom = read(bundle / "bom.cdx.json")
    assert complaints(bom) == []
    component = bom["metadata"]["component"]
    assert component["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    auc = next(one for one in metrics if one["type"] == "membership.lira auc")
    assert (auc["value"], auc["confidenceInterval"]) == ("0.62", {"lowerBound": "0.56", "upperBound": "0.68"})
    rows = {one["requirement"]: one for one in bom["declarations"]["attestations"][0]["map"]}
    assert rows["aisvs-1.0#11.2.5"]["conformance"]["score"] == 0
    assert rows["aisvs-1.0#11.2.5"]["counterClaims"]
    assert rows["aisvs-1.0#6.1.3"]["conformance"]["score"] == 1
    assert "score" not in rows["aisvs-1.0#11.2.4"]["conformance"], "not measured is no conformance"
    broken = bom | {"specVersion": 1.7}
    assert complaints(broken), "the schema is looked at"


def test_sarif_carries_ids_of_four_standards(bundle: Path) -> None:
    log = read(bundle / "report.sarif")
    assert sarif_complaints(log) == []
    (run,) = log["runs"]
    names = [one["name"] for one in run["taxonomies"]]
    assert set(names) == {AISVS, TESTING_GUIDE, NIST, ATLAS}
    for result in run["results"]:
        for taxon in result["taxa"]:
            component = taxon["toolComponent"]
            assert names[component["index"]] == component["name"]
            assert {"id": taxon["id"]} in run["taxonomies"][component["index"]]["taxa"]
    told = {result["ruleId"]: result for result in run["results"]}
    assert {"11.2.5", "AITG-MOD-04", "NISTAML.033"} <= {taxon["id"] for taxon in told["membership.lira"]["taxa"]}
    assert told["backdoor.scan"]["kind"] == "notApplicable"
    assert told["backdoor.scan"]["message"]["text"].startswith("Not measured")
    assert (told["evasion.pgd"]["kind"], told["evasion.pgd"]["level"]) == ("fail", "error")


@pytest.mark.skipif("SARIF_SCHEMA" not in os.environ, reason="SARIF_SCHEMA names OASIS's sarif-schema-2.1.0.json")
def test_sarif_validates_against_the_standards_schema(bundle: Path) -> None:
    official = json.loads(Path(os.environ["SARIF_SCHEMA"]).read_text())
    jsonschema.validate(read(bundle / "report.sarif"), official)


def test_the_test_result_is_in_totos(bundle: Path) -> None:
    statement = read(bundle / "test-result.intoto.json")
    predicate = statement["predicate"]
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["subject"] == [{"name": "m", "digest": {"sha256": "ab" * 32}}]
    assert predicate["result"] == "FAILED"
    assert "aisvs-1.0 11.2.5" in predicate["failedTests"]
    assert "aisvs-1.0 6.1.3" in predicate["passedTests"]
    assert "aisvs-1.0 11.2.4" in predicate["warnedTests"]
    official = pytest.importorskip("in_toto_attestation.v1.statement")
    descriptors = pytest.importorskip("in_toto_attestation.v1.resource_descriptor")
    subjects = [
        descriptors.ResourceDescriptor(name=one["name"], digest=one["digest"]).pb for one in statement["subject"]
    ]
    official.Statement(subjects, statement["predicateType"], predicate).validate()


def test_without_a_file_there_is_no_subject(tmp_path: Path) -> None:
    folder = written(tmp_path, assemble([outcome("evasion", "PGD", facts=target("m"))]))
    assert not (folder / "test-result.intoto.json").exists()
    assert not (folder / ".eval_results").exists(), "no benchmark was named"
    assert complaints(read(folder / "bom.cdx.json")) == []


def test_the_hubs_own_reader_reads_the_results(bundle: Path) -> None:
    entries = parse_eval_result_entries(yaml.safe_load((bundle / ".eval_results" / "assay.yaml").read_text()))
    lira = next(one for one in entries if one.task_id == "membership.lira.auc")
    assert (lira.dataset_id, lira.value, str(lira.date)) == ("org/bench", 0.62, f"{START:%Y-%m-%d}")
    assert "[0.560, 0.680]" in (lira.notes or "")


def test_annex_iv_tells_the_numbers_and_what_is_missing(bundle: Path) -> None:
    text = (bundle / "annex-iv.md").read_text()
    assert r"0.620 \[0.560, 0.680\]" in text or "0.620 [0.560, 0.680]" in text
    assert "Not measured: The network has no gradients." in text
    assert "AITG-MOD-04" in text
    assert "Art. 15(5) adversarial examples" in text


def test_the_bundle_holds_aggregates_alone(bundle: Path) -> None:
    figure = roc_figure(leak=1.0)
    for file in (file for file in bundle.rglob("*") if file.is_file()):
        text = file.read_text()
        assert figure.title not in text
        assert "data:image" not in text
        assert len(text) < 200_000


def test_names_from_hell_stay_text(tmp_path: Path) -> None:
    folder = written(tmp_path, sample(HOSTILE), "--dataset", "org/bench")
    assert complaints(read(folder / "bom.cdx.json")) == []
    assert sarif_complaints(read(folder / "report.sarif")) == []
    assert "<script>" not in (folder / "annex-iv.md").read_text()
