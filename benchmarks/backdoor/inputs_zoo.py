"""Input detectors on the held-out half of the backdoor benchmark: what they see of triggers, and false alarms.

    ASSAY_DATA=... python -m benchmarks.backdoor.inputs_zoo OUT ZOO

ZOO holds the networks (``zoo``). Every network gets `backdoor.strip`'s verdict without suspicious images,
whose null comes from other clean networks (``null``). Every backdoored one also gets each detector's AUROC
on 60 test images that carry its own trigger. One JSON file a network in OUT; goes on where it was interrupted, and
ends with the tables. About ten CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.intervals import clopper_pearson
from assay.data.images import Subset
from assay.methods.backdoor.inputs.neo import Neo
from assay.methods.backdoor.inputs.parts import Stamped
from assay.methods.backdoor.inputs.scale_up import ScaleUp
from assay.methods.backdoor.inputs.strip import Strip
from assay.methods.backdoor.inputs.teco import Teco
from assay.methods.finding import Finding
from assay.methods.method import Context, Method
from assay.targets.target import Target
from benchmarks.backdoor.zoo_networks import Network, load_zoo, open_network, test_images

SUSPECTS = 60
DETECTORS: dict[str, Method] = {
    "strip": Strip(max_images=300),
    "neo": Neo(max_images=120),
    "scale_up": ScaleUp(max_images=300),
    "teco": Teco(max_images=160),
}


def found(method: Method, target: Target) -> Finding:
    """What a detector finds, with seed 0."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        oracle = Oracle(target, Serving(), PosteriorStore(place / "store.bin", target.num_classes))
        return method.run(oracle, target.splits, Context(seed=0, device=target.device, artefacts=place, shared=place))


def judged(network: Network) -> dict[str, Any]:
    """The verdict on one network, and the detectors' AUROC on its own trigger."""
    target = open_network(network)
    entry = network.entry
    plain = found(Strip(), target)
    result: dict[str, Any] = {
        "name": entry.name,
        "kind": entry.kind,
        "goal": "" if entry.attack is None else entry.attack["goal"]["kind"],
        "dataset": entry.dataset,
        "works": network.backdoored,
        "level": plain.verdict.level,
        "lead": plain.metric("patch_lead").value,
        "p_value": plain.metric("patch_p_value").value,
    }
    if network.backdoored:
        result["auroc"] = {name: _auroc(name, network, target) for name in DETECTORS}
    return result


def _auroc(name: str, network: Network, target: Target) -> float | None:
    planted, test = network.planted(), test_images(network.entry)
    assert planted is not None
    rows = np.random.default_rng(0).permutation(len(test))
    aimed = planted.attack.goal.aimed(torch.from_numpy(test.labels[rows])).numpy()
    chosen = rows[aimed][:SUSPECTS]
    others = Subset(test, np.setdiff1d(rows, chosen))
    suspects = Stamped(Subset(test, chosen), planted.stamp, network.made.weights)
    splits = target.splits._replace(non_members=others, suspects=suspects)
    return found(DETECTORS[name], target.with_splits(splits)).metric(f"{name}_auroc").value


def tables(results: list[dict[str, Any]]) -> str:
    """Verdicts and AUROCs by attack, as Markdown."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if result["kind"] == "clean" or result["works"]:
            special = result["goal"] if result["goal"] not in ("", "all-to-one") else ""
            groups[f"{result['kind']} {special}".strip()].append(result)
    lines = ["| network | networks | called backdoored (95 % interval) | " + " | ".join(DETECTORS) + " |"]
    lines.append("| --- | ---: | --- | " + " | ".join(["---"] * len(DETECTORS)) + " |")
    for kind, members in sorted(groups.items()):
        alarms = sum(member["level"] in ("elevated", "high") for member in members)
        bounds = clopper_pearson(alarms, len(members))
        cells = [f"{alarms} ({bounds.low:.0%} to {bounds.high:.0%})"]
        for name in DETECTORS:
            values = [member["auroc"][name] for member in members if "auroc" in member]
            cells.append(f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "")
        lines.append(f"| {kind} | {len(members)} | " + " | ".join(cells) + " |")
    wrong = [result["name"] for result in groups["clean"] if result["level"] in ("elevated", "high")]
    return "\n".join([*lines, "", f"False alarms: {', '.join(wrong) or 'none'}."])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("zoo", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for network in load_zoo(options.zoo):
        file = options.out / f"{network.entry.name}.json"
        if network.entry.half == "held-out" and not file.exists():
            result = judged(network)
            file.write_text(json.dumps(result))
            print(json.dumps(result), flush=True)
    print(tables([json.loads(file.read_text()) for file in sorted(options.out.glob("*.json"))]))


if __name__ == "__main__":
    main()
