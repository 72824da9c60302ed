from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.detectors import Alarm
from server.serving import MODEL, NAMES, Served, bearer, posteriors, served, some_images


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An open service that many tests share."""
    with served(tmp_path_factory.mktemp("open")) as running:
        yield running


def picture(seed: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), pixels.transpose(2, 0, 1)[None]


def test_health_and_metadata(house: Served) -> None:
    assert [house.http.get(f"/v2/health/{state}").status_code for state in ("live", "ready")] == [200, 200]
    assert house.http.get("/v2").json()["name"] == "assay"
    assert house.http.get(f"{MODEL}/ready").status_code == 200
    metadata = house.http.get(MODEL).json()
    assert metadata == house.http.get(f"{MODEL}/versions/1").json()
    assert metadata["inputs"][0] | {"parameters": 0} == {
        "name": "images",
        "datatype": "FP32",
        "shape": [-1, 3, 4, 4],
        "parameters": 0,
    }
    assert metadata["outputs"] == [{"name": "posteriors", "datatype": "FP32", "shape": [-1, 3]}]
    assert metadata["parameters"]["class_names"] == list(NAMES)
    assert house.http.post("/v2/repository/index").json()[0]["name"] == "zoo/animals"


@pytest.mark.parametrize("policies", [(), ("rounding=1", "noise:scale=0.1,seed=3")])
@pytest.mark.parametrize("output", ["posteriors", "top-k", "label"])
def test_the_service_answers_as_the_oracle_does(tmp_path: Path, output: Any, policies: tuple[str, ...]) -> None:
    serving = Serving(output=output, top_k=2, policies=policies)
    images = some_images(9)
    with served(tmp_path / "served", serving=serving) as house:
        oracle = Oracle(house.model.target(), serving, PosteriorStore(tmp_path / "local.logits", 3))
        expected = oracle.ask(torch.from_numpy(images))
        answer = house.infer(images)
        if expected.posteriors is None:
            (tensor,) = answer.json()["outputs"]
            assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("label", "INT64", [9])
            assert tensor["data"] == expected.labels.tolist()
        else:
            assert np.array_equal(posteriors(answer), expected.posteriors)
        assert house.http.get(MODEL).json()["outputs"][0]["name"] == answer.json()["outputs"][0]["name"]


def test_an_id_is_charged_once(tmp_path: Path) -> None:
    images = some_images(5)
    with served(tmp_path, serving=Serving(price_per_1000=4.0)) as house:
        first, again = house.infer(images, "a"), house.infer(images, "a")
        assert first.json() == again.json()
        assert house.infer(images[:4], "a").status_code == 409
        assert house.usage() | {"model_name": 0, "client": 0} == {
            "model_name": 0,
            "client": 0,
            "images": 5,
            "calls": 1,
            "price": 0.02,
            "price_per_1000": 4.0,
            "budget": None,
            "remaining": None,
        }
        house.infer(images, "b")
        house.infer(images)
        assert (house.usage()["images"], house.usage()["calls"]) == (15, 3)
        assert house.model.computed == 5  # the network answered each image once all the same
        assert "assay_replays_total 1" in house.http.get("/metrics").text
    with served(tmp_path, serving=Serving(policies=("label",))) as house:  # restarted, and serving otherwise now
        assert house.infer(images, "a").json() == first.json()
        assert (house.usage()["images"], house.model.computed) == (15, 0)


def test_the_same_id_at_the_same_time_is_charged_once(tmp_path: Path) -> None:
    images = some_images(2)
    with served(tmp_path) as house, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: house.infer(images, "a"), range(6)))
        assert {answer.text for answer in answers} == {answers[0].text}
        assert house.usage()["images"] == 2


def test_a_batch_over_the_budget_is_refused_whole(tmp_path: Path) -> None:
    with served(tmp_path, serving=Serving(budget=7)) as house:
        posteriors(house.infer(some_images(5), "a"))
        refused = house.infer(some_images(3, 1), "b")
        assert refused.status_code == 402
        assert refused.json()["error"].startswith("The budget is 7 images, 5 are spent; 3 more are refused")
        assert (house.usage()["remaining"], house.model.computed) == (2, 5)
        posteriors(house.infer(some_images(2, 1), "b"))  # what was refused did not use up its id
        assert house.infer(some_images(5), "a").status_code == 200
        assert house.usage()["remaining"] == 0


def test_a_budget_holds_under_concurrent_requests(tmp_path: Path) -> None:
    with served(tmp_path, serving=Serving(budget=10)) as house, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: house.infer(some_images(3, seed)), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [402] * 5
        assert house.usage()["images"] == 9


def test_keys_open_the_model_with_their_own_terms(tmp_path: Path) -> None:
    with served(tmp_path, with_keys=True, serving=Serving(budget=100, price_per_1000=1.0)) as house:
        _, rich = house.keys.add("rich", price_per_1000=10.0)
        _, poor = house.keys.add("poor", budget=1)
        assert house.infer(some_images(1)).status_code == 401
        assert house.infer(some_images(1), token="assay_guess").status_code == 401
        assert house.http.get(MODEL).headers["WWW-Authenticate"] == "Bearer"
        for seed in range(2):
            house.infer(some_images(1, seed), "same id", rich)
        assert house.usage(rich)["images"] == 1
        assert house.infer(some_images(2), token=poor).status_code == 402
        assert (house.usage(poor)["remaining"], house.usage(rich)["remaining"]) == (1, 99)
        assert house.usage(rich)["price"] == 0.01
        house.keys.revoke("rich")
        assert house.infer(some_images(1), token=rich).status_code == 401
        assert house.http.get("/v2/health/ready").status_code == 200

        _, scraper = house.keys.add("prometheus", scope="metrics")
        assert house.http.get("/metrics", headers=bearer(poor)).status_code == 401
        assert house.http.get(MODEL, headers=bearer(scraper)).status_code == 401
        assert 'reason="wrong_key"' in house.http.get("/metrics", headers=bearer(scraper)).text

        house.keys.path.write_text("{")
        assert house.infer(some_images(1), token=poor).status_code == 503
        text = house.log.getvalue()
        assert not any(token in text for token in (rich, poor, scraper, "assay_guess"))


def test_pictures_are_classified_raw_and_in_forms(house: Served) -> None:
    (file, pixels), (other, _) = picture(1), picture(2)
    expected = posteriors(house.infer(pixels))
    before = house.usage()["images"]
    (raw,) = house.http.post(f"{MODEL}/classify", content=file).json()["predictions"]
    assert raw["posteriors"] == expected[0].astype(float).tolist()
    assert raw["label"] == expected[0].argmax()
    assert raw["class_name"] == NAMES[raw["label"]]
    files = [("file", ("a.png", file)), ("file", ("b.png", other))]
    form = {"files": files, "headers": {"Idempotency-Key": "upload"}}
    two = house.http.post(f"{MODEL}/classify", **form).json()["predictions"]
    assert two == house.http.post(f"{MODEL}/classify", **form).json()["predictions"]
    assert (len(two), two[0]) == (2, raw)
    assert house.usage()["images"] == before + 3
    clash = house.http.post(f"{MODEL}/classify", content=file, headers={"Idempotency-Key": "upload"})
    assert clash.status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "request_", "status"),
    [
        ("GET", "/v2/models/nobody", {}, 404),
        ("POST", "/v2/models/nobody/infer", {"content": b"{}"}, 404),
        ("GET", f"{MODEL}/versions/2", {}, 404),
        ("GET", "/", {}, 404),
        ("PUT", f"{MODEL}/infer", {}, 404),
        ("POST", f"{MODEL}/infer", {}, 400),
        ("POST", f"{MODEL}/infer", {"content": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}}, 415),
        ("POST", f"{MODEL}/classify", {"content": b"not a picture"}, 415),
        ("POST", f"{MODEL}/classify", {"data": {"file": "text"}}, 415),
        ("POST", f"{MODEL}/classify", {"files": {"file": ("a.png", b"")}}, 415),
        (
            "POST",
            f"{MODEL}/classify",
            {"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data"}},
            400,
        ),
        (
            "POST",
            f"{MODEL}/classify",
            {"content": b"broken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
        ),
    ],
)
def test_bad_requests(house: Served, method: str, path: str, request_: dict[str, Any], status: int) -> None:
    before = house.usage()
    answer = house.http.request(method, path, **request_)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "reason"}
    assert house.usage() == before


def test_the_log_has_one_line_a_request_and_metrics_add_up(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        house.infer(some_images(3), "a")
        house.infer(some_images(300))
        lines = house.lines()
        assert [(line["event"], line["status"], line.get("images")) for line in lines] == [
            ("request", 200, 3),
            ("request", 413, None),
        ]
        assert lines[0] | {"time": 0, "seconds": 0} == {
            "time": 0,
            "event": "request",
            "method": "POST",
            "route": "/v2/models/{name}/infer",
            "status": 200,
            "seconds": 0,
            "peer": "127.0.0.1",
            "client": "anonymous",
            "id": "a",
            "images": 3,
        }
        text = house.http.get("/metrics").text
        assert 'assay_requests_total{route="/v2/models/{name}/infer",status="200"} 1' in text
        assert "assay_images_total 3" in text
        assert 'assay_refusals_total{reason="too_large"} 1' in text
        assert "assay_inference_seconds_count 1" in text
        assert 'assay_inference_seconds_bucket{le="+Inf"} 1' in text


def test_a_model_that_fails_charges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as house:

        def broken(images: Any) -> Any:
            raise RuntimeError("secret path")

        monkeypatch.setattr(house.service._oracle, "_logits", broken)
        failed = house.infer(some_images(1), "a")
        assert (failed.status_code, failed.json()["error"]) == (500, "The service failed.")
        monkeypatch.setattr(house.service._oracle, "_logits", lambda images: torch.full((len(images), 3), torch.nan))
        failed = house.infer(some_images(1), "a")
        assert (failed.status_code, failed.json()["reason"]) == (500, "model")
        monkeypatch.undo()
        assert house.usage()["images"] == 0
        posteriors(house.infer(some_images(1), "a"))
        assert any("secret path" in line.get("error", "") for line in house.lines())


class Suspicious:
    """A watch that suspects from the third question on."""

    def __init__(self) -> None:
        self.queries = 0

    def observe(self, images: torch.Tensor, answers: Any) -> Alarm | None:
        self.queries += len(images)
        assert answers.posteriors is not None, "a detector sees the model's own answers"
        return Alarm("suspicious", self.queries, 0.1, 0.2) if self.queries >= 3 else None


def test_detectors_watch_each_client_and_change_no_answer(tmp_path: Path) -> None:
    serving = Serving(output="label")
    with served(tmp_path, with_keys=True, serving=serving, watches={"suspicious": Suspicious}) as house:
        tokens = [house.keys.add(name)[1] for name in ("thief", "honest")]
        for seed in range(5):
            assert house.infer(some_images(1, seed), token=tokens[0]).status_code == 200
        for seed in range(2):
            assert house.infer(some_images(1, seed), token=tokens[1]).status_code == 200
        assert "alarm" not in json.dumps(house.usage(tokens[0]))
    alarms = [line for line in house.lines() if line["event"] == "alarm"]
    assert len(alarms) == 1  # told once
    assert alarms[0]["client"] == house.keys.read()[1].id
    assert (alarms[0]["detector"], alarms[0]["queries"]) == ("suspicious", 3)
    assert 'assay_alarms_total{detector="suspicious"} 3' in house.service.metrics.text()


def test_the_store_is_begun_anew_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.server.service.MOST_STORED", 4)
    with served(tmp_path) as house:
        answers = [posteriors(house.infer(some_images(3, seed))) for seed in (0, 1, 2, 0)]
        assert np.array_equal(answers[0], answers[3])
        assert len(house.service._store) <= 6
        assert house.usage()["images"] == 12


def test_the_client_library_of_the_protocol(house: Served) -> None:
    triton = pytest.importorskip("tritonclient.http")
    images = some_images(4, 9)
    expected = posteriors(house.infer(images))
    client = triton.InferenceServerClient(house.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("zoo/animals")
        assert client.get_model_metadata("zoo/animals")["outputs"][0]["name"] == "posteriors"
        for sends, gets in [(True, True), (True, False), (False, True), (False, False)]:
            tensor = triton.InferInput("images", list(images.shape), "FP32")
            tensor.set_data_from_numpy(images, binary_data=sends)
            output = triton.InferRequestedOutput("posteriors", binary_data=gets)
            answer = client.infer("zoo/animals", [tensor], outputs=[output], request_id=f"triton-{sends}-{gets}")
            assert np.array_equal(answer.as_numpy("posteriors").reshape(4, 3), expected)
        with pytest.raises(triton.InferenceServerException, match="There is no such model here"):
            client.get_model_metadata("zoo/plants")
    finally:
        client.close()


def test_the_first_key_closes_a_running_service_for_good(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        assert house.infer(some_images(1)).status_code == 200
        _, token = house.keys.add("alice")
        assert [house.infer(some_images(1), token=each).status_code for each in (None, token)] == [401, 200]
        house.keys.path.unlink()
        assert [house.infer(some_images(1), token=each).status_code for each in (None, token)] == [401, 503]
