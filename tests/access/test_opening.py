"""A reference to a service becomes a target, on the user's terms only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import assay
from access.remote.doubles import SHAPE, Protocol, images, serving, truth
from assay.access import Oracle, PosteriorStore, Serving
from assay.access.opening import Terms, is_service, open_target
from assay.access.remote.labels import arrange
from assay.access.remote.write_ahead import Receipts
from assay.base.errors import AssayError, DataError, UsageError
from assay.cli import main
from assay.targets.target import Target


class Told:
    """Progress that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, label: str, total: float) -> Any:
        from assay.base.progress import silent

        return silent().step(label, total)


@pytest.fixture
def data(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    np.savez(
        path,
        x_train=random.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        y_train=np.arange(60) % 3,
        x_test=random.integers(0, 256, (20, 4, 4), dtype=np.uint8),
        y_test=np.arange(20) % 3,
    )
    return str(path)


def test_a_service_gives_the_numbers_of_the_local_model_to_the_digit(tmp_path: Path, data: str) -> None:
    options = {"stealing.basic": {"budget": 24, "epochs": 2, "architecture": "digits-mlp"}}
    wanted: dict[str, Any] = {"preset": None, "methods": ["stealing.basic"], "options": options, "device": "cpu"}
    server = Protocol()
    with serving(server) as url:
        remote = assay.audit(url, data=data, budget=44, workspace=tmp_path / "remote", **wanted)
        target = open_target(url, ledgers=tmp_path / "other", data=data)
    local = Target(
        name="local",
        weights_digest="w",
        input_shape=SHAPE,
        num_classes=3,
        logits=lambda pixels: torch.from_numpy(truth(pixels)),
        answers="posteriors",
        class_names=("a", "b", "c"),
        splits=target.splits,
    )
    beside = assay.audit(local, workspace=tmp_path / "local", **wanted)
    (far,), (near,) = remote.outcomes, beside.outcomes
    assert far.status == near.status == "done", far.reason
    assert far.metrics == near.metrics
    assert far.artefacts["surrogate.safetensors"] == near.artefacts["surrogate.safetensors"]
    (ledger,) = (tmp_path / "remote" / "ledgers").glob("*.sqlite")
    assert server.images == Receipts(ledger).totals().images == far.spent.forwards == 44


def test_a_study_asks_a_service_as_an_audit_does(tmp_path: Path, data: str) -> None:
    file = tmp_path / "asked.toml"
    server = Protocol()
    with serving(server) as url:
        file.write_text(
            f"""name = "asked"
workspace = "w"
engine.workers = 1
[[targets]]
reference = "{url}"
data = "data.npz"
budget = 44
[[methods]]
name = "stealing.basic"
options = {{ budget = 24, epochs = 1, architecture = "digits-mlp" }}
"""
        )
        assert main(["study", "run", str(file)]) == 0
        assert server.images == 44
        options = {"stealing.basic": {"budget": 24, "epochs": 1, "architecture": "digits-mlp"}}
        audit = assay.audit(
            url, data=data, preset=None, methods=["stealing.basic"], options=options, device="cpu",
            workspace=tmp_path / "w",
        )  # fmt: skip
    assert audit.reused == 1, "the study and the audit plan one and the same trial"
    assert server.images == 44
    assert Receipts(next((tmp_path / "w" / "ledgers").glob("*.sqlite"))).totals().images == 44


def test_the_budget_holds_over_runs_and_what_was_paid_is_used(tmp_path: Path, data: str) -> None:
    server, progress = Protocol(), Told()
    server.parameters = {**server.parameters, "price_per_1000": 5.0}
    with serving(server) as url:
        for budget, status in ((30, "failed"), (44, "done")):
            audit = assay.audit(
                url,
                data=data,
                budget=budget,
                preset=None,
                methods=["stealing.basic"],
                options={"stealing.basic": {"budget": 24, "epochs": 1, "architecture": "digits-mlp"}},
                workspace=tmp_path / "w",
                device="cpu",
                progress=progress,
            )
            assert audit.outcomes[0].status == status, audit.outcomes[0].reason
            assert server.images <= budget
    assert server.images == 44
    first, second = (line for line in progress.lines if "USD per 1,000" in line)
    assert "at most 30 images, at most 0.15 USD, at 5 USD per 1,000; 0 images (0.00 USD) were spent" in first
    assert "at most 44 images" in second
    assert "24 images (0.12 USD) were spent there from this workspace before" in second


def test_labels_only_refuse_what_needs_more_and_leave_out_what_cannot_be_known(tmp_path: Path, data: str) -> None:
    wanted: dict[str, Any] = {"preset": None, "workspace": tmp_path / "w", "data": data, "device": "cpu"}
    with serving(Protocol(output="label")) as url:
        outcomes = assay.audit(
            url,
            methods=["stealing.basic", "membership.metrics", "evasion.fgsm"],
            options={"stealing.basic": {"budget": 24, "epochs": 1, "architecture": "digits-mlp"}},
            **wanted,
        ).outcomes
        with pytest.raises(UsageError, match="answers with label only; its output cannot be posteriors"):
            assay.audit(url, methods=["stealing.basic"], serving={"output": "posteriors"}, **wanted)
    by_name = {outcome.method.name: outcome for outcome in outcomes}
    stolen = by_name["stealing.basic"]
    assert stolen.status == "done", stolen.reason
    assert "kl_divergence" not in {metric.name for metric in stolen.metrics}
    assert "answers with label only" in by_name["membership.metrics"].reason
    assert "white-box" in by_name["evasion.fgsm"].reason


def test_posteriors_pass_the_oracle_as_they_are(tmp_path: Path) -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    target = Target(
        name="t",
        weights_digest="w",
        input_shape=SHAPE,
        num_classes=3,
        logits=lambda pixels: torch.from_numpy(rows[: len(pixels)]),
        answers="posteriors",
    )
    oracle = Oracle(target, Serving(output="top-k", top_k=3), PosteriorStore(tmp_path / "s", 3))
    assert np.array_equal(oracle.ask(images(2)).require_posteriors(), rows)
    as_logits = Target(name="t", weights_digest="w", input_shape=SHAPE, num_classes=3, logits=target.logits)
    assert as_logits.digest != target.digest


@pytest.mark.parametrize(
    ("reference", "terms", "says"),
    [
        ("https://a.example/v2/models/m", Terms(), r"not on this machine.*--live and --budget N"),
        ("https://a.example/v2/models/m", Terms(live=True), "--live and --budget"),
        ("https://a.example/v2/models/m", Terms(budget=5), "--live and --budget"),
        ("amazon-rekognition:us-east-1", Terms(), r"rekognition.us-east-1.amazonaws.com"),
        ("facepp:?endpoint=http://192.0.2.1", Terms(), "not on this machine"),
        ("facepp:", Terms(True, 5), "does not say what it charges: say --price"),
        ("http://127.0.0.1:9", Terms(budget=0), "1 image or more"),
        ("http://127.0.0.1:9", Terms(price_per_1000=-1.0), "price must be 0 or more"),
        ("azure-face:https://a.example", Terms(), "ended the emotions of its Face service on 2023-06-21"),
        ("starter/digits-cnn", Terms(budget=5), "are for services"),
    ],
)
def test_nothing_leaves_without_its_terms(tmp_path: Path, reference: str, terms: Terms, says: str) -> None:
    with pytest.raises(AssayError, match=says):
        open_target(reference, terms, ledgers=tmp_path, data="digits")


def test_a_service_brings_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="brings no data"):
        open_target("http://127.0.0.1:9", ledgers=tmp_path)


