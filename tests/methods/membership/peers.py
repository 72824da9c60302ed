"""Published implementations and ours on the same inputs.

A folder of their checkouts (ASSAY_PEERS) holds ``membership-inference-evaluation`` (inspire-group), ``privacy``
(tensorflow) and ``ml_privacy_meter`` (privacytrustlab, with the research code of commit d3273416 below ``research``).
Run as a program with that folder, this writes ``parity.json``: small inputs, and what the published code makes of them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import numpy as np
import torch

from assay.methods.membership.lira import lira_carlini_code, lira_online
from assay.methods.membership.logits import hinge, scaled_logit, soft_margin_taylor, softmax_confidence
from assay.methods.membership.rmia import offline, rmia, tuned_a
from assay.methods.membership.signals import SIGNALS
from assay.methods.membership.thresholds import Labelled, class_thresholds, risk_scores

STORED = Path(__file__).with_name("parity.json")
FILES = {
    "song_mittal": "membership-inference-evaluation/membership_inference_attacks.py",
    "risk": "membership-inference-evaluation/privacy_risk_score_utils.py",
    "lira": "privacy/research/mi_lira_2021/plot.py",
    "tf": "privacy/tensorflow_privacy/privacy/privacy_tests/membership_inference_attack/advanced_mia.py",
    "meter": "ml_privacy_meter/attacks.py",
    "rmia": "ml_privacy_meter/research/2024_rmia/signals.py",
}

Inputs = dict[str, Any]
Peers = dict[str, ModuleType]


def load(folder: Path) -> Peers:
    """The published modules. Plotting and TensorFlow, which the numbers do not depend on, are left out."""
    plot = MagicMock()
    plot.hist = lambda values, bins, weights, **_: (*np.histogram(values, bins, weights=weights), None)
    absent = {
        "matplotlib": MagicMock(pyplot=plot),
        "matplotlib.pyplot": plot,
        **dict.fromkeys(
            ["tensorflow_privacy", "tensorflow_privacy.privacy", "tensorflow_privacy.privacy.privacy_tests",
             "tensorflow_privacy.privacy.privacy_tests.utils"], MagicMock(),
        ),
    }  # fmt: skip
    hidden = {name: sys.modules.get(name) for name in absent}
    sys.modules.update(absent)
    modules = {}
    for name, file in FILES.items():
        spec = importlib.util.spec_from_file_location(f"peer_{name}", folder / file)
        assert spec is not None
        assert spec.loader is not None
        modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    for name, module in hidden.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module
    return modules


class Case(NamedTuple):
    """Inputs of some size, what the published code makes of them, and what ours does."""

    make: Callable[[np.random.Generator, int], Inputs]
    published: Callable[[Peers, Inputs], Any]
    ours: Callable[[Inputs], Any]


def answers(random: np.random.Generator, size: int) -> Inputs:
    def some() -> tuple[Any, Any]:
        logits = np.round(random.normal(0, 2, (4 * size, 3)), 2)
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), np.repeat(np.arange(4), size) % 3

    (p, y), (q, z) = some(), some()
    return {"p": p, "y": y, "q": q, "z": z}


def benchmarks(peers: Peers, i: Inputs) -> Any:
    return peers["song_mittal"].black_box_benchmarks((i["p"], i["y"]), (i["q"], i["z"]), (i["p"], i["y"]),
                                                     (i["q"], i["z"]), 3)  # fmt: skip


def published_thresholds(peers: Peers, i: Inputs) -> Any:
    them = benchmarks(peers, i)
    pairs = [
        (them.s_tr_conf, them.s_te_conf),
        (-them.s_tr_entr, -them.s_te_entr),
        (-them.s_tr_m_entr, -them.s_te_m_entr),
    ]
    return [[them._thre_setting(a[i["y"] == c], b[i["z"] == c]) for c in range(3)] for a, b in pairs]


def our_thresholds(i: Inputs) -> Any:
    return [
        class_thresholds(Labelled(SIGNALS[s](i["p"], i["y"]), i["y"]), Labelled(SIGNALS[s](i["q"], i["z"]), i["z"]), 3)
        for s in ("confidence", "entropy", "modified_entropy")
    ]


def risky_values(random: np.random.Generator, size: int) -> Inputs:
    labels = np.repeat(np.arange(3), size)
    return {
        "members": np.round(random.lognormal(-3, 2, 3 * size), 5),
        "others": np.round(random.lognormal(-2, 2, 3 * size), 5),
        "labels": labels,
    }


def published_risk(peers: Peers, i: Inputs) -> Any:
    return peers["risk"].calculate_risk_score(
        i["members"], i["others"], i["labels"], i["labels"], i["others"], i["labels"]
    )


def our_risk(i: Inputs) -> Any:
    members, others = Labelled(i["members"], i["labels"]), Labelled(i["others"], i["labels"])
    return risk_scores(members, others, others, 3)


def shadow_world(random: np.random.Generator, size: int, ragged: bool = False) -> Inputs:
    inside = np.argsort(random.random((8, size)), axis=0) < 4
    scores = np.round(random.normal(0, 2, (8, size, 2)) + inside[..., None], 2)
    keep = 7 if ragged else 8
    return {"scores": scores[:keep], "inside": inside[:keep], "target": np.round(random.normal(0, 3, (size, 2)), 2)}


def ragged_world(random: np.random.Generator, size: int) -> Inputs:
    return shadow_world(random, size, ragged=True)


def published_lira(name: str, fixed: bool) -> Callable[[Peers, Inputs], Any]:
    def run(peers: Peers, i: Inputs) -> Any:
        truth = np.zeros((1, len(i["target"])), bool)
        function = getattr(peers["lira"], name)
        return -np.array(function(i["inside"], i["scores"], truth, i["target"][None], fix_variance=fixed)[0])

    return run


def our_carlini(online: bool, fixed: bool) -> Callable[[Inputs], Any]:
    return lambda i: lira_carlini_code(i["target"], i["scores"], i["inside"], online=online, fixed_variance=fixed)


def published_tf_lira(fixed: bool) -> Callable[[Peers, Inputs], Any]:
    def run(peers: Peers, i: Inputs) -> Any:
        kinds = [
            [i["scores"][which[:, n], n] for n in range(len(i["target"]))] for which in (i["inside"], ~i["inside"])
        ]
        return -peers["tf"].compute_score_lira(i["target"], *kinds, fix_variance=fixed)

    return run


def some_logits(random: np.random.Generator, size: int) -> Inputs:
    return {"logits": np.round(random.normal(0, 3, (size, 4)), 2), "labels": np.arange(size) % 4}


def tf_statistic(option: str) -> Callable[[Peers, Inputs], Any]:
    return lambda peers, i: peers["tf"].calculate_statistic(i["logits"].copy(), i["labels"], option=option)


def rmia_signal(metric: str, **extra: Any) -> Callable[[Peers, Inputs], Any]:
    def run(peers: Peers, i: Inputs) -> Any:
        logits, labels = torch.from_numpy(i["logits"]), torch.from_numpy(i["labels"])
        return peers["rmia"].convert_signals(logits, labels, metric, temp=2.0, extra=extra).numpy().ravel()

    return run


def population(random: np.random.Generator, size: int) -> Inputs:
    """Models 0 and 1 are trained on complements, and so are 2 and 3, 4 and 5."""
    half = random.random((size, 3)) < 0.5
    inside = np.stack([half, ~half], axis=2).reshape(size, 6)
    ease = random.random((size, 1))
    x = np.round(np.clip(ease + 0.2 * inside + 0.1 * random.normal(size=(size, 6)), 0.01, 1), 3)
    z = np.round(np.clip(random.random((size, 1)) + 0.1 * random.normal(size=(size, 6)), 0.01, 1), 3)
    return {"x": x, "z": z, "inside": inside}


def published_rmia(peers: Peers, i: Inputs) -> Any:
    return peers["meter"].run_rmia(0, i["x"], i["z"], i["inside"], 2, 0.3)


def highest(signals: Any, count: int) -> tuple[Any, Any]:
    """What the library takes of the population: of models that all are OUT, only the highest half."""
    return np.sort(signals, axis=1)[:, -count:].T, np.zeros((count, len(signals)), bool)


def our_rmia(i: Inputs) -> Any:
    x = offline(i["x"][:, 0], i["x"][:, 2:].T, i["inside"][:, 2:].T, 0.3)
    return rmia(x, offline(i["z"][:, 0], *highest(i["z"][:, 2:], 2), 0.3), gamma=1.0)


def published_a(peers: Peers, i: Inputs) -> Any:
    return [peers["meter"].tune_offline_a(0, i["x"], i["z"], i["inside"], MagicMock())[0]]


def our_a(i: Inputs) -> Any:
    """The library attacks model 1, with the one of models 2 and 3 that is OUT."""
    x = (i["x"][:, 1], i["x"][:, 2:4].T, i["inside"][:, 2:4].T)
    return [tuned_a(x, (i["z"][:, 1], *highest(i["z"][:, 2:4], 1)), i["inside"][:, 1], gamma=1.0)]


CASES = {
    "song_mittal_modified_entropy": Case(
        answers,
        lambda peers, i: -benchmarks(peers, i).s_tr_m_entr,
        lambda i: SIGNALS["modified_entropy"](i["p"], i["y"]),
    ),
    "song_mittal_entropy": Case(
        answers, lambda peers, i: -benchmarks(peers, i).s_tr_entr, lambda i: SIGNALS["entropy"](i["p"], i["y"])
    ),
    "song_mittal_thresholds": Case(answers, published_thresholds, our_thresholds),
    "song_mittal_risk_score": Case(risky_values, published_risk, our_risk),
    **{
        f"lira_{'online' if on else 'offline'}{'_fixed' * fixed}": Case(
            ragged_world,
            published_lira("generate_ours" if on else "generate_ours_offline", fixed),
            our_carlini(on, fixed),
        )
        for on in (True, False)
        for fixed in (True, False)
    },
    **{
        f"tf_lira{'_fixed' * fixed}": Case(
            ragged_world,
            published_tf_lira(fixed),
            lambda i, fixed=fixed: lira_online(i["target"], i["scores"], i["inside"], fixed_variance=fixed),
        )
        for fixed in (True, False)
    },
    "tf_scaled_logit": Case(some_logits, tf_statistic("logit"), lambda i: scaled_logit(i["logits"], i["labels"])),
    "tf_hinge": Case(some_logits, tf_statistic("hinge"), lambda i: hinge(i["logits"], i["labels"])),
    "rmia_softmax": Case(
        some_logits, rmia_signal("softmax"), lambda i: softmax_confidence(i["logits"], i["labels"], temperature=2.0)
    ),
    "rmia_soft_margin_taylor": Case(
        some_logits,
        rmia_signal("taylor-soft-margin", taylor_m=0.6, taylor_n=4),
        lambda i: soft_margin_taylor(i["logits"], i["labels"], order=3, temperature=2.0),
    ),
    "meter_rmia": Case(population, published_rmia, our_rmia),
    "meter_tuned_a": Case(population, published_a, our_a),
}


def plain(value: Any) -> Any:
    return np.asarray(value).tolist()


def restored(inputs: Inputs) -> Inputs:
    return {name: np.array(value) for name, value in inputs.items()}


def main(folder: Path) -> None:
    """Write the stored vectors."""
    peers, stored = load(folder), {}
    for number, (name, case) in enumerate(CASES.items()):
        inputs = case.make(np.random.default_rng(number), 6)
        kept = {key: plain(value) for key, value in inputs.items()}
        stored[name] = {"inputs": kept, "outputs": plain(case.published(peers, restored(kept)))}
    STORED.write_text(json.dumps(stored, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
