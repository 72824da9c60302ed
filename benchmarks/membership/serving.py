"""Attacks with shadow models behind response policies, by an attacker who knows the serving and by one who does not.

    python -m benchmarks.membership.serving

The digits of scikit-learn with 30 % of the labels replaced at random; half of them in the training set of a small
network, 16 shadow models of its kind. The naive attacker compares what the service answers with what his shadow models
say themselves; the serving-aware one is `membership.lira` and `membership.rmia` as they are. Prints, for each policy
and attack, the AUC, the false- and true-positive rates at the threshold that shadow models give for 1 %, each with its
95 % interval, and the verdict. About a minute of one core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import assay
from assay.access import Oracle, PosteriorStore, Serving
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.finding import Finding, Metric
from assay.methods.membership.lira_attack import Lira
from assay.methods.membership.rmia_attack import Rmia
from assay.methods.membership.shadow_attack import ShadowAttack, Shadowed
from assay.methods.method import Context
from assay.targets.target import Target
from assay.training.engine import fit, seeded_build

NOISE = 0.3
SEED = 0
OPTIONS: dict[str, Any] = {"models": 16, "architecture": "digits-mlp", "epochs": 60, "batch_size": 32}
ATTACKS: tuple[ShadowAttack, ...] = (Lira(weight_decay=0.0, **OPTIONS), Rmia(weight_decay=0.0, **OPTIONS))
SERVINGS = {
    "none": Serving(),
    "temperature=2": Serving(policies=("temperature=2",)),
    "temperature=0.5": Serving(policies=("temperature=0.5",)),
    "rounding=2": Serving(policies=("rounding=2",)),
    "rounding=1": Serving(policies=("rounding=1",)),
    "levels": Serving(policies=("levels",)),
    "reverse-sigmoid": Serving(policies=("reverse-sigmoid",)),
    "noise=0.05": Serving(policies=("noise=0.05",)),
    "adaptive-misinformation": Serving(policies=("adaptive-misinformation",)),
    "mad": Serving(policies=("mad",)),
    "top 3": Serving(output="top-k", top_k=3),
    "labels": Serving(output="label"),
}


class Row(NamedTuple):
    """One attack behind one serving."""

    serving: str
    attack: str
    aware: bool
    finding: Finding


def noisy_digits(seed: int = SEED, noise: float = NOISE) -> Splits:
    """Half of the digits as members, half as non-members, a share ``noise`` of all labels drawn anew."""
    digits = assay.load_dataset("digits")
    assert digits.train is not None
    assert digits.test is not None
    generator = np.random.default_rng(seed)
    images = np.concatenate([part.take(np.arange(len(part))).numpy() for part in (digits.train, digits.test)])
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    replaced = generator.random(len(labels)) < noise
    labels = np.where(replaced, generator.integers(0, 10, len(labels)), labels)
    order = generator.permutation(len(labels))
    half = len(labels) // 2
    parts = ((order[:half], "members"), (order[half : 2 * half], "non-members"))
    return Splits(*(ArrayImages(images[rows], labels[rows], name) for rows, name in parts))


def trained(splits: Splits, seed: int = SEED) -> Target:
    """A network of the shadow models' kind, trained on the members."""
    assert splits.members is not None
    module = seeded_build("digits-mlp", 10, (1, 8, 8), 1000 + seed)
    labels = torch.from_numpy(splits.members.labels)
    fit(module, splits.members, labels, ATTACKS[0].plan(0).recipe, seed=1000 + seed, device=torch.device("cpu"))
    return Target.from_module(module, input_shape=(1, 8, 8), num_classes=10, splits=splits, name="noisy digits")


def rows(folder: Path, seed: int = SEED) -> Iterator[Row]:
    """Every attack behind every serving, naive and aware."""
    splits = noisy_digits(seed)
    target = trained(splits, seed)
    context = Context(seed=seed, device=torch.device("cpu"), artefacts=folder, shared=folder)
    for attack in ATTACKS:
        plain = attack.shadow(_oracle(target, Serving(), folder), splits, context)
        for name, serving in SERVINGS.items():
            known = attack.shadow(_oracle(target, serving, folder), splits, context)
            yield Row(name, attack.name, True, _finding(attack, known, context))
            if name != "none":
                naive = plain._replace(people=known.people, posteriors=_raw(target, serving, folder, splits))
                yield Row(name, attack.name, False, _finding(attack, naive, context))


def _oracle(target: Target, serving: Serving, folder: Path) -> Oracle:
    return Oracle(target, serving, PosteriorStore(folder / "store", target.num_classes))


def _raw(
    target: Target, serving: Serving, folder: Path, splits: Splits
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    oracle = _oracle(target, serving, folder)
    parts = []
    for part in (splits.members, splits.non_members):
        assert part is not None
        answers = oracle.ask_all(part)
        hot = np.eye(target.num_classes, dtype=np.float32)[answers.labels]
        parts.append(hot if answers.posteriors is None else answers.posteriors)
    return np.concatenate(parts)[:, None]


def _finding(attack: ShadowAttack, known: Shadowed, context: Context) -> Finding:
    return attack.account(attack.scored(known, context), context)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| serving | attack | attacker | AUC | FPR promised at 1 % | TPR there | verdict |")
    print("| --- | --- | --- | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder)):
            deciding = next(m for m in row.finding.metrics if m.name in ("auc_lira_online_fixed", "auc_rmia_online"))
            cells = [deciding, *(row.finding.metric(name) for name in ("calibrated_fpr", "calibrated_tpr"))]
            attacker = "aware" if row.aware else "naive"
            print(
                f"| {row.serving} | {row.attack} | {attacker} | {' | '.join(map(_text, cells))} "
                f"| {row.finding.verdict.level} |",
                flush=True,
            )


def _text(metric: Metric) -> str:
    assert metric.interval is not None
    return f"{metric.value:.3f} ({metric.interval.low:.3f} to {metric.interval.high:.3f})"


if __name__ == "__main__":
    main()
