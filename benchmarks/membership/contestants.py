"""What `membership_peers.py` runs, each in a process of its own: every contestant's code on the same arrays.

    python -m benchmarks.membership.contestants NAME ARRAYS RESULT REPEATS PEERS

A contestant is given the arrays and hands back what is timed; imports and the setting up of objects come before.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from benchmarks.membership import published

Arrays = dict[str, np.ndarray]
Work = Callable[[], Arrays]
EPSILON = 1e-6
"""What LeakPro adds to p(x)."""
SIGNALS = ("confidence", "entropy", "modified_entropy")
CLASSES = 10


def ours_lira(a: Arrays, peers: Path) -> Work:
    """LiRA online, one or several queries."""
    from assay.methods.membership.lira import lira_online

    return lambda: {"scores": lira_online(a["target"], a["shadows"], a["inside"])}


def leakpro_lira(a: Arrays, peers: Path) -> Work:
    """LeakPro's LiRA online with the variance of each example; its metrics and report are left out."""
    attack = published.leakpro(peers, "LiRA")
    attack.shadow_models_logits, attack.target_logits = a["shadows"], a["target"]
    attack.out_indices = ~a["inside"]
    attack.online, attack.num_shadow_models, attack.var_calculation = True, len(a["inside"]), "carlini"
    attack.fix_var_threshold = 32

    def work() -> Arrays:
        attack.run_attack()
        return {"scores": _leakpro_scores(attack)}

    return _judging_everybody(attack, len(a["target"]), work)


def authors_lira(a: Arrays, peers: Path) -> Work:
    """LiRA online by its authors."""
    module = published.lira(peers)
    truth = np.zeros((1, len(a["target"])), bool)
    return lambda: {"scores": -np.array(module.generate_ours(a["inside"], a["shadows"], truth, a["target"][None])[0])}


def ours_rmia(a: Arrays, peers: Path) -> Work:
    """RMIA offline from logits, with LeakPro's epsilon."""
    from assay.methods.membership.logits import softmax_confidence
    from assay.methods.membership.rmia import Likelihood, offline, rmia

    def work() -> Arrays:
        target = softmax_confidence(a["target"], a["labels"], temperature=2.0)
        shadows = softmax_confidence(a["shadows"], a["labels"], temperature=2.0)
        x = offline(target, shadows, a["inside"], a=0.33)
        z = Likelihood(a["z_given"], a["z_marginal"] + EPSILON)
        return {"scores": rmia(Likelihood(x.given_target, x.marginal + EPSILON), z, gamma=2.0)}

    return work


def leakpro_rmia(a: Arrays, peers: Path) -> Work:
    """LeakPro's RMIA offline from logits; its metrics and report are left out."""
    attack = published.leakpro(peers, "RMIA")
    attack.ground_truth_indices, attack.logits_theta = a["labels"], a["target"]
    attack.logits_shadow_models, attack.out_indices = list(a["shadows"]), ~a["inside"]
    attack.ratio_z = np.atleast_2d(a["z_given"] / (a["z_marginal"] + EPSILON))
    attack.online, attack.gamma, attack.offline_a = False, 2.0, 0.33
    attack.temperature, attack.epsilon = 2.0, EPSILON

    def work() -> Arrays:
        attack._run_attack()
        return {"scores": _leakpro_scores(attack)}

    return _judging_everybody(attack, len(a["labels"]), work)


def ours_tuned_rmia(a: Arrays, peers: Path) -> Work:
    """RMIA offline with a tuned on the target's pair; gamma 1, as in privacy_meter."""
    from assay.methods.membership.rmia import offline, rmia, tuned_a

    references = (a["signals"].shape[1] - 2) // 2

    def world(model: int, count: int) -> tuple[Any, Any]:
        chosen = slice(2, 2 + 2 * count)
        x = (a["signals"][:, model], a["signals"][:, chosen].T, a["inside"][:, chosen].T)
        return x, (a["population"][:, model], *_highest(a["population"][:, chosen], count))

    def work() -> Arrays:
        best = tuned_a(*world(1, 1), a["inside"][:, 1], gamma=1.0)
        x, z = world(0, references)
        return {"a": np.array(best), "scores": rmia(offline(*x, best), offline(*z, best), gamma=1.0)}

    return work


def meter_tuned_rmia(a: Arrays, peers: Path) -> Work:
    """The same by RMIA's authors."""
    module = published.meter(peers)
    arrays = a["signals"], a["population"], a["inside"]
    references = (a["signals"].shape[1] - 2) // 2

    def work() -> Arrays:
        best, *_ = module.tune_offline_a(0, *arrays, MagicMock())
        return {"a": np.array(best), "scores": module.run_rmia(0, *arrays, references, best)}

    return work


def ours_thresholds(a: Arrays, peers: Path) -> Work:
    """Correctness, and thresholds for each class on three signals: thresholds and accuracies."""
    from assay.methods.membership.signals import SIGNALS as FUNCTIONS
    from assay.methods.membership.thresholds import Labelled, called_members, class_thresholds

    def work() -> Arrays:
        parts = [(a[f"posteriors_{i}"], a[f"labels_{i}"]) for i in range(4)]
        right = [FUNCTIONS["correctness"](*part).mean() for part in parts[2:]]
        found, accuracies = [], [0.5 * (right[0] + 1 - right[1])]
        for name in SIGNALS:
            inside, outside, members, non_members = (Labelled(FUNCTIONS[name](*part), part[1]) for part in parts)
            found.append(class_thresholds(inside, outside, CLASSES))
            called = [called_members(part, found[-1]).mean() for part in (members, non_members)]
            accuracies.append(0.5 * (called[0] + 1 - called[1]))
        return {"thresholds": np.array(found), "accuracies": np.round(accuracies, 3)}

    return work


