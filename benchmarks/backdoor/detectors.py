"""Model detectors over the benchmark's networks: how many backdoors each finds, and how often it is wrong.

    ASSAY_DATA=... python -m benchmarks.backdoor.detectors run OUT ZOO [--half calibration] [--detector backdoor.scan]
    ASSAY_DATA=... python -m benchmarks.backdoor.detectors null OUT ZOO NULL.json
    ASSAY_DATA=... python -m benchmarks.backdoor.detectors table OUT ZOO [NULL.json] [--half held-out]

``run`` writes one JSON file for each network and detector, and goes on where it was interrupted; ``--only`` picks
networks by their names, in which stands what was planted. ``null`` makes the null distributions of the clean networks
of the calibration half, the further ones of the half ``null``, and the public ones. ``table`` judges every network of a
half by these, or by those of a file (itself left out, also in other formats), and prints true- and false-positive rates
with 95 % intervals, AUC, CPU seconds and gradients, and every false alarm and miss by name. The half ``unseen`` are
clean networks trained on images augmented as no other ones are; the half ``public`` are the catalogue's models of
`DATASETS`: they need ASSAY_MIRROR.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from assay.access import WhiteBox
from assay.base.digests import digest_json
from assay.base.frozen import Frozen
from assay.base.intervals import auc_bounds, clopper_pearson, delong_auc
from assay.catalogue.curated import curated
from assay.methods.backdoor.models.evidence import RUNNING_MEANS, SPREAD
from assay.methods.backdoor.models.null import (
    CleanModel,
    Judged,
    Kind,
    Nulls,
    calibrate,
    judge,
    kind_of,
    load_nulls,
    save_nulls,
)
from assay.methods.backdoor.models.outliers import PAPERS_INDEX
from assay.methods.backdoor.models.results import WORKS
from assay.methods.backdoor.models.scan_report import leading_kind
from assay.methods.finding import Finding
from assay.methods.method import METHODS, Context, Method
from assay.targets.reference import load_target
from assay.targets.target import Target
from benchmarks.backdoor.null import COPIES
from benchmarks.backdoor.zoo_networks import Network, load_zoo, open_network

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10")
PLANTED = {"badnets/mnist-cnn": 1, "badnets/cifar10-cnn": 1, "starter/digits-cnn-backdoored": 0}
"""The catalogue's backdoored models, and where their triggers lead."""
DETECTORS = (
    "backdoor.scan",
    "backdoor.channel_noise",
    "backdoor.last_layer",
    "backdoor.neural_cleanse",
    "backdoor.k_arm",
    "backdoor.mm_bd",
    "backdoor.pixel",
)
SINGLE = ("lead", "row_mean")
"""The statistics of detectors that have one."""
IN_THE_SCAN = {"backdoor.channel_noise": "channel_noise"}
"""Detectors that the scan runs too, to the names of their statistics there."""
CPU = torch.device("cpu")
SEED = 0


class Result(Frozen):
    """What one detector found in one network. ``key`` names weights, detector, version, options and seed.

    ``statistics`` and ``labels`` are, by kind of evidence, how far the most outstanding label stands out and which it
    is; ``successes`` are lower bounds of the recovered triggers' success, by kind where there are several, empty for
    detectors without triggers; ``index`` is the largest anomaly index.
    """

    key: str
    network: str
    half: str
    attack: str
    backdoored: bool
    failed_plant: bool
    target: int | None
    detector: str
    kind: Kind
    statistics: dict[str, float]
    labels: dict[str, int]
    successes: dict[str, float]
    index: float | None
    gradients: int
    cpu_seconds: float
    level: str

    def judged(self, nulls: Nulls) -> Judged:
        """Its p-value among the clean networks other than itself."""
        others = [model for model in nulls.get(self.detector, []) if family(model.model) != family(self.network)]
        statistics = {name: value for name, value in self.statistics.items() if name != RUNNING_MEANS}
        return judge(self.detector, statistics, self.kind, {self.detector: others})

    def level_among(self, judged: Judged) -> tuple[str, int | None]:
        """The level of a verdict by that p-value, and the label that it names; see `scan_report` for the scan."""
        if judged.p_value is None:
            return "undecided", None
        labels = {name: label for name, label in self.labels.items() if name in judged.z_scores}
        leading, supporting = leading_kind(judged.z_scores, labels) if labels else ("", [])
        label = labels.get(leading)
        if not judged.alarm:
            return "low", label
        if leading in SPREAD and not supporting:
            return "undecided", label
        return ("high" if self.successes.get(leading, 0.0) > WORKS else "elevated"), label


def family(name: str) -> str:
    """The same for a network in all its formats."""
    return next((first for first, copies in COPIES.items() if name in copies), name)


class Subject(NamedTuple):
    """A network to be judged, and the truth about it."""

    name: str
    half: str
    attack: str
    backdoored: bool
    failed_plant: bool
    target: int | None
    weights: str
    open: Callable[[], Target]


