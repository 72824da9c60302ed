"""A service with its own JSON, asked over a real socket as a target file says."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from assay.access.opening import Terms, is_service, open_target
from assay.access.remote.services.mapped import filled, follow
from assay.base.errors import AccessError, DataError, UsageError
from assay.cli import main
from assay.targets.reference import load_target
from assay.targets.target import Target

KEY = "s3cret-value"


class Handler(BaseHTTPRequestHandler):
    """Answers as the starter network does, in whatever form the path names."""

    network: Target
    seen: list[dict[str, Any]]
    busy: int

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = type(self)
        kind.seen.append({"path": self.path, "body": content, "headers": dict(self.headers)})
        if kind.busy:
            kind.busy -= 1
            return self._say(503, {"error": "later"})
        if self.path.startswith("/denied") and self.headers.get("X-Key") != KEY:
            return self._say(401, {"error": f"wrong key {self.headers.get('X-Key')}"})
        listed = content["images"] if "images" in content else [content["image"]]
        logits = self.network.logits(torch.stack([_image(each) for each in listed]))
        rows = torch.softmax(logits, dim=1).tolist()
        table = [[{"label": f"digit {k}", "score": score} for k, score in enumerate(row)] for row in rows]
        return self._say(
            200,
            {
                "/scores": {"scores": rows[0]},
                "/denied": {"scores": rows[0]},
                "/many": {"items": [{"scores": row} for row in rows]},
                "/labels": {"out": {"named": table[0]}},
                "/logits": {"scores": logits[0].tolist()},
                "/top": {"best": [max(table[0], key=lambda each: each["score"])]},
                "/one": {"answer": f"digit {int(np.argmax(rows[0]))}"},
                "/other": {"predictions": rows[0], "model": "v7"},
            }[self.path.partition("?")[0]],
        )

    def _say(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


def _image(sent: Any) -> torch.Tensor:
    if isinstance(sent, list):
        return torch.tensor(sent)
    with Image.open(io.BytesIO(base64.b64decode(sent))) as image:
        return torch.from_numpy(np.array(image, np.float32) / 255)[None]


@pytest.fixture(scope="module")
def network() -> Target:
    return load_target("starter/digits-cnn")


@pytest.fixture
def server(network: Target) -> Iterator[tuple[str, type[Handler]]]:
    class Own(Handler):
        pass

    Own.network, Own.seen, Own.busy = network, [], 0
    http = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", Own
    http.shutdown()
    http.server_close()


def described(folder: Path, url: str, **changes: Any) -> str:
    """A target file, and its path."""
    body = changes.pop("body", '{ image = "{floats}" }')
    lines = ['data = "digits"', "[service]", f'url = "{url}"', f"body = {body}"]
    lines += [f"{key} = {value}" for key, value in {"answers": '"$.scores"', **changes}.items()]
    path = folder / "service.toml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def opened(reference: str, folder: Path, budget: int | None = None) -> Target:
    return open_target(reference, Terms(budget=budget), ledgers=folder / "ledgers")


LABELS = '{ "digit 0" = "0", ' + ", ".join(f'"digit {k}" = "{k}"' for k in range(1, 10)) + " }"
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("scores", {}),
    ("scores?version=2", {"body": '{ image = "{png}", nested = { more = [1, "text"] } }'}),
    ("many", {"body": '{ images = ["{floats}"] }', "answers": '"$.items[*].scores"', "batch": 16}),
    ("labels", {"answers": "\"$['out'].named\"", "labels": LABELS}),
    ("logits", {"gives": '"logits"'}),
]


@pytest.mark.parametrize(("path", "changes"), FORMS)
def test_answers_are_those_of_the_network(
    path: str, changes: dict[str, Any], server: tuple[str, type[Handler]], network: Target, tmp_path: Path
) -> None:
    target = opened(described(tmp_path, f"{server[0]}/{path}", **changes), tmp_path)
    part = target.splits.non_members
    assert part is not None
    images = part.take(np.arange(20))
    wanted = torch.softmax(network.logits(images), dim=1)
    torch.testing.assert_close(target.logits(images), wanted, atol=2e-3, rtol=0)
    assert len(server[1].seen) == (2 if "batch" in changes else 20)
    assert {each["path"] for each in server[1].seen} == {f"/{path}"}


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("top", {"answers": '"$.best"', "gives": '"top-k"', "labels": LABELS}),
        ("one", {"answers": '"$.answer"', "gives": '"label"', "labels": LABELS}),
    ],
)
def test_less_than_posteriors_is_less(
    path: str, changes: dict[str, Any], server: tuple[str, type[Handler]], network: Target, tmp_path: Path
) -> None:
    target = opened(described(tmp_path, f"{server[0]}/{path}", **changes), tmp_path)
    part = target.splits.non_members
    assert part is not None
    images = part.take(np.arange(5))
    rows = target.logits(images)
    assert torch.equal(rows.argmax(dim=1), network.logits(images).argmax(dim=1))
    assert ((rows > 0).sum(dim=1) == 1).all()
    assert target.answers == changes["gives"].strip('"')


def test_a_key_comes_from_the_environment_and_is_kept_nowhere(
    server: tuple[str, type[Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = described(tmp_path, f"{server[0]}/denied", headers='{ X-Key = "${MY_KEY}", X-Plain = "a" }')
    part = opened(reference, tmp_path).splits.non_members
    assert part is not None
    image = part.take(np.arange(1))
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(AccessError, match="set the environment variable MY_KEY"):
        opened(reference, tmp_path).logits(image)
    monkeypatch.setenv("MY_KEY", "another")
    with pytest.raises(AccessError, match=r"wrong key \*\*\*"):
        opened(reference, tmp_path).logits(image)
    monkeypatch.setenv("MY_KEY", KEY)
    assert opened(reference, tmp_path).logits(image).shape == (1, 10)
    assert server[1].seen[-1]["headers"]["X-Plain"] == "a"
    assert all(KEY.encode() not in file.read_bytes() for file in (tmp_path / "ledgers").iterdir())


def test_an_answer_without_the_field_is_one_sentence(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    target = opened(described(tmp_path, f"{server[0]}/other"), tmp_path)
    part = target.splits.non_members
    assert part is not None
    with pytest.raises(DataError, match=r"without \$\.scores: at \$ it has the keys 'predictions', 'model'"):
        target.logits(part.take(np.arange(1)))


def test_it_is_asked_again_and_never_beyond_the_budget(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    server[1].busy = 2
    target = opened(described(tmp_path, f"{server[0]}/scores"), tmp_path, budget=3)
    part = target.splits.non_members
    assert part is not None
    target.logits(part.take(np.arange(3)))
    assert len(server[1].seen) == 5
    with pytest.raises(Exception, match="The budget is 3 images, 3 are spent"):
        target.logits(part.take(np.arange(4)))


def test_nothing_leaves_the_machine_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = described(tmp_path, "https://api.example.com/v1/classify")
    assert is_service(reference)
    assert main(["audit", reference, "--workspace", str(tmp_path / "w")]) == 4
    assert "api.example.com/v1/classify is not on this machine" in capsys.readouterr().err.replace("\n", "")


def test_an_audit_of_a_target_file_with_a_service(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    many = {"body": '{ images = ["{floats}"] }', "answers": '"$.items[*].scores"', "batch": 128}
    reference = described(tmp_path, f"{server[0]}/many", **many)
    arguments = ["--method", "membership.metrics", "--workspace", str(tmp_path / "w")]
    assert main(["audit", reference, *arguments]) == 0
    assert (asked := len(server[1].seen)) > 0
    assert main(["audit", reference, *arguments]) == 0
    assert len(server[1].seen) == asked, "what was answered is not asked again"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"body": "{ a = 1 }"}, "body must hold one of"),
        ({"body": '{ a = "{png} {png}" }'}, "it holds 2"),
        ({"answers": '"scores"'}, "answers must be a path such as"),
        ({"batch": 2}, "must stand in a list"),
        ({"heders": "{}"}, "heders"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        opened(described(tmp_path, "http://127.0.0.1:9/x", **changes), tmp_path)


def test_paths_and_bodies() -> None:
    content = {"a": [{"b": [1, 2]}, {"b": [3, 4]}]}
    assert follow(content, "$.a[1].b", "it", "") == [3, 4]
    assert follow(content, "$.a[*].b", "it", "") == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"at \$\.a it has a list of 2"):
        follow(content, "$.a[7]", "it", "")
    body = {"inputs": [{"data": "x,{png}", "n": 1}], "k": [1]}
    assert filled(body, "{png}", ["A", "B"]) == {
        "inputs": [{"data": "x,A", "n": 1}, {"data": "x,B", "n": 1}],
        "k": [1],
    }
