"""Commands that only read do not load torch, and the gate is quick and small enough for every commit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.base.intervals import clopper_pearson
from assay.methods.finding import Interval, Metric, Samples
from assay.reports.report import assemble, write_json
from assay.studies.workspace import Workspace
from reports.samples import outcome, target

HEAVY = ("torch", "torchvision", "timm", "sklearn", "pandas", "duckdb")
RUN = """
import json, resource, sys
from assay.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which a process has from the one that started it.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([code, used.ru_utime + used.ru_stime, peak / 1024, sorted(sys.modules)]), file=sys.stderr)
"""


def run(*arguments: str) -> tuple[int, float, float, set[str]]:
    """A command in a process of its own: exit code, CPU seconds, peak in MB, and the modules that it loaded."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True)
    code, seconds, peak, modules = json.loads(done.stderr.splitlines()[-1])
    return code, seconds, peak, set(modules)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with samples, its report, and a policy of absolute and one of relative rules."""
    folder = tmp_path_factory.mktemp("light")
    opened = Workspace(folder / "w")
    hits = (np.arange(200) % 3 == 0).astype(float)
    share = Interval(**clopper_pearson(int(hits.sum()), 200)._asdict())
    metric = Metric(name="success", label="Success", value=float(hits.mean()), interval=share, n=200)
    one = outcome("evasion", "FGSM", metrics=[metric], facts=target("m"))
    opened.fresh_artefacts(one.key)
    saved = opened.save(one, Samples(np.arange(200), outcomes={"success": hits}))
    write_json(assemble([saved]), opened.path / "reports" / "m" / "report.json")
    rule = '[[rule]]\nmethod = "evasion.fgsm"\nmetric = "success"\n'
    (folder / "absolute.toml").write_text(f"{rule}max = 0.9\n\n[[rule]]\nquestion = 'evasion'\nworst = 'elevated'\n")
    (folder / "relative.toml").write_text(f"{rule}max_increase = 0.0\n")
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_the_gate_is_quick_and_small(workspace: Path) -> None:
    report = str(workspace / "w" / "reports" / "m" / "report.json")
    # The least of several runs: other processes on the machine slow a processor down.
    runs = [run("gate", report, "--policy", str(workspace / "absolute.toml")) for _ in range(8)]
    assert {code for code, *_ in runs} == {0}
    assert min(seconds for _, seconds, _, _ in runs) < 0.6
    assert max(peak for *_, peak, _ in runs) < 120
    assert not runs[0][3] & {*HEAVY, "numpy", "scipy", "pyarrow"}


COMMANDS = {
    "gate against a baseline": "gate {0}/w --policy {0}/relative.toml --baseline {0}/w/reports/m/report.json",
    "the gate's files": "gate {0}/w --policy {0}/absolute.toml --sarif {0}/s --junit {0}/j --markdown {0}/m",
    "methods": "methods",
    "one method": "methods evasion.fgsm",
    "report": "report {0}/w",
    "card": "export card {0}/w",
    "model index": "export model-index {0}/w --out {0}/index.yaml",
}


@pytest.mark.parametrize("what", COMMANDS)
def test_reading_loads_no_torch(what: str, workspace: Path) -> None:
    code, _, _, modules = run(*COMMANDS[what].format(workspace).split())
    assert code == 0
    assert not modules & {"torch", "torchvision", "timm"}


def test_reading_a_report_in_python_loads_no_torch(workspace: Path) -> None:
    file = workspace / "w" / "reports" / "m" / "report.json"
    code = (
        "import sys; from pathlib import Path; from assay.reports.report import Report; "
        "report = Report.model_validate_json(Path(sys.argv[1]).read_text()); "
        "assert report.target.name == 'm'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
