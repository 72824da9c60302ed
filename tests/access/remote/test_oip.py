"""The Open Inference Protocol, against a server written from its specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from access.remote.doubles import Protocol, as_json, images, serving, truth
from assay.access.remote.address import parse_address
from assay.access.remote.client import Client
from assay.access.remote.failures import ChangedError
from assay.access.remote.http import Reply
from assay.access.remote.services.oip import OpenInference
from assay.access.remote.write_ahead import Receipts
from assay.base.errors import AccessError, AssayError, DataError, UsageError


def opened(url: str, options: str = "") -> OpenInference:
    service = OpenInference(parse_address(f"{url}{options}"))
    service.connect()
    return service


def client(url: str, folder: Path, options: str = "") -> Client:
    return Client(opened(url, options), Receipts(folder / "s.sqlite"), price_per_1000=0.0, budget=None)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("path", ["", "/v2/models/m"])
def test_answers_come_through_bit_for_bit(tmp_path: Path, binary: bool, path: str) -> None:
    server = Protocol(binary=binary)
    with serving(server) as url:
        asking = client(url + path, tmp_path, "?batch=4")
        pixels = torch.rand(11, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        assert np.array_equal(asking.ask(pixels), truth(pixels))
    assert sorted(server.charged.values()) == [3, 4, 4], "batches are under way together, in any order"
    assert asking.service.classes == ("a", "b", "c")


def test_labels_become_one_hot_rows(tmp_path: Path) -> None:
    with serving(Protocol(output="label")) as url:
        asking = client(url, tmp_path)
        rows = asking.ask(images(5))
    assert np.array_equal(rows, np.eye(3, dtype=np.float32)[truth(images(5)).argmax(axis=1)])
    assert (asking.service.output, asking.service.kind) == ("label", "label")


@pytest.mark.parametrize("late", [False, True])
def test_failures_on_the_way_charge_nothing_twice(tmp_path: Path, late: bool) -> None:
    server = Protocol()
    faults = ["reset", as_json({}, 500), as_json({}, 503), None, as_json({}, 429), "reset", as_json({}, 502)]
    server.late, server.faults = (faults, []) if late else ([], faults)
    with serving(server) as url:
        asking = client(url, tmp_path, "?batch=2")
        assert np.array_equal(asking.ask(images(12)), truth(images(12)))
    assert server.images == asking.receipts.totals().images == 12
    assert len(server.charged) == 6


def test_the_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_API_KEY", "k3y")
    server = Protocol()
    with serving(server) as url:
        opened(url)
    assert set(server.keys) == {"Bearer k3y"}


def _without(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "outputs": []}


def _output(**changes: Any) -> Any:
    return lambda answer: {**answer, "outputs": [{**answer["outputs"][0], **changes}]}


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda answer: {**answer, "id": "another"}, DataError, "answered another request: another in place of"),
        (lambda answer: {**answer, "model_version": "2"}, ChangedError, "version 2 answered in place of 1"),
        (_without, DataError, "without the output 'y'"),
        (lambda answer: {"error": "odd"}, DataError, "without outputs"),
        (_output(data=["a", "b", "c"] * 4), DataError, "text or other things in place of numbers"),
        (_output(data=[[1.0, 2.0], [1.0]]), DataError, "rows differ in length"),
        (_output(data=[0.5, 0.5] * 4, shape=[4, 2]), DataError, r"4x2 numbers to 4 inputs; 3 classes"),
        (_output(data=[0.5, 0.5] * 4), DataError, "8 numbers where it says 4x3"),
        (_output(data=[3.0, -1.0, 2.0] * 4), DataError, r"no posteriors .*answers=logits"),
        (_output(data=[float("nan")] * 12), DataError, "NaN or infinity"),
        (_output(datatype="BYTES"), DataError, "BYTES of the shape"),
    ],
)
def test_a_bad_answer_is_a_sentence(tmp_path: Path, change: Any, kind: type[AssayError], says: str) -> None:
    server = Protocol(binary=False)
    server.change = change
    with serving(server) as url, pytest.raises(kind, match=says):
        client(url, tmp_path).ask(images(4))
    assert server.images == 4


def test_a_model_that_changes_while_it_is_asked_is_noticed(tmp_path: Path) -> None:
    server = Protocol()
    with serving(server) as url:
        asking = client(url, tmp_path)
        asking.ask(images(4))
        server.faults = ["reset"]
        server.parameters = {**server.parameters, "class_names": ["c", "b", "a"]}
        with pytest.raises(AccessError, match="metadata changed while it was being asked"):
            asking.ask(images(4, seed=1))
        assert asking.receipts.totals().answered == 4


def metadata(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "m",
        "versions": ["3"],
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 4, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    return {**plain, **changes}


def described(options: str = "", **changes: Any) -> OpenInference:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        return as_json(metadata(**changes) if path.endswith("/m") else {"name": "other", "extensions": []})

    with serving(answer) as url:
        return opened(f"{url}/v2/models/m", options)


@pytest.mark.parametrize(
    ("options", "changes", "says"),
    [
        ("", {"inputs": []}, "declares no inputs"),
        ("", {"inputs": [{"name": "x"}]}, "a way that the protocol does not have"),
        ("", {"inputs": metadata()["inputs"] + [{"name": "z", "datatype": "FP32", "shape": [1]}]}, "takes 2 inputs"),
        ("", {"inputs": [{"name": "x", "datatype": "BOOL", "shape": [-1, 1, 4, 4]}]}, "takes BOOL"),
        ("", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4, 4]}]}, "four sides"),
        ("", {"outputs": [{"name": "y", "datatype": "BYTES", "shape": [-1, 3]}]}, "numbers are needed"),
        ("", {"outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}]}, "how many classes"),
        (
            "",
            {"outputs": metadata()["outputs"] + [{"name": "z", "datatype": "FP32", "shape": [-1, 3]}]},
            "say .output=",
        ),
        ("?output=w", {}, "no output 'w'"),
        ("?answers=odds", {}, "logits or posteriors"),
        ("?batch=0", {}, "whole number of 1 or more"),
        ("?scale=big", {}, "scale must be a number"),
        ("?sclae=1", {}, "did you mean 'scale'"),
    ],
)
def test_a_model_that_cannot_be_asked_says_why(options: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises((UsageError, DataError), match=says):
        described(options, **changes)


def test_several_models_must_be_told_apart() -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        return as_json([{"name": "a"}, {"name": "b"}] if path.endswith("index") else {"name": "triton"})

    with serving(answer) as url, pytest.raises(UsageError, match=r"serves 2 models: name one.*\(a, b\)"):
        opened(url)


def sent(service: OpenInference, pixels: torch.Tensor) -> Any:
    return json.loads(service.build("i", pixels).body)["inputs"][0]


def test_inputs_take_the_form_that_the_model_declares() -> None:
    pixels = torch.arange(24).reshape(1, 3, 2, 4).float().div(255)
    channels_last = described(inputs=[{"name": "x", "datatype": "UINT8", "shape": [-1, 2, 4, 3]}])
    tensor = sent(channels_last, pixels)
    assert (tensor["shape"], channels_last.shape) == ([1, 2, 4, 3], (3, 2, 4))
    assert tensor["data"] == np.arange(24).reshape(3, 2, 4).transpose(1, 2, 0).ravel().tolist()
    flat = described("?scale=255", inputs=[{"name": "x", "datatype": "FP64", "shape": [-1, 24]}])
    tensor = sent(flat, pixels)
    assert tensor["shape"] == [1, 24]
    assert np.allclose(tensor["data"], np.arange(24))
    with pytest.raises(DataError, match="rows of 24; the data have 16"):
        flat.build("i", images(1))
    texts = described(inputs=[{"name": "x", "datatype": "BYTES", "shape": [-1, 1]}])
    row = torch.tensor(list("né".encode()) + [0] * 5, dtype=torch.uint8).reshape(1, 1, 1, 8).float().div(255)
    assert sent(texts, row) == {"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["né"]}


def test_other_peoples_servers_are_not_taken_to_know_ids() -> None:
    service = described()
    assert not service.idempotent
    assert service.classes == ("0", "1", "2")
    service.settle(("cat", "dog", "owl"))
    assert service.classes == ("cat", "dog", "owl")
    logits = described("?answers=logits")
    answer = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [3.0, -1.0, 2.0]}]}
    assert logits.parse(Reply(json.dumps(answer).encode()), "i", 1).tolist() == [[3.0, -1.0, 2.0]]
    assert logits.kind == "logits"
    assert logits.identity != service.identity
