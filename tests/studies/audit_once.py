"""Audits one starter network, logging every image that the network is really asked about. Run by test_kill.py."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from assay.access import Serving
from assay.access.store import image_keys
from assay.studies import Trial, Workspace, plan_methods, run_trials
from assay.targets.reference import load_target


def main(workspace: Path, log: Path) -> None:
    target = load_target("starter/digits-cnn")
    inner = target.logits

    def counted(images: torch.Tensor) -> torch.Tensor:
        with log.open("a") as file:
            file.writelines(key.tobytes().hex() + "\n" for key in image_keys(images))
        return inner(images)

    methods = plan_methods("quick")
    print("ready", flush=True)
    trials = [Trial(replace(target, logits=counted), method, Serving(), 0) for method in methods]
    ran = run_trials(trials, Workspace(workspace))
    print("reused", ran.reused, "of", len(ran.outcomes), [o.reason for o in ran.outcomes if o.reason], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
