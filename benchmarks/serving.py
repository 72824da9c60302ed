"""How much of a model's own throughput is left behind HTTP: CIFAR-10's ResNet-20, batches of 64.

`wrk`, a public load generator (``apt-get install wrk``), posts batches of 64 real test images (UINT8, binary tensors),
no two of them the same, each under an id of its own, so that every image costs a forward pass and every request a
synchronised commit of the journal. Between two such runs the model is asked directly, in a process of its own, in a
thread beside the main one as the service does, so that whatever else the machine does disturbs both alike. Wall-clock
time is reported, and CPU seconds an image, which a busy machine changes less.

    python benchmarks/serving.py [--rounds 5] [--seconds 10] [--threads 2] [--json rows.json]

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
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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
        beside = threading.Thread(target=alone_in_process, args=(given.alone, given.seconds))
        beside.start()
        beside.join()
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "MKL_NUM_THREADS": str(given.threads)}
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
    command = [sys.executable, "-m", "assay", "serve", MODEL, "--port", "0", "--state", str(folder / "state")]
    command += ["--device", "cpu", "--rate", "100000", "--log", str(folder / "log.jsonl")]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        address = re.search(r"http://\S+(?=;)", said)
        if address is None:
            sys.exit(said + server.stdout.read())
        rows = []
        for number in range(given.rounds):
            alone = alone_measured(body, environment, given.seconds)
            served = served_measured(folder, body, address.group(), server.pid, number, given)
            rows.append({"alone": alone, "served": served})
            print(number, *(f"{who}: {m.images_per_second:.0f}/s" for who, m in rows[-1].items()), file=sys.stderr)
        return rows
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

    from assay.targets.data import to_pixels
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


def served_measured(
    folder: Path, body: Path, address: str, pid: int, number: int, given: argparse.Namespace
) -> Measured:
    """The model behind the service, as wrk sees it."""
    script = folder / "batches.lua"
    size = body.stat().st_size // BATCH
    script.write_text(SCRIPT % {"batch": BATCH, "size": size, "bytes": size * BATCH})
    command = ["wrk", "-t1", f"-c{given.connections}", f"-d{given.seconds:g}s", "--timeout", "30s", "-s", str(script)]
    command.append(f"{address}/v2/models/{MODEL}/infer")
    environment = os.environ | {"BODY": str(body), "RUN": chr(ord("a") + number)}
    before = cpu_seconds(pid)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    spent = cpu_seconds(pid) - before
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
    for who in ("alone", "served"):
        medians = [statistics.median(column) for column in zip(*(row[who] for row in rows), strict=True)]
        print(f"| {who} | {medians[0]:.0f} | {medians[1]:.3f} | {medians[2]:.0f} | {medians[3]:.0f} |")
    for what, ratios in (
        ("wall clock", [row["served"].images_per_second / row["alone"].images_per_second for row in rows]),
        ("CPU", [row["alone"].cpu_ms_per_image / row["served"].cpu_ms_per_image for row in rows]),
    ):
        print(f"served / alone, {what}: median {statistics.median(ratios):.1%}, {min(ratios):.1%} to {max(ratios):.1%}")


if __name__ == "__main__":
    main()
