from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path

import pytest

from assay.base.errors import UsageError
from assay.reports.explorer.export import Exporter
from assay.reports.explorer.serve import HOST, Server, serve
from reports.explorer import world
from reports.explorer.test_export import read
from reports.samples import outcome, target


def ask(port: int, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    connection.request("GET", path, headers={"Host": host or f"{HOST}:{port}"})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_it_follows_a_workspace_and_then_stands_still(tmp_path: Path) -> None:
    built = world.build(tmp_path / "w", models=3)
    exporter = Exporter(built.path, tmp_path / "out", world.catalogue())
    said: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(exporter, 0, 0.05, said.append, stop))
    thread.start()
    try:
        until = time.monotonic() + 10
        while len(said) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        port = int(said[1].split(":")[3].split("/")[0])
        assert ask(port, "/index.html")[0] == 200
        assert ask(port, "/data/site.js?abc")[0] == 200
        assert b'"live":true' in ask(port, "/data/stamp.js")[1]
        world.save(built.path, outcome("evasion", "Square", facts=target("new")))
        while len(said) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert said[2] == f"{built.done + 1} trials of 4 models."
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert read(tmp_path / "out", "stamp")["live"] is False


def test_it_serves_files_to_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out" / "index.html").write_text("page")
    with Server(tmp_path / "out") as server:
        port = int(server.address.split(":")[2].split("/")[0])
        assert ask(port, "/index.html") == (200, b"page")
        assert ask(port, "/index.html", host=f"localhost:{port}")[0] == 200
        assert ask(port, "/index.html", host="attacker.example")[0] == 403
        assert ask(port, "/") == ask(port, "/?x") == (200, b"page")
        assert ask(port, "/data/")[0] == 404, "no listings"
        assert ask(port, "/../secret")[0] == 404
        assert ask(port, "/%2e%2e/secret")[0] == 404
        with pytest.raises(UsageError, match="--port"):
            Server(tmp_path / "out", port)
