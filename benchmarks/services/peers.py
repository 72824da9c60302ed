"""Ask another implementation of the Open Inference Protocol: MLServer, installed in an environment of its own.

A scikit-learn classifier of the digits is put behind MLServer by a runtime of fifteen lines, and asked over REST with
the same client that asks ``assay serve``. The answers must be the classifier's own, to the last bit of a float32.

    python -m venv peer && peer/bin/pip install mlserver scikit-learn
    python -m benchmarks.services.peers --mlserver peer/bin/mlserver
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from sklearn.linear_model import LogisticRegression

from assay.access import Oracle, PosteriorStore, Serving
from assay.access.opening import Terms, open_target
from assay.access.remote.write_ahead import Receipts
from assay.base.progress import on_console
from assay.data.formats.registry import load_dataset

RUNTIME = """
import json
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Digits(MLModel):
    async def load(self):
        self.weights = {name: np.array(values) for name, values in json.loads(Path("weights.json").read_text()).items()}
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float64)
        scores = np.exp(rows @ self.weights["coefficients"].T + self.weights["intercepts"])
        posteriors = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        outputs = [NumpyCodec.encode_output("posteriors", posteriors)]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)
"""


def write_model(folder: Path, port: int, model: LogisticRegression) -> None:
    """A folder that MLServer serves."""
    spare = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            spare.append(free.getsockname()[1])
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": spare[0], "metrics_port": spare[1]}
    settings |= {"parallel_workers": 0}
    described = {
        "name": "digits",
        "implementation": "runtime.Digits",
        "parameters": {"version": "v7"},
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": "posteriors", "datatype": "FP32", "shape": [-1, 10]}],
    }
    weights = {"coefficients": model.coef_.tolist(), "intercepts": model.intercept_.tolist()}
    (folder / "runtime.py").write_text(RUNTIME)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(described))
    (folder / "weights.json").write_text(json.dumps(weights))


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the model is ready."""
    for _ in range(600):
        if server.poll() is not None:
            sys.exit("MLServer did not start.")
        try:
            if httpx.get(f"{url}/v2/models/digits/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    sys.exit("MLServer is not ready after two minutes.")


def main() -> None:
    """Serve, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlserver", type=Path, required=True)
    executable = parser.parse_args().mlserver.resolve()
    digits = load_dataset("digits")
    assert digits.train is not None
    assert digits.test is not None
    pixels = [part.take(np.arange(len(part))) for part in (digits.train, digits.test)]
    model = LogisticRegression(max_iter=500).fit(pixels[0].reshape(len(pixels[0]), -1).numpy(), digits.train.labels)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_model(folder, port, model)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [executable, "start", "."], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, server)
            print(f"Server: {httpx.get(f'{url}/v2', trust_env=False).text}")
            target = open_target(
                f"{url}/v2/models/digits?batch=100",
                Terms(budget=len(pixels[1])),
                ledgers=folder / "ledgers",
                data="digits",
                progress=on_console(),
            )
            store = PosteriorStore(folder / "store", target.num_classes)
            answers = Oracle(target, Serving.of(target), store).ask(pixels[1]).require_posteriors()
            (ledger,) = (folder / "ledgers").glob("*.sqlite")
            scores = np.exp(pixels[1].reshape(len(pixels[1]), -1).double().numpy() @ model.coef_.T + model.intercept_)
            expected = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
            total = Receipts(ledger).totals()
        finally:
            server.terminate()
            server.wait()
    print(f"Asked {len(answers)} images in {total.requests} requests; the ledger: {total}")
    print(f"Greatest difference from the classifier: {np.abs(answers - expected).max():g}")
    print(f"Accuracy: {(answers.argmax(axis=1) == digits.test.labels).mean():.4f}")
    assert np.abs(answers - expected).max() <= np.finfo(np.float32).eps


if __name__ == "__main__":
    main()
