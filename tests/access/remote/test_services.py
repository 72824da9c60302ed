"""Every service against its wire format, as its documentation shows it, and against answers that break it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from PIL import Image

from access.remote.doubles import as_json, images, serving
from assay.access.remote.address import parse_address
from assay.access.remote.failures import ChangedError, DeniedError
from assay.access.remote.http import Reply
from assay.access.remote.inputs import png, text
from assay.access.remote.service import SERVICES, HttpService
from assay.base.errors import DataError, UsageError

TEXTS = ("A fine film.", "Not so fine: ça ne va pas.")


def rows_of(texts: tuple[str, ...], length: int = 40) -> torch.Tensor:
    padded = [list(text.encode()) + [0] * (length - len(text.encode())) for text in texts]
    return torch.tensor(padded, dtype=torch.uint8).reshape(len(texts), 1, 1, length).float().div(255)


def service(reference: str, names: tuple[str, ...] = ()) -> HttpService:
    made = SERVICES.get(parse_address(reference).scheme)(parse_address(reference))
    assert isinstance(made, HttpService)
    made.settle(names)
    return made


def parsed(made: HttpService, content: Any, count: int = 1) -> list[list[float]]:
    return [[round(float(x), 4) for x in row] for row in made.parse(Reply(json.dumps(content).encode()), "i", count)]


def faces(*rectangles: tuple[int, int], **changes: Any) -> dict[str, Any]:
    emotion = {"anger": 1.0, "disgust": 2.0, "fear": 3.0, "happiness": 60.0, "neutral": 20.0, "sadness": 10.0}
    emotion |= {"surprise": 4.0, **changes}
    return {
        "request_id": "1",
        "faces": [
            {"face_rectangle": {"width": w, "height": h}, "attributes": {"emotion": emotion if w == 9 else {}}}
            for w, h in rectangles
        ],
    }


def likelihoods(joy: str, sorrow: str, anger: str, surprise: str) -> dict[str, Any]:
    face = {
        "joyLikelihood": joy,
        "sorrowLikelihood": sorrow,
        "angerLikelihood": anger,
        "surpriseLikelihood": surprise,
        "detectionConfidence": 0.9,
    }
    return {"responses": [{"faceAnnotations": [face]}]}


def documents(*numbers: str, version: str = "2022-11-01", **scores: Any) -> dict[str, Any]:
    confidence = {"positive": 0.9, "neutral": 0.08, "negative": 0.02, **scores}
    listed = [{"id": number, "sentiment": "positive", "confidenceScores": confidence} for number in numbers]
    return {"kind": "SentimentAnalysisResults", "results": {"documents": listed, "errors": [], "modelVersion": version}}


LOW = ("VERY_UNLIKELY",) * 4
HF = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
SENTIMENT = {"documentSentiment": {"magnitude": 0.8, "score": 0.8}, "language": "en", "sentences": []}

GOOD = [
    ("facepp:us", (), faces((5, 5), (9, 9)), 1, [[0.01, 0.02, 0.03, 0.6, 0.2, 0.1, 0.04]]),
    ("facepp:", (), faces(), 1, [[0.1429] * 7]),
    ("google-vision:", (), likelihoods("VERY_LIKELY", *LOW[:3]), 1, [[1.0, 0, 0, 0, 0]]),
    ("google-vision:", (), likelihoods("UNLIKELY", "POSSIBLE", "POSSIBLE", "UNKNOWN"), 1, [[0, 1.0, 0, 0, 0]]),
    ("google-vision:", (), likelihoods(*LOW), 1, [[0, 0, 0, 0, 1.0]]),
    ("google-vision:", (), {"responses": [{}]}, 1, [[0, 0, 0, 0, 1.0]]),
    ("google-language:", (), SENTIMENT, 1, [[0, 0, 1.0]]),
    ("google-language:", (), {"documentSentiment": {"score": 0}}, 1, [[0, 1.0, 0]]),
    ("google-language:", (), {"documentSentiment": {"score": -0.1}}, 1, [[1.0, 0, 0]]),
    ("azure-language:https://a.example", (), documents("1", "0"), 2, [[0.02, 0.08, 0.9]] * 2),
    ("huggingface-image:https://a.example", ("cat", "dog"), HF, 1, [[0.75, 0.25]]),
    ("huggingface-text:https://a.example", ("dog", "cat"), [HF, HF[::-1]], 2, [[0.25, 0.75]] * 2),
]


@pytest.mark.parametrize(("reference", "names", "content", "count", "rows"), GOOD)
def test_an_answer_is_read(reference: str, names: tuple[str, ...], content: Any, count: int, rows: Any) -> None:
    assert parsed(service(reference, names), content, count) == rows


BAD = [
    ("facepp:", (), {"faces": [{"attributes": {}}]}, 1, "something else than faces"),
    ("facepp:", (), faces((9, 9), surprise="high"), 1, "'high' for surprise, which is not a number"),
    ("facepp:", (), faces((9, 9), boredom=1.0), 1, "changed its classes: boredom"),
    ("facepp:", (), faces((1, 1)), 1, "omits 7 of its 7 classes"),
    ("google-vision:", (), likelihoods("MAYBE", *LOW[:3]), 1, "a likelihood that is not known"),
    ("google-vision:", (), {"responses": [{"error": {"message": "bad image"}}]}, 1, "one image: bad image"),
    ("google-vision:", (), {"responses": []}, 1, "once for each of 1 images"),
    ("google-vision:", (), [], 1, "once for each of 1 images"),
    ("google-language:", (), {"documentSentiment": {"score": "good"}}, 1, "no score"),
    ("google-language:", (), {}, 1, "without a document's sentiment"),
    ("azure-language:https://a.example", (), documents("0"), 2, "once for each of 2 texts"),
    ("azure-language:https://a.example", (), documents("0", positive=None), 1, "None for positive"),
    ("azure-language:https://a.example", (), {"error": 1}, 1, "something else than documents"),
    (
        "azure-language:https://a.example",
        (),
        {"results": {"errors": [{"id": "0", "error": {"message": "Document text is empty."}}]}},
        1,
        "Document text is empty",
    ),
    ("huggingface-image:https://a.example", ("cat", "dog"), HF[:1], 1, "omits 1 of its 2 classes: dog"),
    ("huggingface-image:https://a.example", ("cat", "owl"), HF, 1, "omits 1 of its 2 classes: owl"),
    ("huggingface-image:https://a.example", ("cat",), HF, 1, "changed its classes: dog"),
    ("huggingface-image:https://a.example", ("cat", "dog"), {"odd": 1}, 1, "list of labels and scores"),
    ("huggingface-text:https://a.example", ("cat", "dog"), [HF], 2, "one list for each of 2 texts"),
]


@pytest.mark.parametrize(("reference", "names", "content", "count", "says"), BAD)
def test_a_bad_answer_is_a_sentence(
    reference: str, names: tuple[str, ...], content: Any, count: int, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        parsed(service(reference, names), content, count)


def test_scores_that_exclude_nothing_are_refused() -> None:
    made = service("huggingface-image:https://a.example", ("cat", "dog"))
    with pytest.raises(DataError, match="no classifier into one class"):
        parsed(made, [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.8}])


def test_another_version_in_the_middle_is_noticed() -> None:
    made = service("azure-language:https://a.example")
    parsed(made, documents("0"))
    with pytest.raises(ChangedError, match="model 2025-01-01 answered in place of 2022-11-01"):
        parsed(made, documents("0", version="2025-01-01"))


def test_requests_are_as_the_services_document_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPP_API_KEY", "k")
    monkeypatch.setenv("FACEPP_API_SECRET", "s")
    picture = base64.b64encode(png(images(1)[0])).decode()
    call = service("facepp:").build("i", images(1))
    form = {name: value for name, (value,) in parse_qs(call.body.decode()).items()}
    assert (call.path, form["api_key"], form["api_secret"]) == ("/facepp/v3/detect", "k", "s")
    assert (form["image_base64"], form["return_attributes"]) == (picture, "emotion")

    call = service("google-vision:").build("i", images(2))
    content = json.loads(call.body)["requests"]
    assert (call.path, len(content)) == ("/v1/images:annotate", 2)
    assert (
        content[0]
        == {
            "image": {"content": picture},
            "features": [{"type": "FACE_DETECTION", "maxResults": 1}],
        }
        or content[0]["image"]["content"] == base64.b64encode(png(images(2)[0])).decode()
    )

    call = service("google-language:?language=fr").build("i", rows_of(TEXTS[1:]))
    document = {"type": "PLAIN_TEXT", "content": TEXTS[1], "language": "fr"}
    assert call.path == "/v1/documents:analyzeSentiment"
    assert json.loads(call.body)["document"] == document

    call = service("azure-language:https://a.example").build("i", rows_of(TEXTS))
    assert call.path == "/language/:analyze-text?api-version=2023-04-01"
    assert json.loads(call.body)["analysisInput"]["documents"][1] == {"id": "1", "language": "en", "text": TEXTS[1]}

    call = service("huggingface-text:https://a.example", ("a", "b", "c")).build("i", rows_of(TEXTS))
    assert json.loads(call.body) == {"inputs": list(TEXTS), "parameters": {"top_k": 3}}
    call = service("huggingface-image:https://a.example", ("a", "b")).build("i", images(1))
    assert json.loads(call.body) == {"inputs": picture, "parameters": {"top_k": 2}}


def test_keys_travel_in_headers_and_are_asked_for_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        seen.update(headers)
        return as_json(likelihoods("LIKELY", *LOW[:3]) if "vision" in str(headers) or "annotate" in path else HF)

    with serving(answer) as url:
        with pytest.raises(DeniedError, match="set the environment variable GOOGLE_API_KEY"):
            service(f"google-vision:?endpoint={url}").ask("i", images(1))
        monkeypatch.setenv("GOOGLE_API_KEY", "g00gle")
        assert service(f"google-vision:?endpoint={url}").ask("i", images(1)).argmax() == 0
        monkeypatch.setenv("HF_TOKEN", "hf_t")
        service(f"huggingface-image:{url}", ("cat", "dog")).ask("i", images(1))
    assert seen["x-goog-api-key"] == "g00gle"
    assert seen["authorization"] == "Bearer hf_t"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("facepp:mars", "write facepp:us or facepp:cn"),
        ("huggingface-text:my-model", "write huggingface-text:https://"),
        ("azure-language:", "write azure-language:https://"),
        ("amazon-rekognition:moon", "name a region"),
        ("google-vision:?speed=1", "has no option 'speed'"),
    ],
)
def test_a_reference_that_is_not_understood_is_a_sentence(reference: str, says: str) -> None:
    address = parse_address(reference)
    with pytest.raises(UsageError, match=says):
        SERVICES.get(address.scheme)(address)


def test_images_travel_without_loss_and_texts_up_to_their_zero() -> None:
    pixels = images(2)
    for image in (pixels[0], torch.cat([pixels[0], pixels[1], pixels[0]])):
        back = np.asarray(Image.open(io.BytesIO(png(image))))
        shown = back[None] if back.ndim == 2 else back.transpose(2, 0, 1)
        assert torch.equal(torch.from_numpy(shown.copy()).float().div(255), image)
    with pytest.raises(DataError, match="2 channels"):
        png(torch.zeros(2, 4, 4))
    assert tuple(map(text, rows_of(TEXTS))) == TEXTS
    assert text(rows_of(("né",), 3)[:, :, :, :2][0]) == "n", "half a character is left out"
