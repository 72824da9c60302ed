"""Clients that mean harm: they are refused, and others are served meanwhile."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assay.server import app, connection
from assay.server.limits import Limits
from server.serving import MODEL, Served, bearer, binary, posteriors, served, some_images
from server.test_uploads import bomb

MEBIBYTE = 1 << 20


@contextmanager
def connected(house: Served) -> Iterator[socket.socket]:
    host, port = house.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        yield raw


def head(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def pushed(raw: socket.socket, most: int, part: bytes) -> int:
    """Bytes that the other side let through before it hung up."""
    sent = 0
    try:
        while sent < most:
            raw.sendall(part)
            sent += len(part)
    except (ConnectionError, TimeoutError):
        pass
    return sent


def received(raw: socket.socket) -> bytes:
    """All until the other side hangs up."""
    content = b""
    try:
        while part := raw.recv(65536):
            content += part
    except ConnectionError:
        pass
    return content


@pytest.fixture(autouse=True)
def _short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LINGER_SECONDS", 0.3)


def test_a_gigabyte_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with served(tmp_path) as house, connected(house) as raw:
        raw.sendall(head(f"{MODEL}/infer", f"Content-Length: {1 << 30}"))
        answer = received(raw)
        assert answer.startswith(b"HTTP/1.1 413")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "too_large"
        posteriors(house.infer(some_images(1)))


def test_a_gigabyte_without_a_length_is_refused_while_it_comes(tmp_path: Path) -> None:
    with served(tmp_path, limits=Limits(body=MEBIBYTE)) as house, connected(house) as raw:
        raw.sendall(head(f"{MODEL}/infer", "Transfer-Encoding: chunked"))
        sent = pushed(raw, 1 << 30, b"%x\r\n" % 65536 + bytes(65536) + b"\r\n")
        assert sent < 64 * MEBIBYTE  # a limit of one, and what the system's buffers hold
        assert house.service.clients.ask(None, "here").memory.held == 0
        assert 'assay_refusals_total{reason="too_large"} 1' in house.http.get("/metrics").text
        posteriors(house.infer(some_images(1)))


def test_without_a_key_no_body_is_read(tmp_path: Path) -> None:
    with served(tmp_path, with_keys=True) as house, connected(house) as raw:
        raw.sendall(head(f"{MODEL}/infer", "Content-Length: 1000000", "Authorization: Bearer assay_guess"))
        assert received(raw).startswith(b"HTTP/1.1 401")


def test_a_decompression_bomb_disturbs_nobody(tmp_path: Path) -> None:
    with served(tmp_path) as house, ThreadPoolExecutor(4) as pool:
        files = [("file", (f"{number}.png", bomb(50_000, 50_000))) for number in range(20)]
        bombs = [pool.submit(house.http.post, f"{MODEL}/classify", files=files) for _ in range(4)]
        for seed in range(5):
            posteriors(house.infer(some_images(1, seed)))
        assert [answer.result().status_code for answer in bombs] == [413] * 4
        assert house.usage()["images"] == 5


def test_guessing_keys_is_throttled_and_right_keys_still_open(tmp_path: Path) -> None:
    with served(tmp_path, with_keys=True) as house:
        _, token = house.keys.add("alice")
        answers = [house.http.get(MODEL, headers=bearer(f"assay_{guess}")) for guess in range(15)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 5
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
        assert house.http.get(MODEL, headers=bearer(token)).status_code == 200
        assert 'assay_refusals_total{reason="guessing"} 5' in house.service.metrics.text()


def test_who_floods_is_slowed_and_others_are_not(tmp_path: Path) -> None:
    with served(tmp_path, with_keys=True) as house, ThreadPoolExecutor(8) as pool:
        _, flooder = house.keys.add("flooder", rate=5)
        _, other = house.keys.add("other")
        flood = [pool.submit(house.infer, some_images(1, seed), None, flooder) for seed in range(60)]
        calm = [house.infer(some_images(1, seed), None, other) for seed in range(10)]
        statuses = [answer.result().status_code for answer in flood]
        assert {answer.status_code for answer in calm} == {200}
        assert set(statuses) == {200, 429}
        assert statuses.count(200) <= 10 + 5 * 5  # two seconds' worth at once, and five a second
        limited = next(answer.result() for answer in flood if answer.result().status_code == 429)
        assert (limited.json()["reason"], limited.headers["Retry-After"]) == ("rate", "1")


def test_clients_take_turns_at_the_model(tmp_path: Path) -> None:
    """With the model held up, one client queues as much as it may; another's request comes third all the same."""
    with served(tmp_path, with_keys=True) as house, ThreadPoolExecutor(12) as pool:
        _, greedy = house.keys.add("greedy")
        _, other = house.keys.add("other")
        house.model.go.clear()
        queued = [pool.submit(house.infer, some_images(1, seed), f"g{seed}", greedy) for seed in range(10)]
        until(lambda: sum(answer.done() for answer in queued) == 2)  # eight in flight, two sent away
        last = pool.submit(house.infer, some_images(1, 99), "other", other)
        until(lambda: house.service._model._work_queue.qsize() == 2)
        house.model.go.set()
        assert last.result().status_code == 200
        assert sorted(answer.result().status_code for answer in queued) == [200] * 8 + [429] * 2
        order = [line["id"] for line in house.lines() if line["status"] == 200]
        assert order.index("other") <= 2


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [b"", b"POST /v2/mo", head("/v2", "X: y")[:-2]])
def test_half_a_request_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.3)
    with served(tmp_path) as house, connected(house) as raw:
        raw.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")  # a whole one first, on the same connection
        answered = b""
        while not answered.endswith(b"]}"):
            answered += raw.recv(65536)
        raw.sendall(sent)
        if sent:
            assert received(raw) == b""
    with served(tmp_path) as house, connected(house) as raw:
        raw.sendall(sent)
        assert received(raw) == b""


