"""Kill the client, the server and the connection at random moments, and count what was charged.

A served model is stolen over HTTP, once undisturbed and once while 50 (by default) accidents happen: SIGKILL of the
client, SIGKILL of the server, and a proxy between the two that breaks every connection it holds. Each dead process is
started again. At the end the copies must be the same file, every image must have been charged once on both sides, and
the budget, which is exactly what the theft takes, must never have been exceeded.

    python -m benchmarks.services.kills --accidents 50 --seed 0
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import pkgutil
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from assay.studies.outcome import read_trial

MODEL, DATA = "starter/digits-cnn", "digits"
ASKED, BATCH = 300, 2
THEFT = ("--set", f"stealing.basic.budget={ASKED}", "--set", "stealing.basic.epochs=3")


PROCESSES = multiprocessing.get_context("forkserver")
"""Processes that find everything imported: 50 starts would be mostly imports."""


def preload() -> None:
    """Import in the server of forks what the processes need."""
    import assay.methods
    import assay.targets

    found = [module.name for room in (assay.methods, assay.targets) for module in walk(room)]
    PROCESSES.set_forkserver_preload(["assay.api", "assay.cli", "assay.server.start", *found])


def walk(room: ModuleType) -> Iterator[pkgutil.ModuleInfo]:
    """The modules of a room."""
    return pkgutil.walk_packages(room.__path__, f"{room.__name__}.")


def command(arguments: tuple[str, ...], log: str) -> None:
    """What the command line does, in this process."""
    from assay.cli import main as assay

    with Path(log).open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(assay(list(arguments)))


def finished(process: BaseProcess) -> int | None:
    """The exit code, when there is one."""
    process.join()
    return process.exitcode


class Proxy:
    """Forwards connections to a port, and breaks those it holds when told to."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.held: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5.0)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.held |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self._break(end)

    def _break(self, end: socket.socket) -> None:
        self.held.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def cut(self) -> None:
        """Break every connection."""
        for end in list(self.held):
            self._break(end)


class Stage:
    """A server, a proxy before it, a client, and a folder for all of them."""

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder, self.budget = folder, budget
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.proxy = Proxy(self.port)
        self.server = self.start_server()
        self.client = self.start_client()

    def _run(self, log: str, *arguments: str) -> BaseProcess:
        process = PROCESSES.Process(target=command, args=(arguments, str(self.folder / log)))
        process.start()
        return process

    def start_server(self) -> BaseProcess:
        """Start the server, and wait until it listens."""
        state = str(self.folder / "state")
        server = self._run(
            "server.log", "serve", MODEL, "--port", str(self.port), "--state", state, "--device", "cpu",
            "--rate", "10000", "--log", str(self.folder / "requests.log"),
        )  # fmt: skip
        while True:
            try:
                self.charged()
                return server
            except OSError:
                if server.exitcode is not None:
                    sys.exit(f"The server did not start: {(self.folder / 'server.log').read_text()}")
                time.sleep(0.1)

    def start_client(self) -> BaseProcess:
        """Start the theft, or go on with it."""
        url = f"http://127.0.0.1:{self.proxy.port}/v2/models/{MODEL}?batch={BATCH}"
        return self._run(
            "client.log", "run", "stealing.basic", url, "--data", DATA, "--workspace", str(self.workspace),
            "--device", "cpu", "--budget", str(self.budget), *THEFT,
        )  # fmt: skip

    @property
    def workspace(self) -> Path:
        """The client's."""
        return self.folder / "workspace"

    def charged(self) -> int:
        """Images that the server charged."""
        url = f"http://127.0.0.1:{self.port}/v2/models/{MODEL}/usage"
        with urllib.request.urlopen(url, timeout=10.0) as answer:
            return int(json.load(answer)["images"])

    def written(self) -> dict[str, int]:
        """Images in the client's ledger, by state; empty before it begins."""
        ledgers = list(self.workspace.glob("ledgers/*.sqlite"))
        if not ledgers:
            return {}
        try:
            with sqlite3.connect(ledgers[0], timeout=30.0) as ledger:
                return dict(ledger.execute("SELECT state, SUM(images) FROM requests GROUP BY state"))
        except sqlite3.OperationalError:
            return {}

    def close(self) -> None:
        """End what still runs."""
        for process in (self.client, self.server):
            process.kill()
            process.join()

    def surrogate(self) -> str:
        """The digest of the finished copy."""
        (trial,) = self.workspace.glob("trials/*.json")
        outcome = read_trial(trial)
        return "damaged" if outcome is None else outcome.artefacts["surrogate.safetensors"]


def wait(stage: Stage, done: int) -> None:
    """Until so many images are in the client's ledger, or the client has ended; it is started again where it failed."""
    while sum(stage.written().values()) < done:
        code = stage.client.exitcode
        if code == 0:
            return
        if code is not None:
            stage.client = stage.start_client()
        time.sleep(0.002)


def disturbed(folder: Path, budget: int, accidents: int, seed: int) -> tuple[Stage, dict[str, int]]:
    """The theft with accidents, spread at random over its requests."""
    dice, stage = random.Random(seed), Stage(folder, budget)
    moments = sorted(dice.sample(range(1, budget - BATCH), accidents))
    kinds = [("client", "server", "connection")[number % 3] for number in range(accidents)]
    dice.shuffle(kinds)
    happened = dict.fromkeys(("client", "server", "connection"), 0)
    for number, (moment, kind) in enumerate(zip(moments, kinds, strict=True), start=1):
        wait(stage, moment)
        time.sleep(dice.random() * 0.01)
        if kind == "client":
            stage.client.kill()
            stage.client.join()
        elif kind == "server":
            stage.server.kill()
            stage.server.join()
            stage.server = stage.start_server()
        else:
            stage.proxy.cut()
        if kind == "client":
            stage.client = stage.start_client()
        happened[kind] += 1
        charged, written = stage.charged(), sum(stage.written().values())
        assert charged <= budget, f"{charged} images were charged"
        assert written <= budget, f"{written} images are in the ledger"
        print(f"accident {number}: {kind}; charged {charged}, in the ledger {stage.written()}", flush=True)
    while finished(stage.client) != 0:
        stage.client = stage.start_client()
    return stage, happened


def main() -> None:
    """Run both thefts and compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accidents", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    preload()
    with tempfile.TemporaryDirectory() as place:
        calm = Stage(Path(place) / "calm", 10**6)
        if finished(calm.client) != 0:
            sys.exit((calm.folder / "client.log").read_text())
        budget = calm.charged()
        print(f"Undisturbed: {budget} images charged, ledger {calm.written()}, copy {calm.surrogate()}", flush=True)
        calm.close()
        stage, happened = disturbed(Path(place) / "rough", budget, options.accidents, options.seed)
        charged, written = stage.charged(), stage.written()
        print(f"Disturbed by {happened}: {charged} images charged, ledger {written}, copy {stage.surrogate()}")
        stage.close()
        assert charged == budget, "an image was charged twice, or lost"
        assert written == {"answered": budget}, "the client's ledger differs from the server's"
        assert stage.surrogate() == calm.surrogate(), "the copies differ"
        print("Nothing was charged twice or lost, the budget was kept, and the copies are one file.")


if __name__ == "__main__":
    main()