def of_the_zoo(network: Network) -> Subject:
    """A network of the benchmark."""
    entry = network.entry
    attack = entry.kind if entry.attack is None else f"{entry.kind} {entry.attack['goal']['kind']}"
    target = None if entry.attack is None else entry.attack["goal"]["target"]
    truth = (network.backdoored, network.made.failed_plant, target, network.made.weights)
    return Subject(entry.name, entry.half, attack, *truth, partial(open_network, network))


def public() -> Iterator[Subject]:
    """The catalogue's models whose images are at hand."""
    for name, entry in curated().items():
        if entry.dataset in DATASETS:
            bad = name in PLANTED
            attack, label = "badnets all-to-one" if bad else "clean", PLANTED.get(name)
            opened = partial(load_target, name)
            yield Subject(name, "public", attack, bad, False, label, opened().weights_digest or name, opened)


def place(out: Path, name: str, detector: str) -> Path:
    """The file of one result."""
    return out / detector / f"{name.replace('/', '_')}.json"


def configured(detector: str) -> Method:
    """A detector as it is measured here: the scan explains running means as far as it can, for nulls are made of it."""
    return METHODS.get(detector)(**({"thorough": True} if detector == "backdoor.scan" else {}))


def key_of(subject: Subject, detector: str) -> str:
    """What a result depends on."""
    method = configured(detector)
    options = method.model_dump(mode="json")
    return digest_json([subject.weights, detector, method.version, options, SEED])


