"""What the backdoor benchmark's networks are worth, as Markdown.

    ASSAY_DATA=... python -m benchmarks.backdoor.zoo_tables FOLDER

Three tables: accuracy and attack success rate by attack, data set and architecture; each attack beside what its
triggers do to clean networks; every plant that failed. Then what input-aware triggers do on other images than their
own. A minute or two for all 168 networks.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import torch

from assay.methods.backdoor.planting.triggers.generated import Generated
from assay.training import predict
from assay.training.feeding import gather
from benchmarks.backdoor.zoo_entries import ARCHITECTURES
from benchmarks.backdoor.zoo_networks import Network, Share, load_zoo, open_network, stamped_test_images
from benchmarks.backdoor.zoo_networks import test_images as images_to_test_on


def by_cell(networks: Iterable[Network]) -> str:
    """Mean accuracy / mean attack success rate in percent of those that are judged, one column an architecture."""
    cells: dict[tuple[str, str], dict[str, list[Network]]] = defaultdict(lambda: defaultdict(list))
    for network in (network for network in networks if network.entry.half in ("calibration", "held-out")):
        cells[network.entry.kind, network.entry.dataset][network.entry.architecture].append(network)
    architectures = sorted({name for row in cells.values() for name in row}, key=_place)
    return _markdown(
        ["attack", "data set", *architectures],
        [[*key, *(_cell(row.get(name, [])) for name in architectures)] for key, row in sorted(cells.items())],
    )


def _place(architecture: str) -> tuple[int, str]:
    known = architecture in ARCHITECTURES
    return (ARCHITECTURES.index(architecture) if known else len(ARCHITECTURES)), architecture


def _cell(networks: list[Network]) -> str:
    accuracies = [network.made.accuracy.value for network in networks]
    successes = [network.made.success.value for network in networks if network.made.success is not None]
    return " / ".join(f"{100 * sum(values) / len(values):.1f}" for values in (accuracies, successes) if values)


def by_attack(networks: list[Network]) -> str:
    """Each attack: success in its networks, and of the same triggers in the first clean network of their kind."""
    clean = {}
    for network in reversed(networks):
        if network.made.success is None:
            clean[network.entry.dataset, network.entry.architecture] = network
    groups: dict[str, list[tuple[Share, Share]]] = defaultdict(list)
    for network in networks:
        other = clean.get((network.entry.dataset, network.entry.architecture))
        if network.made.success is not None and other is not None:
            groups[network.entry.kind].append((network.made.success, success_elsewhere(network, other)))
    rows = []
    for kind, pairs in sorted(groups.items()):
        own, elsewhere = zip(*pairs, strict=True)
        rows.append([kind, str(len(pairs)), *map(_spread, (own, elsewhere))])
    return _markdown(["attack", "networks", "success, %", "success in clean networks, %"], rows)


def success_elsewhere(network: Network, other: Network) -> Share:
    """How many test images a network's trigger leads to its goal in another network."""
    stamped = stamped_test_images(network)
    module = open_network(other).module
    assert module is not None
    found = predict(module, stamped.images, torch.device("cpu")).argmax(1)
    return Share(hits=int((found == stamped.wanted).sum()), n=len(found))


def with_others_triggers(network: Network) -> Share:
    """How many test images an input-aware backdoor leads to its goal with the trigger drawn for another image."""
    planted, module = network.planted(), open_network(network).module
    assert planted is not None
    assert module is not None
    assert isinstance(planted.trigger, Generated)
    labels = torch.from_numpy(images_to_test_on(network.entry).labels)
    goal = planted.attack.goal
    aimed = goal.aimed(labels)
    images = gather(images_to_test_on(network.entry))[aimed].float() / 255.0
    with torch.no_grad():
        mask, pattern = planted.trigger.drawn_for(images.roll(1, 0))
    found = predict(module, torch.lerp(images, pattern, mask), torch.device("cpu")).argmax(1)
    return Share(hits=int((found == goal.wanted(labels[aimed], planted.num_classes)).sum()), n=len(found))


def _spread(shares: tuple[Share, ...]) -> str:
    values = sorted(100 * share.value for share in shares)
    return f"{sum(values) / len(values):.1f} ({values[0]:.1f} to {values[-1]:.1f})"


def failures(networks: Iterable[Network]) -> str:
    """Every network whose plant failed, with the interval of its success."""
    rows = []
    for network in networks:
        if network.made.failed_plant and network.made.success is not None:
            share, bounds = network.made.success, network.made.success.bounds
            cell = f"{100 * share.value:.1f} ({100 * bounds.low:.1f} to {100 * bounds.high:.1f})"
            rows.append([network.entry.name, network.entry.half, cell])
    return _markdown(["failed plant", "half", "success, %"], rows) if rows else "No plant failed."


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---:" if "%" in name or name in (*ARCHITECTURES, "networks") else "---" for name in head]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    zoo = list(load_zoo(Path(sys.argv[1])))
    print(by_cell(zoo), by_attack(zoo), failures(zoo), sep="\n\n")
    crossed = tuple(with_others_triggers(network) for network in zoo if network.entry.kind == "input-aware")
    print(f"\nInput-aware, with the trigger of another image: {_spread(crossed)} %")
