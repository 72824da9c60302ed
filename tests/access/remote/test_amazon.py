"""Amazon's own library against an endpoint on this machine that speaks its JSON 1.1 protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from access.remote.doubles import as_json, images, serving
from access.remote.test_services import TEXTS, rows_of
from assay.access.remote.address import parse_address
from assay.access.remote.amazon import AmazonService
from assay.access.remote.failures import DeniedError, LostError
from assay.access.remote.inputs import png
from assay.access.remote.service import SERVICES
from assay.base.errors import AccessError, AssayError, DataError, TransientError

pytest.importorskip("boto3")

TYPES = ("CALM", "HAPPY", "SAD", "ANGRY", "CONFUSED", "DISGUSTED", "SURPRISED", "FEAR", "UNKNOWN")
CONFIDENCES = (40.0, 20.0, 10.0, 10.0, 10.0, 5.0, 3.0, 2.0, 1.0)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-sent")


def asked(reference: str, inputs: torch.Tensor, answer: Callable[[str, Any], Any]) -> np.ndarray[Any, Any]:
    """The rows that a service made of an answer to (target, request)."""

    def handle(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        assert headers["content-type"] == "application/x-amz-json-1.1"
        assert "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" in headers["authorization"]
        assert "never-sent" not in str(headers) + body.decode("latin-1")
        reply = answer(headers["x-amz-target"], json.loads(body))
        return reply if isinstance(reply, tuple | str) else as_json(reply)

    with serving(handle) as url:
        address = parse_address(f"{reference}?endpoint={url}")
        service = SERVICES.get(address.scheme)(address)
        assert isinstance(service, AmazonService)
        service.connect()
        return service.ask("i", inputs)


def face(size: float, types: tuple[str, ...] = TYPES) -> dict[str, Any]:
    emotions = [{"Type": kind, "Confidence": share} for kind, share in zip(types, CONFIDENCES, strict=False)]
    return {"BoundingBox": {"Width": size, "Height": size, "Left": 0.1, "Top": 0.1}, "Emotions": emotions}


def test_the_emotions_of_the_largest_face_become_shares() -> None:
    def answer(target: str, request: Any) -> Any:
        assert target == "RekognitionService.DetectFaces"
        assert base64.b64decode(request["Image"]["Bytes"]) == png(images(1)[0])
        assert request["Attributes"] == ["EMOTIONS"]
        return {"FaceDetails": [face(0.1, TYPES[::-1]), face(0.5)]}

    rows = asked("amazon-rekognition:us-east-1", images(1), answer)
    assert np.allclose(rows, [[0.10, 0.40, 0.10, 0.05, 0.02, 0.20, 0.10, 0.03]])


def test_no_face_makes_every_emotion_alike() -> None:
    rows = asked("amazon-rekognition:us-east-1", images(1), lambda *_: {"FaceDetails": []})
    assert rows.tolist() == [[0.125] * 8]


def sentiments(*order: int, **changes: Any) -> dict[str, Any]:
    scores = {"Positive": 0.7, "Negative": 0.1, "Neutral": 0.15, "Mixed": 0.05}
    listed = [{"Index": i, "Sentiment": "POSITIVE", "SentimentScore": {**scores, "Mixed": 0.05 + i}} for i in order]
    return {"ResultList": listed, "ErrorList": [], **changes}


def test_texts_may_be_answered_in_any_order() -> None:
    def answer(target: str, request: Any) -> Any:
        assert target == "Comprehend_20171127.BatchDetectSentiment"
        assert request == {"TextList": list(TEXTS), "LanguageCode": "en"}
        return sentiments(1, 0)

    rows = asked("amazon-comprehend:eu-west-1", rows_of(TEXTS), answer)
    assert np.allclose(rows, [[0.7, 0.1, 0.15, 0.05], [0.35, 0.05, 0.075, 0.525]])


def failed(code: str, status: int = 400) -> Any:
    return as_json({"__type": code, "message": "told so"}, status)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (failed("ProvisionedThroughputExceededException"), TransientError, "is busy"),
        (failed("ThrottlingException"), TransientError, "is busy"),
        (failed("UnrecognizedClientException"), DeniedError, "refuses the credentials .*told so"),
        (failed("AccessDeniedException"), DeniedError, "refuses the credentials"),
        (failed("InternalServerError", 500), LostError, "failed .InternalServerError"),
        (failed("InvalidImageFormatException"), AccessError, "refused the request .*told so"),
        ("reset", LostError, "got lost"),
        ({"FaceDetails": [face(0.5, TYPES[:4])]}, DataError, "omits 4 of its 8 classes"),
        ({"FaceDetails": [{}]}, DataError, "something else than faces"),
    ],
)
def test_a_failure_is_a_sentence(answer: Any, kind: type[AssayError], says: str) -> None:
    asks = 0

    def once(target: str, request: Any) -> Any:
        nonlocal asks
        asks += 1
        return answer

    with pytest.raises(kind, match=says) as caught:
        asked("amazon-rekognition:us-east-1", images(1), once)
    assert type(caught.value) is kind
    assert asks == 1, "Amazon's library must not ask again by itself"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (sentiments(0), "once for each of 2 texts"),
        (sentiments(ErrorList=[{"Index": 0, "ErrorCode": "X", "ErrorMessage": "too long"}]), "too long"),
    ],
)
def test_texts_that_are_not_answered_are_a_sentence(answer: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        asked("amazon-comprehend:eu-west-1", rows_of(TEXTS), lambda *_: answer)


def test_missing_credentials_and_a_service_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: as_json({})) as url:
        pass
    address = parse_address(f"amazon-rekognition:us-east-1?endpoint={url}")
    service = SERVICES.get("amazon-rekognition")(address)
    service.connect()
    with pytest.raises(TransientError, match="cannot be reached"):
        service.ask("i", images(1))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    fresh = SERVICES.get("amazon-rekognition")(address)
    fresh.connect()
    with pytest.raises(DeniedError, match="needs credentials"):
        fresh.ask("i", images(1))
