"""How much of a model's own throughput is left behind HTTP: CIFAR-10's ResNet-20, batches of 64.

`wrk`, a public load generator (``apt-get install wrk``), posts batches of 64 real test images (UINT8, binary tensors),
no two of them the same, each under an id of its own, so that every image costs a forward pass and every request a
synchronised commit of the journal. Between two such runs the model is asked directly, in a process of its own, so that
whatever else the machine does disturbs both alike. Wall-clock time is reported, and CPU seconds an image, which a busy
machine changes less. Both run with ``OMP_WAIT_POLICY=passive``: where other programs want the cores too, threads of
OpenMP that spin while they wait for each other can take several times the CPU.

    python -m benchmarks.services.serving [--rounds 5] [--seconds 10] [--threads 2] [--json rows.json]

Needs ``ASSAY_DATA``, the public model (downloaded, or in ``ASSAY_MIRROR``), and wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MODEL = "akamaster/cifar10-resnet20"
BATCH = 64
SCRIPT = """
local file = io.open(os.getenv("BODY"), "rb")
local rest, number = {}, 0
for image = 1, %(batch)d do rest[image] = file:read(%(size)d):sub(9) end
file:close()
local run = os.getenv("RUN")
wrk.method = "POST"
function request()
  local parts = {}
  for image = 1, %(batch)d do
    number = number + 1
    parts[2 * image] = string.format("%%s%%07d", run, number)
    parts[2 * image + 1] = rest[image]
  end
  parts[1] = string.format(
    '{"id":"%%s-%%d","inputs":[{"name":"images","datatype":"UINT8","shape":[%(batch)d,3,32,32],' ..
    '"parameters":{"binary_data_size":%(bytes)d}}],"parameters":{"binary_data_output":true}}', run, number)
  wrk.headers["Inference-Header-Content-Length"] = #parts[1]
  return wrk.format(nil, nil, nil, table.concat(parts))
