"""`assay serve` as a process: told to stop, killed, and started again."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from assay.cli import main
from server.serving import binary
from server.test_hostile import head, received, until

MODEL = "/v2/models/starter/digits-cnn"


@contextmanager
def process(state: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "assay", "serve", "starter/digits-cnn", "--port", "0", "--device", "cpu"]
    command += ["--state", str(state), "--log", str(state / "log.jsonl"), *options]
    state.mkdir(exist_ok=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            assert running.stdout is not None
            said = running.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert found, said
            yield running, found.group()
        finally:
            running.kill()


def reachable(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2").status_code == 200
    except httpx.TransportError:
        return False


def ask(url: str, id: str) -> httpx.Response:
    images = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    text, content = binary(images, id)
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return httpx.post(f"{url}{MODEL}/infer", content=text + content, headers=headers, timeout=120)


def test_killed_and_told_to_stop(tmp_path: Path) -> None:
    with process(tmp_path, "--budget", "6", "--price", "2", "--detector", "prada") as (running, url):
        first = ask(url, "a")
        assert first.status_code == 200
        running.kill()
        running.wait()
    with process(tmp_path, "--budget", "6", "--price", "2") as (running, url):
        assert ask(url, "a").json() == first.json()
        assert httpx.get(f"{url}{MODEL}/usage").json()["remaining"] == 3
        text, content = binary(np.zeros((2, 1, 8, 8), np.uint8), "b")
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=120) as raw:
            length = f"Content-Length: {len(text) + len(content)}"
            raw.sendall(head(f"{MODEL}/infer", length, f"Inference-Header-Content-Length: {len(text)}"))
            raw.sendall(text)
            httpx.get(f"{url}/v2")  # by now the first half has arrived
            running.send_signal(signal.SIGTERM)
            until(lambda: not reachable(url))
            raw.sendall(content)
            answer = received(raw)
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["id"] == "b"
        assert running.wait(120) == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines if line.get("images")][-2:] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "0.0.0.0"], 4, "say --expose if they may"),
        (["--host", "example.org"], 4, "is no numeric address"),
        (["--port", "70000"], 4, "is no port"),
        (["--rate", "0"], 4, "The limit rate is not valid"),
        (["--budget", "0"], 4, "The serving is not valid: budget"),
        (["--policy", "rouding=2"], 4, "did you mean 'rounding'"),
        (["--detector", "prade"], 4, "did you mean 'prada'"),
        (["--detector", "shift"], 4, "at least 40 ordinary questions, not 0. Say --data"),
        (["--keys", "/nowhere/keys.json"], 2, "assay serve keys add makes one"),
        (["--log", "/nowhere/log"], 2, "cannot be written"),
    ],
)
def test_bad_wishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, said: str
) -> None:
    state = ["--state", str(tmp_path), "--device", "cpu"] + ([] if "--port" in options else ["--port", "0"])
    assert main(["serve", "starter/digits-cnn", *state, *options]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_taken_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "starter/digits-cnn", "--state", str(tmp_path), "--port", port]) == 2
    assert "Address already in use" in " ".join(capsys.readouterr().err.split())
