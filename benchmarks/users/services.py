"""Services on this machine as users have them, each in a thread that ends with the process."""

from __future__ import annotations

import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
import uvicorn

from assay.access import Serving
from assay.server.keys import KeyFile
from assay.server.log import Log
from assay.server.running import bind, configured
from assay.server.service import Service
from assay.targets.reference import load_target
from assay.targets.target import Target

DIGITS = "starter/digits-cnn"
MAPPING = """data = "digits"
[service]
url = "{url}/classify"
body = {{ images = ["{{floats}}"] }}
answers = "$.items[*].scores"
batch = 128
"""


def rest(folder: Path) -> list[str]:
    """A REST service with its own JSON, and the target file that maps it."""
    network = load_target(DIGITS)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps(_answer(network, self.rfile.read(int(self.headers["Content-Length"])))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    (folder / "mine.toml").write_text(MAPPING.format(url=f"http://127.0.0.1:{http.server_port}"))
    return [str(folder / "mine.toml")]


def _answer(network: Target, asked: bytes) -> dict[str, Any]:
    images = torch.tensor(json.loads(asked)["images"])
    return {"items": [{"scores": row} for row in network.logits(images).softmax(dim=1).tolist()]}


def open_inference(folder: Path) -> list[str]:
    """`assay serve` of a network of digits."""
    state = folder / "service"
    service = Service(load_target(DIGITS), Serving(), state, keys=KeyFile(state / "keys.json"), log=Log(io.StringIO()))
    listener = bind("127.0.0.1", 0, exposed=False)
    server = uvicorn.Server(configured(service))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return [f"http://127.0.0.1:{listener.getsockname()[1]}", "digits"]
