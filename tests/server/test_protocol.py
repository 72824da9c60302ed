from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from assay.server.journal import Reply
from assay.server.limits import JSON_BYTES
from assay.server.protocol import Form, parse, render
from assay.server.refusal import Refused

FORM = Form((1, 2, 2), 4, "posteriors")


def request(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 1, 2, 2], "data": [0, 0.25, 0.5, 1]}
    return {"inputs": [{**tensor, **changes}]}


def read(value: Any, raw: bytes = b"") -> Any:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return parse(text + raw, str(len(text)) if raw else None, FORM)


def test_flat_and_nested_numbers_are_the_same_images() -> None:
    nested = read(request(data=[[[[0, 0.25], [0.5, 1]]]]))
    assert nested.pixels.tolist() == read(request()).pixels.tolist() == [[[[0, 0.25], [0.5, 1]]]]
    assert nested.id is None
    assert not nested.binary


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (3, 1, 2, 2)))
def test_every_way_to_send_an_image_gives_the_same_pixels(images: np.ndarray[Any, Any]) -> None:
    shape = [3, 1, 2, 2]
    floats = images.astype(np.float32) / np.float32(255)
    sized = {"shape": shape, "data": None}
    ways = [
        read(request(shape=shape, datatype="UINT8", data=images.ravel().tolist())),
        read(request(**sized, datatype="UINT8", parameters={"binary_data_size": 12}), images.tobytes()),
        read(request(shape=shape, data=floats.tolist())),
        read(request(**sized, parameters={"binary_data_size": 48}), floats.tobytes()),
    ]
    for way in ways:
        assert np.array_equal(way.pixels.numpy(), floats)


BAD: list[tuple[Any, str, int]] = [
    (b"", "not JSON", 400),
    (b"\xff\xfe", "not JSON", 400),
    (b"[" * 100_000, "not JSON", 400),
    (b'{"inputs": [1e', "not JSON", 400),
    ([], "must be a JSON object", 400),
    ({}, "'inputs' must be a list of one tensor", 400),
    ({"inputs": []}, "'inputs' must be a list of one tensor", 400),
    ({"inputs": ["images"]}, "'inputs' must be a list of one tensor", 400),
    ({"inputs": request()["inputs"] * 2}, "'inputs' must be a list of one tensor", 400),
    (request(name="text"), "called 'images', not 'text'", 400),
    (request(datatype="BYTES"), "UINT8, or FP32 in [0, 1]; the request says 'BYTES'", 400),
    (request(datatype="FP64"), "UINT8, or FP32", 400),
    (request(datatype=None), "UINT8, or FP32", 400),
    (request(shape=[1, 4]), "must have the shape [n, 1, 2, 2]", 400),
    (request(shape="1x1x2x2"), "must have the shape", 400),
    (request(shape=[1, 1, 2, 2.0]), "must have the shape", 400),
    (request(shape=[True, 1, 2, 2]), "must have the shape", 400),
    (request(shape=[1, 3, 2, 2]), "the request says [1, 3, 2, 2]", 400),
    (request(shape=[0, 1, 2, 2], data=[]), "at least one image", 400),
    (request(shape=[-1, 1, 2, 2]), "at least one image", 400),
    (request(shape=[5, 1, 2, 2]), "may hold 4 images; this one holds 5", 413),
    (request(shape=[10**30, 1, 2, 2]), "may hold 4 images", 413),
    (request(data=[0, 1, 0]), "holds 3 numbers; the shape 1x1x2x2 takes 4", 400),
    (request(data=["0", "1", "0", "1"]), "must be numbers, and nothing else", 400),
    (request(data=[0, 1, 0, "dark"]), "must be numbers, and nothing else", 400),
    (request(data=[0, 1, 0, None]), "must be numbers", 400),
    (request(data=[True, False, True, True]), "must be numbers", 400),
    (request(data=[[0, 1], [0]]), "nested unevenly", 400),
    (request(data="0,1,0,1"), "neither 'data' (a list of numbers) nor", 400),
    (request(data=None), "neither 'data'", 400),
    (b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,1,2,2],"data":[0,0,0,NaN]}]}', "NaN is not", 400),
    (b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,1,2,2],"data":[0,0,0,-Infinity]}]}', "Infinity", 400),
    (request(data=[0, 0, 0, 1e308]), "Images must lie in [0, 1]", 400),
    (request(data=[0, 0, 0, 10**400]), "must be numbers", 400),
    (request(data=[0, 0, 0, 1.001]), "these span [0, 1.001]", 400),
    (request(data=[-0.1, 0, 0, 1]), "these span [-0.1, 1]", 400),
    (request(data=[0, 128, 255, 3]), "divide them by 255", 400),
    (request(datatype="UINT8", data=[0, 1, 2, 256]), "these span 0 to 256", 400),
    (request(datatype="UINT8", data=[0, 1, 2, -1]), "these span -1 to 2", 400),
    (request(datatype="UINT8", data=[0, 1, 2, 0.5]), "must be whole numbers", 400),
    (request() | {"id": 7}, "'id' must be a text", 400),
    (request() | {"id": "x" * 257}, "at most 256 characters", 400),
    (request() | {"outputs": [{"name": "logits"}]}, "output is 'posteriors'; the request asks for 'logits'", 400),
    (request() | {"outputs": "posteriors"}, "'outputs' must be a list", 400),
    (
        request() | {"outputs": [{"name": "posteriors", "parameters": {"classification": 3}}]},
        "classification extension is not spoken",
        400,
    ),
    (b" " * (JSON_BYTES + 1), "send binary tensors instead", 413),
]