def test_services_are_told_from_models() -> None:
    assert all(map(is_service, ("http://h", "https://h", "facepp:", "amazon-comprehend:eu-west-1")))
    assert not any(map(is_service, ("starter/digits-cnn", "timm:resnet18", "model.toml", "facepp", "C:/m.toml")))


def test_classes_keep_the_datas_order_and_nothing_is_left_out() -> None:
    native = ("ANGRY", "CALM", "CONFUSED", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED")
    rafdb = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    arranged = arrange(native, rafdb, "emotion", "s")
    assert arranged.classes == (*rafdb, "confused")
    row = arranged.rows(np.arange(8, dtype=np.float32)[None])
    assert row.tolist() == [[7.0, 4.0, 3.0, 5.0, 6.0, 0.0, 1.0, 2.0]]
    google = arrange(("joy", "sorrow", "anger", "surprise", "none"), rafdb, "emotion", "s")
    assert google.classes == (*rafdb, "none")
    assert google.columns == (3, 4, 5, 0, 7)
    assert arrange(("Positive", "Negative", "Mixed"), ("neg", "pos"), "sentiment", "s").columns == (1, 0, 2)
    with pytest.raises(DataError, match="name them in the order of its labels"):
        arrange(native, (), "emotion", "s")
    with pytest.raises(DataError, match="none in common"):
        arrange(native, ("cat", "dog"), "emotion", "s")


def test_services_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["services"]) == 0
    assert "facepp:us" in capsys.readouterr().out
    assert main(["services", "facepp"]) == 0
    shown = capsys.readouterr().out
    assert "FACEPP_API_KEY" in shown
    assert "?endpoint=" in shown
    assert main(["services", "facep"]) == 4