def test_a_body_that_trickles_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.3)
    with served(tmp_path) as house, connected(house) as raw:
        raw.sendall(head(f"{MODEL}/infer", "Content-Length: 1000") + b"{")
        assert received(raw).startswith(b"HTTP/1.1 408")
        posteriors(house.infer(some_images(1)))


def test_a_client_that_hangs_up_is_charged_once_when_it_comes_back(tmp_path: Path) -> None:
    images = some_images(3)
    with served(tmp_path) as house:
        house.model.go.clear()
        text, content = binary(images, "a")
        with connected(house) as raw:
            length = f"Content-Length: {len(text) + len(content)}"
            raw.sendall(head(f"{MODEL}/infer", length, f"Inference-Header-Content-Length: {len(text)}"))
            raw.sendall(text + content)
            until(lambda: house.service._model._threads and not house.service._model._idle_semaphore.acquire(timeout=0))
        house.model.go.set()
        posteriors(house.infer(images, "a"))
        assert (house.usage()["images"], house.model.computed) == (3, 3)


def test_a_peer_has_so_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_OF_A_PEER", 3)
    with served(tmp_path) as house:
        host, port = house.url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(3)]
        held[2].sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert held[2].recv(100).startswith(b"HTTP/1.1 200")
        with connected(house) as raw:
            assert received(raw) == b""
        for each in held:
            each.close()
        until(lambda: not connection._open)
        posteriors(house.infer(some_images(1)))


def test_what_is_held_in_memory_is_bounded_and_let_go(tmp_path: Path) -> None:
    """Bodies that never end are held up to a limit for one client; with their connections they are forgotten."""
    with served(tmp_path, limits=Limits(body=MEBIBYTE)) as house:
        client = house.service.clients.ask(None, "here")
        with connected(house) as one, connected(house) as two:
            for raw in (one, two):
                raw.sendall(head(f"{MODEL}/infer", f"Content-Length: {MEBIBYTE}") + bytes(MEBIBYTE - 1))
            until(lambda: client.memory.held == 2 * (MEBIBYTE - 1))
        until(lambda: client.memory.held == 0)
        big = np.zeros((256, 3, 4, 4), np.float32)
        assert house.infer(big).status_code == 200
        assert client.memory.held == 0


def test_nonsense_is_answered_and_others_are_served(tmp_path: Path) -> None:
    with served(tmp_path) as house:
        nonsense = [b"\x16\x03\x01\x02\x00" * 20, b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"A" * 200_000]
        for content in nonsense:
            with connected(house) as raw:
                pushed(raw, 1, content)
                raw.shutdown(socket.SHUT_WR)
                assert b" 200 " not in received(raw)
        posteriors(house.infer(some_images(1)))