@pytest.mark.parametrize(("body", "said", "status"), BAD)
def test_bad_requests_are_told_what_is_wrong(body: Any, said: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read(body)
    assert said in str(refused.value)
    assert refused.value.status == status


SIXTEEN = np.array([0, 0.25, 0.5, 1], "<f4").tobytes()


@pytest.mark.parametrize(
    ("size", "raw", "said"),
    [
        (16, SIXTEEN[:-1], "'binary_data_size' is 16, and 15 bytes follow"),
        (15, SIXTEEN[:-1], "takes 16 bytes"),
        (16, SIXTEEN * 2, "32 bytes follow"),
        ("16", SIXTEEN, "'binary_data_size' is '16'"),
        (-1, SIXTEEN, "'binary_data_size' is -1"),
        (None, SIXTEEN, "no tensor has a 'binary_data_size'"),
        (16, np.array([0, 0, 0, np.nan], "<f4").tobytes(), "some pixels are NaN"),
        (16, np.array([0, 0, 0, np.inf], "<f4").tobytes(), "must lie in [0, 1]"),
        (16, np.array([0, 0, 0, 2], "<f4").tobytes(), "these span [0, 2]"),
    ],
)
def test_bad_binary_tensors(size: Any, raw: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said.replace("[", r"\[").replace("(", r"\(")):
        read(request(data=None, parameters={"binary_data_size": size}), raw)


@pytest.mark.parametrize("header", ["-1", "1e3", "", "999999", "٣", "9" * 40])
def test_a_bad_length_of_the_json(header: str) -> None:
    with pytest.raises(Refused, match="must be the length of the JSON"):
        parse(json.dumps(request()).encode(), header, FORM)


@pytest.mark.parametrize(
    ("extra", "binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": {"binary_data_output": True}, "outputs": []}, True),
        ({"outputs": [{"name": "posteriors", "parameters": {"binary_data": True}}]}, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "posteriors", "parameters": {"binary_data": False}}],
            },
            False,
        ),
    ],
)
def test_the_client_says_how_it_is_answered(extra: dict[str, Any], binary: bool) -> None:
    assert read(request() | extra).binary is binary


@pytest.mark.parametrize("values", [np.float32([[0.1, 0.9]]), np.int64([7])])
def test_answers_lose_no_bit_either_way(values: np.ndarray[Any, Any]) -> None:
    reply = Reply("label" if values.ndim == 1 else "posteriors", values)
    asking = read(request() | {"id": "a"})
    text, headers = render(reply, "m", asking)
    answer = json.loads(text)
    assert headers == {"Content-Type": "application/json"}
    assert (answer["id"], answer["model_name"]) == ("a", "m")
    assert np.array_equal(np.array(answer["outputs"][0]["data"], values.dtype).reshape(values.shape), values)

    body, headers = render(reply, "m", asking._replace(binary=True))
    length = int(headers["Inference-Header-Content-Length"])
    (tensor,) = json.loads(body[:length])["outputs"]
    assert tensor["parameters"]["binary_data_size"] == len(body) - length
    assert np.array_equal(np.frombuffer(body[length:], values.dtype).reshape(tensor["shape"]), values)