def measure(subject: Subject, detector: str) -> Result:
    """Run one detector on one network."""
    target = subject.open()
    box = WhiteBox(target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        context = Context(seed=SEED, device=CPU, artefacts=path, shared=path, class_names=target.class_names)
        start = time.process_time()
        finding = configured(detector).run(box, target.splits, context)
        seconds = time.process_time() - start
    statistics = {m.name: m.value for m in finding.metrics if m.name.startswith("strength_") or m.name in SINGLE}
    metrics = {m.name: m for m in finding.metrics}
    several = {name.removeprefix("success_"): m for name, m in metrics.items() if name.startswith("success_")}
    if not several and "trigger_success" in metrics:
        several = {"lead": metrics["trigger_success"]}
    index = metrics.get("anomaly_index")
    return Result(
        key=key_of(subject, detector),
        network=subject.name,
        half=subject.half,
        attack=subject.attack,
        backdoored=subject.backdoored,
        failed_plant=subject.failed_plant,
        target=subject.target,
        detector=detector,
        kind=kind_of(box),
        statistics={name.removeprefix("strength_"): value for name, value in statistics.items() if value is not None},
        labels=top_labels(finding),
        successes={name: m.interval.low for name, m in several.items() if m.interval is not None},
        index=None if index is None else index.value,
        gradients=box.ledger.gradients,
        cpu_seconds=round(seconds, 2),
        level=finding.verdict.level,
    )


def top_labels(finding: Finding) -> dict[str, int]:
    """The most outstanding label by each per-label column that has one."""
    samples = finding.samples
    columns = {n.removeprefix("strength_"): v for n, v in samples.columns.items() if n.startswith("strength_")}
    columns |= {name: samples.columns[name] for name in (*SINGLE, "margin") if name in samples.columns}
    return {name: int(samples.row[np.nanargmax(values)]) for name, values in columns.items()}


def write(result: Result, path: Path) -> None:
    """Write a result so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(result.model_dump_json(indent=1))
    unfinished.replace(path)


def results(out: Path, subjects: Iterable[Subject], detector: str) -> Iterator[Result]:
    """The finished, up-to-date results of one detector."""
    for subject in subjects:
        path = place(out, subject.name, detector)
        if path.exists() and (result := Result.model_validate_json(path.read_text())).key == key_of(subject, detector):
            yield result


def run(out: Path, subjects: list[Subject], detectors: Iterable[str]) -> None:
    """All results that are missing."""
    for detector in detectors:
        done = {result.network for result in results(out, subjects, detector)}
        for subject in subjects:
            if subject.name in done:
                continue
            result = measure(subject, detector)
            write(result, place(out, subject.name, detector))
            print(f"{detector} {result.network}: {result.statistics} {result.cpu_seconds} s", flush=True)


def nulls_of(out: Path, subjects: list[Subject]) -> Nulls:
    """The null of every detector that has results on enough clean networks of the calibration half, and public ones."""
    nulls: Nulls = {}
    weights = {s.name: s.weights for s in subjects if s.half == "public"}
    for detector in DETECTORS:
        clean = [
            CleanModel(
                model=r.network,
                kind=r.kind,
                statistics={n: round(v, 5) for n, v in r.statistics.items()},
                weights=weights.get(r.network, ""),
            )
            for r in results(out, subjects, detector)
            if r.statistics
            and r.half in ("calibration", "null", "public")
            and r.attack == "clean"
            and family(r.network) == r.network
        ]
        if clean:
            nulls[detector] = calibrate(clean, [RUNNING_MEANS, *IN_THE_SCAN.values()])
    return nulls


def with_shared(nulls: Nulls) -> Nulls:
    """The same, with what single detectors found in a network added to what the scan found there."""
    found = {
        (model.model, IN_THE_SCAN[detector]): value
        for detector in IN_THE_SCAN
        for model in nulls.get(detector, [])
        for value in model.statistics.values()
    }
    scanned = [
        model.model_copy(
            update={
                "statistics": model.statistics
                | {name: found[model.model, name] for name in IN_THE_SCAN.values() if (model.model, name) in found}
            }
        )
        for model in nulls.get("backdoor.scan", [])
    ]
    return {**nulls, "backdoor.scan": scanned} if scanned else nulls


def share(flags: list[bool]) -> str:
    """A proportion with its interval, in per cent."""
    if not flags:
        return "-"
    bounds = clopper_pearson(sum(flags), len(flags))
    value = sum(flags) / len(flags)
    return f"{sum(flags)}/{len(flags)} = {100 * value:.0f} % ({100 * bounds.low:.0f}-{100 * bounds.high:.0f})"


def table(out: Path, subjects: list[Subject], half: str, nulls: Nulls) -> Iterator[str]:
    """The lines of the table."""
    for detector in DETECTORS:
        found = [r for r in results(out, subjects, detector) if r.half == half and not r.failed_plant]
        if not found:
            continue
        judged = {r.network: r.judged(nulls) for r in found}
        answers = {r.network: r.level_among(judged[r.network]) for r in found}
        alarms = {name: level in ("elevated", "high") for name, (level, _) in answers.items()}
        right = {r.network: answers[r.network] == ("high", r.target) for r in found}
        families: dict[str, list[Result]] = defaultdict(list)
        for result in found:
            families[result.attack].append(result)
        clean, bad = ([r for r in found if r.backdoored is planted] for planted in (False, True))
        yield f"\n{detector}: {half} half, {len(clean)} clean and {len(bad)} backdoored networks"
        yield f"  clean, high or elevated: {share([alarms[r.network] for r in clean])}"
        if any(r.index is not None for r in found):
            for words, part in (("false", clean), ("true", bad)):
                flags = [(r.index or 0.0) > PAPERS_INDEX for r in part]
                yield f"  {words} positives by the papers' rule (index > {PAPERS_INDEX:g}): {share(flags)}"
        for name, part in (("backdoored", bad), *sorted(families.items())):
            alarmed, named = ([flags[r.network] for r in part] for flags in (alarms, right))
            yield f"    {name}: high or elevated {share(alarmed)}; high with the planted label {share(named)}"
        scores = [
            np.array([max(judged[r.network].z_scores.values(), default=0.0) for r in part]) for part in (bad, clean)
        ]
        if min(map(len, scores)) > 1:
            auc = delong_auc(*scores)
            bounds = auc_bounds(auc)
            yield f"  AUC {auc.value:.3f} ({bounds.low:.3f}-{bounds.high:.3f})"
        seconds, gradients = ([getattr(r, name) for r in found] for name in ("cpu_seconds", "gradients"))
        yield f"  CPU seconds: median {np.median(seconds):.1f}, largest {max(seconds):.1f}; gradients {max(gradients)}"
        for words, part, wrong in (("false alarm", clean, True), ("missed", bad, False)):
            for r in part:
                if alarms[r.network] is wrong:
                    own = judged[r.network]
                    yield f"  {words}: {r.network} p={own.p_value} {places_of(own)} {r.labels} {r.successes}"


def places_of(judged: Judged) -> str:
    """The z_scores of a network's statistics among the clean ones."""
    return " ".join(f"{name} {value:+.1f}" for name, value in judged.z_scores.items())


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "null", "table"))
    parser.add_argument("out", type=Path)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("null", type=Path, nargs="?")
    parser.add_argument(
        "--half", choices=("calibration", "held-out", "null", "unseen", "public"), default="calibration"
    )
    parser.add_argument("--detector", action="append", choices=DETECTORS)
    parser.add_argument("--only", action="append", help="run: networks whose names contain this")
    parser.add_argument("--limit", type=int, help="run: the first so many networks")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    subjects = [*map(of_the_zoo, load_zoo(chosen.zoo)), *public()]
    if chosen.what == "run":
        wanted = [s for s in subjects if s.half == chosen.half]
        if chosen.only:
            wanted = [s for s in wanted if any(text in s.name for text in chosen.only)]
        run(chosen.out, wanted[: chosen.limit], chosen.detector or DETECTORS)
    elif chosen.what == "null":
        if chosen.null is None:
            parser.error("null takes the file to write")
        known = load_nulls(chosen.null) if chosen.null.exists() else {}
        save_nulls(with_shared({**known, **nulls_of(chosen.out, subjects)}), chosen.null)
    else:
        nulls = load_nulls(chosen.null) if chosen.null else nulls_of(chosen.out, subjects)
        print("\n".join(table(chosen.out, subjects, chosen.half, nulls)))


if __name__ == "__main__":
    main()
