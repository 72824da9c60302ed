"""Repositories of a hub, served by a small one on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.progress import silent
from assay.targets.hugging_face.hub import fetch_repository
from assay.targets.reference import open_model

pytest.importorskip("transformers")

from benchmarks.users.hugging_face import save_image_model

COMMIT = "c0ffee" + 34 * "0"


class Hub(ThreadingHTTPServer):
    """One repository, ``org/vit``, of one commit; ``asked`` are the files that were sent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        start, _, name = path.partition(f"/resolve/{COMMIT}/")
        file = self.server.folder / name
        if path.startswith("/api/models/org/vit/tree/"):
            tree = [
                {"type": "file", "path": one.name, "size": one.stat().st_size, "oid": COMMIT}
                for one in sorted(self.server.folder.iterdir())
            ]
            self.answer(json.dumps(tree).encode())
        elif path.startswith("/api/models/org/vit"):
            listed = [{"rfilename": one.name} for one in sorted(self.server.folder.iterdir())]
            self.answer(json.dumps({"id": "org/vit", "sha": COMMIT, "siblings": listed}).encode())
        elif start == "/org/vit" and file.is_file():
            if self.command == "GET":
                self.server.asked.append(name)
            self.answer(file.read_bytes(), ETag=f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"')
        else:
            self.send_error(404)

    def answer(self, content: bytes, **headers: str) -> None:
        self.send_response(200)
        for header, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(save_image_model("vit", tmp_path / "served"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_a_repository_is_fetched_once_and_then_had_without_a_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub.folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    (hub.folder / "modeling_mine.py").write_text("raise SystemExit")
    reference = f"hf:org/vit@{COMMIT}"
    target = open_model(reference).target
    assert (target.name, target.num_classes) == (reference, 4)
    assert set(hub.asked) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert open_model(str(hub.folder)).target.weights_digest == target.weights_digest
    hub.shutdown()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert open_model(reference).target.weights_digest == target.weights_digest


def test_without_a_revision_the_commit_is_said(hub: Hub) -> None:
    class Heard:
        said: list[str] = []

        def say(self, text: str) -> None:
            self.said.append(text)

    folder = fetch_repository("hf:org/vit", Heard())  # type: ignore[arg-type]
    assert folder.name == COMMIT
    assert Heard.said == [f"hf:org/vit is read at {COMMIT}: add @{COMMIT} to get the same again."]


def test_remote_code_and_pickles_are_refused(hub: Hub) -> None:
    config = json.loads((hub.folder / "config.json").read_text())
    (hub.folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "mine.Config"}}))
    with pytest.raises(UnsafeFileError, match="asks for code of its own"):
        open_model(f"hf:org/vit@{COMMIT}")


@pytest.mark.parametrize("reference", ["hf:vit", "hf:../x/y", "hf:a/b@", "hf:"])
def test_other_forms_of_references(reference: str) -> None:
    with pytest.raises(UsageError, match="write hf:ORG/NAME@REVISION"):
        fetch_repository(reference, silent())


def test_what_is_not_there_is_one_sentence(hub: Hub) -> None:
    with pytest.raises(LoadError, match="cannot be fetched") as caught:
        open_model(f"hf:org/other@{COMMIT}")
    assert "\n" not in str(caught.value)