def song_mittal_thresholds(a: Arrays, peers: Path) -> Work:
    """The same by Song and Mittal, who print accuracies of three digits."""
    module = published.song_mittal(peers)

    def work() -> Arrays:
        them = module.black_box_benchmarks(*((a[f"posteriors_{i}"], a[f"labels_{i}"]) for i in range(4)), CLASSES)
        choose, found = them._thre_setting, []
        them._thre_setting = lambda *values: found.append(choose(*values)) or found[-1]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            them._mem_inf_benchmarks()
        accuracies = re.findall(r"attack acc is ([\d.]+)", printed.getvalue())
        return {"thresholds": np.reshape(found, (3, CLASSES)), "accuracies": np.array(accuracies, float)}

    return work


def ours_mlp(seen: str, **recipe: int) -> Callable[[Arrays, Path], Work]:
    """The learned attack of `membership.mlp` on the features of that name; keywords change its recipe."""

    def prepare(a: Arrays, peers: Path) -> Work:
        import torch

        from assay.access import Answers
        from assay.methods.membership.attack import Part
        from assay.methods.membership.mlp_attack import RECIPE, features, learned_scores

        def part(number: int) -> np.ndarray:
            posteriors, labels = a[f"posteriors_{number}"], a[f"labels_{number}"]
            answers = Answers(posteriors.argmax(axis=1), posteriors)
            return features(Part(np.arange(len(labels)), labels, answers), seen)

        def work() -> Arrays:
            scores = learned_scores(
                (part(0), part(1)), (part(2), part(3)), recipe=RECIPE.model_copy(update=recipe),
                seed=int(a["seed"]), device=torch.device("cpu"),
            )  # fmt: skip
            return {"auc": _auc(*scores)}

        return work

    return prepare


def art_mlp(with_labels: bool) -> Callable[[Arrays, Path], Work]:
    """ART's learned attack with its defaults: on posteriors and labels as it documents, or on sorted posteriors."""

    def prepare(a: Arrays, peers: Path) -> Work:
        import torch
        from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
        from art.estimators.classification import BlackBoxClassifier

        target = BlackBoxClassifier(lambda rows: rows, input_shape=(CLASSES,), nb_classes=CLASSES)
        posteriors = [
            a[f"posteriors_{i}"] if with_labels else -np.sort(-a[f"posteriors_{i}"], axis=1) for i in range(4)
        ]
        labels = [a[f"labels_{i}"] if with_labels else None for i in range(4)]

        def work() -> Arrays:
            np.random.seed(int(a["seed"]))
            torch.manual_seed(int(a["seed"]))
            attack = MembershipInferenceBlackBox(target, attack_model_type="nn")
            attack.fit(pred=posteriors[0], y=labels[0], test_pred=posteriors[1], test_y=labels[1])
            scores = [attack.infer(None, labels[i], pred=posteriors[i], probabilities=True).ravel() for i in (2, 3)]
            return {"auc": _auc(*scores)}

        return work

    return prepare


CONTESTANTS: dict[str, Callable[[Arrays, Path], Work]] = {
    "ours lira": ours_lira,
    "LeakPro lira": leakpro_lira,
    "authors lira": authors_lira,
    "ours rmia": ours_rmia,
    "LeakPro rmia": leakpro_rmia,
    "ours tuned rmia": ours_tuned_rmia,
    "privacy_meter tuned rmia": meter_tuned_rmia,
    "ours thresholds": ours_thresholds,
    "authors thresholds": song_mittal_thresholds,
    "ours mlp": ours_mlp("mlp_full"),
    "ours mlp, batches of 100": ours_mlp("mlp_full", batch_size=100),
    "ours mlp, batches of 100, 100 epochs": ours_mlp("mlp_full", batch_size=100, epochs=100),
    "ART mlp": art_mlp(with_labels=False),
    "ours mlp with correctness": ours_mlp("mlp_full_and_correctness"),
    "ART mlp with labels": art_mlp(with_labels=True),
}


def _judging_everybody(attack: Any, examples: int, work: Work) -> Work:
    attack.audit_dataset = {"in_members": np.arange(examples), "out_members": np.arange(0)}
    return work


def _leakpro_scores(attack: Any) -> np.ndarray:
    return np.asarray(attack.in_member_signals[:, 0])


def _highest(signals: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What privacy_meter takes of models that were all not trained on the population: the highest half."""
    return np.sort(signals, axis=1)[:, -count:].T, np.zeros((count, len(signals)), bool)


def _auc(members: np.ndarray, non_members: np.ndarray) -> np.ndarray:
    """The share of pairs in the right order, from float64 ranks; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([members, non_members]))[: len(members)]
    return np.array((ranks.sum() - len(members) * (len(members) + 1) / 2) / len(members) / len(non_members))


def memory(field: str) -> int:
    """Bytes in memory now (``VmRSS``), or at most since the last reset (``VmHWM``), as Linux counts them."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Count the most from now on, where Linux allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main(name: str, arrays: Path, result: Path, repeats: int, peers: Path) -> None:
    """Run one contestant; print CPU seconds of each run, and the first run's peak memory above the inputs."""
    work = CONTESTANTS[name]({file.stem: np.load(file) for file in arrays.glob("*.npy")}, peers)
    forget_peak()
    before, seconds, peak = memory("VmRSS"), [], 0
    for run in range(repeats):
        start = time.process_time()
        found = work()
        seconds.append(time.process_time() - start)
        if not run:
            peak = memory("VmHWM")
            np.savez(result, **found)
    print(json.dumps({"seconds": seconds, "megabytes": (peak - before) / 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
