"""Each failure of a service is one clear sentence, and says rightly whether it may have cost something."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from access.remote.doubles import as_json, serving
from assay.access.remote.address import is_loopback, parse_address
from assay.access.remote.failures import DeniedError, LostError
from assay.access.remote.http import Call, Line, seconds
from assay.base.errors import AccessError, AssayError, DataError, TransientError, UsageError

GET = Call("GET", "/")


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (as_json({"error": "who are you?"}, 401), DeniedError, r"refuses the credentials \(401: who are you\?\)"),
        (as_json({"error": {"message": "no"}}, 403), DeniedError, r"refuses the credentials \(403: no\)"),
        (as_json({"error": "budget"}, 402), DeniedError, r"answers no more \(402: budget\)"),
        (as_json({}, 429, **{"Retry-After": "7"}), TransientError, "busy"),
        (as_json({}, 503), TransientError, "busy"),
        (as_json({}, 429, **{"Retry-After": "4000"}), AccessError, "asks for a pause of 4000 seconds"),
        ((500, {}, b"<html>Oops</html>"), LostError, r"failed \(500: <html>Oops</html>\)"),
        ((502, {}, b""), LostError, r"failed \(502\)"),
        ((504, {}, b""), LostError, r"failed \(504\)"),
        (as_json({}, 413), AccessError, r"\?batch=N"),
        (as_json({"error": "id reused"}, 409), AccessError, "refused the request .*id reused"),
        ((302, {"Location": "http://elsewhere/"}, b""), AccessError, "points to another address"),
        ("reset", LostError, "connection to .* broke"),
        ("hang", LostError, "did not answer in time"),
    ],
)
def test_a_failure_is_a_sentence(answer: Any, kind: type[AssayError], says: str) -> None:
    with serving(lambda *_: answer) as url, pytest.raises(kind, match=says) as caught:
        Line(url, timeout=0.3).send(GET)
    assert type(caught.value) is kind
    if isinstance(answer, tuple) and "Retry-After" in answer[1] and isinstance(caught.value, TransientError):
        assert caught.value.after == 7.0


def test_a_service_that_is_down_was_not_charged() -> None:
    with serving(lambda *_: as_json({})) as url:
        pass
    with pytest.raises(TransientError, match="does it run, at this address") as caught:
        Line(url).send(GET)
    assert not isinstance(caught.value, LostError)


def test_what_is_not_json_is_said() -> None:
    with serving(lambda *_: (200, {}, b"<html>")) as url, pytest.raises(DataError, match="not JSON: '<html>'"):
        Line(url).send(GET).json()


def test_a_certificate_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout k.pem -out c.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(AccessError, match="cannot prove who it is") as caught:
            Line(f"https://127.0.0.1:{server.server_address[1]}", secrets={"X-Key": "s3cret"}).send(GET)
        assert not isinstance(caught.value, TransientError)
    finally:
        server.shutdown()
        server.server_close()


def test_no_message_repeats_a_secret_and_none_travels_in_the_clear() -> None:
    answer = as_json({"error": "bad key s3cret-token"}, 401)
    with serving(lambda *_: answer) as url, pytest.raises(DeniedError) as caught:
        Line(url, secrets={"Authorization": "Bearer s3cret-token"}).send(GET)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UsageError, match="in the clear"):
        Line("http://192.0.2.1:8000", secrets={"Authorization": "Bearer s3cret"})


def test_no_proxy_sees_what_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(lambda *_: as_json([1])) as url:
        assert Line(url).send(GET).json() == [1]


def test_pauses_are_read_as_seconds_or_dates() -> None:
    assert seconds(None) == seconds("soon") == seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert seconds("2.5") == 2.5
    assert seconds("Fri, 01 Jan 2100 00:00:00 GMT") > 1e9


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:80", True),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
        ("https://localhost.example.org", False),
    ],
)
def test_what_stays_on_this_machine_is_told_from_the_host(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_references_are_taken_apart() -> None:
    address = parse_address("http://127.0.0.1:8000/v2/models/a/b?batch=8&classes=x,y")
    assert (address.scheme, address.place) == ("oip", "http://127.0.0.1:8000/v2/models/a/b")
    assert address.options == {"batch": "8", "classes": "x,y"}
    assert parse_address("google-vision:").place == ""
    for wrong, says in (
        ("http://me:secret@host/", "environment variables only"),
        ("http://host:port", "not an address"),
        ("http:///v2", "not an address"),
        ("http://host?batch", "name=value"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            parse_address(wrong)
        assert "secret" not in str(caught.value)