end
function done(summary, latency, requests)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  io.write(string.format('{"requests":%%d,"seconds":%%f,"errors":%%d,"p50":%%f,"p99":%%f}\\n', summary.requests,
    summary.duration / 1e6, errors, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


IDLE = """
import torch

class Idle(torch.nn.Module):
    def forward(self, images):
        return images[:, 0, 0, :10]

def make():
    return Idle()
"""
"""A network that costs nothing, so that what is measured is the service."""


class Server(NamedTuple):
    """Where a service is asked, and its process."""

    url: str
    pid: int


class Measured(NamedTuple):
    """Images a second, CPU milliseconds an image, and milliseconds a batch (50th and 99th percentile)."""

    images_per_second: float
    cpu_ms_per_image: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--connections", type=int, default=2)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.alone:
        alone_in_process(given.alone, given.seconds)
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    threads = str(given.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"}
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), environment, given)
    show(rows)
    if given.json:
        given.json.write_text(json.dumps([{who: m._asdict() for who, m in row.items()} for row in rows], indent=1))


def measure(folder: Path, environment: dict[str, str], given: argparse.Namespace) -> list[dict[str, Measured]]:
    """Rounds of the model alone and the model served, one after the other."""
    body = folder / "images.bin"
    with np.load(Path(os.environ["ASSAY_DATA"]) / "cifar10.npz") as data:
        images = data["x_test"][:BATCH].transpose(0, 3, 1, 2)
    body.write_bytes(np.ascontiguousarray(images).tobytes())
    (folder / "idle.py").write_text(IDLE)
    (folder / "idle.toml").write_text('factory = "idle:make"\nnum_classes = 10\ninput_shape = [3, 32, 32]\n')
    rows = []
    with serving(MODEL, folder, environment) as real, serving(str(folder / "idle.toml"), folder, environment) as idle:
        for number in range(given.rounds):
            row = {"alone": alone_measured(body, environment, given.seconds)}
            row["served"] = served_measured(folder, body, real, number, given)
            row["service, without a model"] = served_measured(folder, body, idle, number, given)
            print(number, *(f"{who}: {m.images_per_second:.0f}/s" for who, m in row.items()), file=sys.stderr)
            rows.append(row)
    return rows


@contextmanager
def serving(reference: str, folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """A service in a process of its own."""
    command = [sys.executable, "-m", "assay", "serve", reference, "--name", "model", "--port", "0", "--device", "cpu"]
    command += ["--state", str(folder / Path(reference).stem), "--rate", "100000", "--log", str(folder / "log.jsonl")]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        address = re.search(r"http://\S+(?=;)", said)
        if address is None:
            sys.exit(said + server.stdout.read())
        yield Server(f"{address.group()}/v2/models/model/infer", server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def alone_measured(body: Path, environment: dict[str, str], seconds: float) -> Measured:
    """The model in a process of its own."""
    command = [sys.executable, __file__, "--alone", str(body), "--seconds", str(seconds)]
    return Measured(**json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout))


def alone_in_process(body: Path, seconds: float) -> None:
    """Ask the model directly, batch after batch."""
    import torch

    from assay.data.images import to_pixels
    from assay.targets.reference import open_model

    target = open_model(MODEL).target
    images = torch.frombuffer(bytearray(body.read_bytes()), dtype=torch.uint8).reshape(BATCH, *target.input_shape)
    target.logits(to_pixels(images))
    took, cpu, began = [], time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        target.logits(to_pixels(images))
        took.append(1e3 * (time.perf_counter() - start))
    count, wall = BATCH * len(took), time.perf_counter() - began
    p50, p99 = np.percentile(took, [50, 99])
    print(json.dumps(Measured(count / wall, 1e3 * (time.process_time() - cpu) / count, p50, p99)._asdict()))


def served_measured(folder: Path, body: Path, server: Server, number: int, given: argparse.Namespace) -> Measured:
    """A service as wrk sees it."""
    script = folder / "batches.lua"
    size = body.stat().st_size // BATCH
    script.write_text(SCRIPT % {"batch": BATCH, "size": size, "bytes": size * BATCH})
    command = ["wrk", "-t1", f"-c{given.connections}", f"-d{given.seconds:g}s", "--timeout", "30s", "-s", str(script)]
    command.append(server.url)
    environment = os.environ | {"BODY": str(body), "RUN": chr(ord("a") + number)}
    before = cpu_seconds(server.pid)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    spent = cpu_seconds(server.pid) - before
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["errors"]:
        sys.exit(f"wrk counted errors: {ran.stdout}")
    count = BATCH * found["requests"]
    return Measured(count / found["seconds"], 1e3 * spent / count, found["p50"], found["p99"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(rows: list[dict[str, Measured]]) -> None:
    """A table: medians over rounds, and the ratio round by round."""
    print("| | images/s | CPU ms an image | p50 ms a batch | p99 ms a batch |\n|---|---|---|---|---|")
    for who in rows[0]:
        medians = [statistics.median(column) for column in zip(*(row[who] for row in rows), strict=True)]
        print(f"| {who} | {medians[0]:.0f} | {medians[1]:.3f} | {medians[2]:.0f} | {medians[3]:.0f} |")
    speed = [row["served"].images_per_second / row["alone"].images_per_second for row in rows]
    cost = [row["alone"].cpu_ms_per_image / row["served"].cpu_ms_per_image for row in rows]
    for what, ratios in (
        ("images/s, served / alone", speed),
        ("images per CPU second, served / alone", cost),
        ("CPU, alone / (alone + service without a model)", [left_to_the_model(row) for row in rows]),
    ):
        low, high = median_interval(np.array(ratios))
        print(f"{what}: median {statistics.median(ratios):.1%} [{low:.1%}, {high:.1%}]")


def left_to_the_model(row: dict[str, Measured]) -> float:
    """The share of CPU that the model gets where the cores have nothing else to do than to serve it."""
    costs = [measured.cpu_ms_per_image for measured in row.values()]
    return costs[0] / (costs[0] + costs[2])


def median_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """A 95 % bootstrap interval of the median over rounds."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
