"""Good target files, studies, policies, reports and the like."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


def service(folder: Path) -> Path:
    text = """input_shape = [3, 32, 32]
class_names = ["cat", "dog"]

[service]
url = "https://api.example.com/v1/classify"
body = { image = "{png}", options = { top = 10 } }
answers = "$.result.scores"
gives = "posteriors"
labels = { "felis catus" = "cat" }
batch = 1
price_per_1000 = 1.5
"""
    (folder / "service.toml").write_text(text)
    return folder / "service.toml"


def study(folder: Path) -> Path:
    text = """name = "seed"
seeds = [0, 1]
targets = ["starter/digits-cnn"]

[[methods]]
name = "membership.metrics"
options = { max_members = 100 }

[limits]
seconds = 60
memory_gb = 2
"""
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def policy(folder: Path) -> Path:
    text = """[[rule]]
question = "backdoor"
worst = "undecided"
reason = "No release with a sign of a backdoor."

[[rule]]
method = "membership.metrics"
metric = "auc_modified_entropy"
max = 0.65
max_increase = 0.05
"""
    (folder / "policy.toml").write_text(text)
    return folder / "policy.toml"


def card(folder: Path) -> Path:
    text = 'id = "own/mine"\ndataset = "CIFAR-10"\narchitecture = "resnet18"\nparameters = 9\ntop1 = 0.9\nyear = 2024\n'
    (folder / "card.toml").write_text(text)
    return folder / "card.toml"


def listing(folder: Path) -> Path:
    entry = {"architecture": "resnet18", "dataset": "cifar10", "id": "own/mine", "input": [3, 32, 32], "top1": 0.9}
    lines = [{"name": "own", "title": "own", "version": "1"}, entry, {**entry, "id": "own/other", "year": 2024}]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "records.jsonl"


@cache
def _outcomes() -> list[Any]:
    import tempfile

    from reports.samples import outcomes

    return outcomes(Path(tempfile.mkdtemp()))


def report(folder: Path) -> Path:
    from assay.reports.report import assemble, write_json

    write_json(assemble(_outcomes()), folder / "report.json")
    return folder / "report.json"


def workspace(folder: Path) -> Path:
    from assay.methods.finding import Samples
    from assay.studies.workspace import Workspace

    kept = Workspace(folder / "workspace")
    for outcome in _outcomes():
        if outcome.status == "done":
            kept.save(outcome, Samples(np.arange(0)))
    return sorted((folder / "workspace" / "trials").glob("*.json"))[0]


def annotations(folder: Path) -> Path:
    (folder / "coders.txt").write_text("one\n")
    lines = [{"record": "own/mine", "code": "year", "value": "2024"}, {"record": "a", "code": "top1", "value": "0.9"}]
    (folder / "one.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "one.jsonl"
