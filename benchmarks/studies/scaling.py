"""What the engines themselves cost, and how they scale.

    python -m benchmarks.studies.scaling overhead FOLDER    # trials that sleep 10 s: the share that is not sleep
    python -m benchmarks.studies.scaling throughput FOLDER  # trials that sleep 1 s, on 1, 2, 4 and 8 workers
    python -m benchmarks.studies.scaling nodes FOLDER CALM  # a Ray cluster of three nodes, one of them killed midway
    python -m benchmarks.studies.scaling cost               # 910 models on 1, 8 and 64 GPUs: a calculation

``--engine ray`` runs the first two on Ray. ``nodes`` compares with CALM, the workspace of the same study undisturbed,
as benchmarks/studies/kills.py leaves it in FOLDER/calm.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from assay.studies import Workspace
from assay.studies.states import read_studies
from assay.studies.study_file import read_study
from benchmarks.studies.kills import command, failures, truths
from benchmarks.studies.sleeping_method import install

HERE = Path(__file__).parent
MODELS = 910
SECONDS_PER_MODEL = sum(cost.seconds for cost in read_study("preset:securitynet").costs.values())
SPREAD = 0.8
"""Standard deviation of the logarithm of a model's seconds: models differ by far more than methods."""
START = 60.0
"""Seconds until a worker on a new machine is ready."""
DOLLARS_PER_GPU_HOUR = 2.5


def sleeping_study(folder: Path, seconds: float, units: int, engine: str, workers: int) -> tuple[Path, dict[str, str]]:
    """A study file of 12 targets with so many sleeping trials each, and the environment that knows the method."""
    file = folder / f"{engine}-{workers}.toml"
    numbers = ", ".join(map(str, range(units)))
    file.write_text(
        f'name = "sleep"\ntargets = ["starter/*"]\n[[methods]]\nname = "evasion.sleep"\n'
        f"options = {{ seconds = {seconds}, number = [{numbers}] }}\n"
        f'[engine]\nkind = "{engine}"\nworkers = {workers}\nthreads = 1\n'
    )
    path = f"{install(folder / 'plugin')}:{os.environ.get('PYTHONPATH', '')}"
    return file, {**os.environ, "PYTHONPATH": path}


def run(file: Path, workspace: Path, environment: dict[str, str]) -> float:
    """Run a study in a process of its own; wall seconds."""
    began = time.monotonic()
    subprocess.run(command("run", file, workspace), env=environment, check=True, capture_output=True)
    return time.monotonic() - began


def spans(workspace: Path) -> tuple[float, float]:
    """Seconds between each worker's first start and last end, summed; seconds of trials, summed."""
    opened, (study,) = Workspace(workspace), read_studies(workspace)
    times = defaultdict(list)
    for unit in study.units:
        outcome = opened.load(unit.key or "")
        assert outcome is not None, "the study is finished"
        start = outcome.started.timestamp()
        times[unit.worker].append((start, start + outcome.seconds))
    return sum(max(e for _, e in t) - min(s for s, _ in t) for t in times.values()), sum(
        end - start for each in times.values() for start, end in each
    )


def overhead(folder: Path, engine: str) -> None:
    """Trials of 10 s on 4 workers."""
    file, environment = sleeping_study(folder, 10.0, 2, engine, 4)
    workspace = folder / f"overhead-{engine}"
    wall = run(file, workspace, environment)
    span, slept = spans(workspace)
    share = 100 * (span - slept) / slept
    print(f"{engine}: {slept:.0f} s of trials, {share:.2f} % between them on the workers, {wall:.0f} s from end to end")


def throughput(folder: Path, engine: str) -> None:
    """Trials of 1 s."""
    for workers in (1, 2, 4, 8):
        file, environment = sleeping_study(folder, 1.0, 4, engine, workers)
        workspace = folder / f"throughput-{engine}-{workers}"
        wall = run(file, workspace, environment)
        span, slept = spans(workspace)
        print(
            f"{engine}, {workers} workers: {slept / (span / workers):.2f} trials/s while they work; {wall:.0f} s in all"
        )


def nodes(folder: Path, calm: Path, study: Path) -> None:
    """Three nodes of one processor each besides the head; one is killed when a third of the trials are done."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    machines = [cluster.add_node(num_cpus=1) for _ in range(3)]
    file, workspace = folder / "nodes.toml", folder / "nodes"
    text = study.read_text().partition("[engine]")[0]
    engine = f'[engine]\nkind = "ray"\naddress = "{cluster.address}"\nworkers = 3\nthreads = 1\n'
    file.write_text(text + engine)
    with (folder / "nodes.log").open("wb") as log:
        process = subprocess.Popen(command("run", file, workspace), stdout=log, stderr=log)
        total = len(list(calm.glob("trials/*.json")))
        while len(list(workspace.glob("trials/*.json"))) < total / 3 and process.poll() is None:
            time.sleep(0.5)
        cluster.remove_node(machines[1], allow_graceful=False)
        print(f"killed a node after {len(list(workspace.glob('trials/*.json')))} of {total} trials", flush=True)
        process.wait()
    cluster.shutdown()
    expected, found = truths(calm), truths(workspace)
    differing = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    print(f"{len(found)} outcomes, {failures(workspace)} failures; truth files that differ: {len(differing)}")


def cost() -> None:
    """Greedy scheduling, as the engines do it: whoever is free takes the next model."""
    moments = random.Random(0)
    drawn = [moments.lognormvariate(0.0, SPREAD) for _ in range(MODELS)]
    scale = SECONDS_PER_MODEL * MODELS / sum(drawn)
    jobs = [each * scale for each in drawn]
    print(f"{MODELS} models, {SECONDS_PER_MODEL:.0f} s each in the mean, the longest {max(jobs) / 3600:.1f} h")
    print("| GPUs | hours | GPU-hours paid | dollars | busy |\n| ---: | ---: | ---: | ---: | ---: |")
    for gpus in (1, 8, 64):
        free = [START] * gpus
        for job in jobs:
            heapq.heappush(free, heapq.heappop(free) + job)
        hours = max(free) / 3600
        busy = sum(jobs) / 3600 / (hours * gpus)
        print(
            f"| {gpus} | {hours:.1f} | {hours * gpus:.0f} | {hours * gpus * DOLLARS_PER_GPU_HOUR:,.0f} | {busy:.0%} |"
        )


def main() -> int:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("overhead", "throughput", "nodes", "cost"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/scaling"))
    parser.add_argument("calm", type=Path, nargs="?")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--study", type=Path, default=HERE / "thirty.toml")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.part == "overhead":
        overhead(given.folder, given.engine)
    elif given.part == "throughput":
        throughput(given.folder, given.engine)
    elif given.part == "nodes":
        if given.calm is None:
            parser.error("nodes needs CALM, the workspace of the undisturbed study")
        nodes(given.folder, given.calm, given.study)
    else:
        cost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
