"""What every method owes: one row buys the whole suite."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.access import Serving
from assay.base.digests import canonical_json
from assay.cli import main
from assay.methods.method import METHODS
from assay.reports.gate.check import check as held
from assay.reports.gate.policy import read_policy
from assay.reports.report import assemble
from assay.reports.results import Result
from assay.studies import Outcome, Trial, Workspace, make_method, run_trials
from assay.targets.reference import load_target
from assay.targets.target import Target

SHADOWS = {"models": 4, "architecture": "digits-mlp", "epochs": 2, "max_members": 150, "max_non_members": 150}

ASKING = {"max_images": 10, "max_queries": 20, "surrogate": {"epochs": 2}}

ROWS: dict[str, dict[str, Any]] = {
    "backdoor.channel_noise": {"images": 16, "steps": 4},
    "backdoor.k_arm": {"images": 32, "rounds": 4, "warm_rounds": 4, "finish": 8, "batches": 1, "held_out": 40},
    "backdoor.last_layer": {},
    "backdoor.mm_bd": {"starts": 2, "steps": 6},
    "backdoor.neural_cleanse": {"images": 32, "rounds": 6, "batches": 1, "held_out": 40},
    "backdoor.pixel": {"images": 32, "rounds": 6, "held_out": 40},
    "backdoor.scan": {
        "held_out": 40,
        "patch_steps": 6,
        "overlay_steps": 3,
        "warp_steps": 3,
        "margin_starts": 1,
        "margin_steps": 4,
    },
    "backdoor.neo": {"max_images": 60, "stride": 8},
    "backdoor.scale_up": {},
    "backdoor.strip": {},
    "backdoor.teco": {"max_images": 40},
    "evasion.apgd": {"max_images": 40, "steps": 5},
    "evasion.autoattack": {"max_images": 40},
    "evasion.bases": {"max_images": 10, "max_queries": 20, "surrogates": 3},
    "evasion.ddn": {"max_images": 20, "steps": 30},
    "evasion.deepfool": {"max_images": 20},
    "evasion.fab": {"max_images": 20, "steps": 5, "targets": 2},
    "evasion.fgsm": {"max_images": 60},
    "evasion.fmn": {"max_images": 20, "steps": 30},
    "evasion.gfcs": ASKING,
    "evasion.hop_skip_jump": {"max_images": 10, "max_queries": 40, "directions": 8},
    "evasion.p_rgf": {**ASKING, "directions": 4, "norm_directions": 3},
    "evasion.pgd": {"max_images": 40, "steps": 4},
    "evasion.rays": {"max_images": 10, "max_queries": 40},
    "evasion.rgf": {"max_images": 10, "max_queries": 20, "directions": 4},
    "evasion.simba": {"max_images": 10, "max_queries": 20},
    "evasion.simba_ods": ASKING,
    "evasion.square": {"max_images": 10, "max_queries": 20},
    "evasion.surfree": {"max_images": 10, "max_queries": 40},
    "evasion.transfer": {},
    "evasion.transfer_momentum": {"max_images": 40, "steps": 3, "surrogate": {"epochs": 2}},
    "membership.augmentation": {"max_members": 100, "max_non_members": 100},
    "membership.boundary": {"max_members": 20, "max_non_members": 20, "queries_per_sample": 40, "directions": 8},
    "membership.label_only": {},
    "membership.lira": SHADOWS,
    "membership.metrics": {},
    "membership.mlp": {},
    "membership.pooled": SHADOWS,
    "membership.quantile": {"epochs": 2, "max_members": 150, "max_non_members": 150},
    "membership.rmia": SHADOWS,
    "siblings.leakage": {"siblings": ["starter/digits-cnn-int8"], "max_samples": 100},
    "siblings.risk": {
        "sibling": "starter/digits-cnn-int8",
        "max_images": 6,
        "max_queries": 60,
        "surrogate": {"epochs": 2},
    },
    "siblings.similarity": {"max_images": 60},
    "siblings.unpair": {
        "weights": [10.0],
        "train_images": 100,
        "max_images": 5,
        "max_queries": 40,
        "test_images": 100,
        "refit_questions": 50,
        "refit_epochs": 1,
        "unpairing": {"epochs": 1},
        "surrogate": {"epochs": 2},
    },
    "stealing.basic": {"epochs": 2},
    "stealing.best": {"epochs": 2},
    "stealing.defences": {"epochs": 1, "policies": ("rounding=1", "adaptive-misinformation"), "test_images": 200},
    "stealing.foundation": {"epochs": 2, "adversarial_images": 50},
    "stealing.mebench": {"epochs": 2, "checkpoints": [100, 200], "adversarial_images": 50},
    "stealing.ownership": {
        "samples": 40,
        "directions": 1,
        "steps": 10,
        "architecture": "tiny-cnn",
        "surrogate": {"epochs": 2, "architecture": "tiny-cnn"},
    },
    "stealing.securitynet": {"epochs": 1, "architecture": "tiny-cnn"},
    "stealing.theft": {"epochs": 2, "strategy": "margin:rounds=2"},
}


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target("starter/digits-cnn")


@pytest.fixture(scope="module")
def other() -> Target:
    return load_target("starter/digits-mlp")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("methods") / "workspace")


def run(name: str, target: Target, workspace: Workspace, **changes: Any) -> Outcome:
    trial = Trial(target, make_method(name, "quick", ROWS[name]), changes.get("serving", Serving()), seed=3)
    return run_trials([trial], workspace).outcomes[0]


OWN = [name for name, kind in METHODS.items() if kind.__module__.startswith("assay.")]
"""Not those that other tests register."""


def test_every_method_has_a_row() -> None:
    assert sorted(ROWS) == OWN


@pytest.mark.parametrize("name", OWN)
def test_declares_itself(name: str) -> None:
    kind = METHODS.get(name)
    assert name.startswith(kind.family)
    assert kind.__doc__
    for text in (kind.about.title, kind.about.summary, kind.about.threat_model, kind.about.paper):
        assert len(text) > 3
    assert kind.about.atlas
    assert all(field.description for field in kind.model_fields.values())
    for preset, changes in kind.presets.items():
        make_method(name, preset)
        assert set(changes) <= set(kind.model_fields)
    canonical_json(make_method(name).model_dump(mode="json"))


@pytest.mark.parametrize("name", ROWS)
def test_finds_something_that_holds(name: str, target: Target, workspace: Workspace) -> None:
    outcome = run(name, target, workspace)
    assert outcome.status == "done", outcome.reason
    assert outcome.verdict is not None
    assert outcome.metric(outcome.verdict.metric)
    names = [metric.name for metric in outcome.metrics]
    assert len(set(names)) == len(names)
    for metric in outcome.metrics:
        assert metric.interval is not None or metric.note, f"{metric.name} has neither interval nor note"
        if metric.value is not None:
            assert math.isfinite(metric.value)
            if metric.interval is not None:
                assert metric.interval.low - 1e-9 <= metric.value <= metric.interval.high + 1e-9, metric.name
    folder = workspace.artefacts(outcome.key)
    for figure in outcome.figures:
        if figure.kind == "gallery":
            assert all((folder / file).exists() for row in figure.files for file in row)
            assert all(len(row) == len(figure.columns) for row in figure.files)
            assert len(figure.rows) == len(figure.files)
    assert outcome.spent.images > 0


@pytest.mark.parametrize("name", ROWS)
def test_two_models_are_gated_compared_and_ranked(
    name: str, target: Target, other: Target, workspace: Workspace, tmp_path: Path
) -> None:
    first, second = (run(name, each, workspace) for each in (target, other))
    assert second.status == "done", second.reason
    assert first.verdict is not None
    metric = first.verdict.metric
    rule = f'[[rule]]\nmethod = "{name}"\nmetric = "{metric}"\nmax_increase = 1e9\n'
    (tmp_path / "policy.toml").write_text(rule)
    alone = Workspace(tmp_path / "w")  # the other holds what other methods build on, too
    for each in (first, second):
        shutil.copy(workspace.path / "trials" / f"{each.key}.json", alone.path / "trials")
        shutil.copytree(workspace.artefacts(each.key), alone.artefacts(each.key))
    artefacts = alone.path / "artefacts"
    new, baseline = (Result(assemble([each]), artefacts) for each in (first, second))
    (check,) = held(read_policy(tmp_path / "policy.toml"), [new], [baseline]).checks
    numbers = [next((m.value for m in each.metrics if m.name == metric), None) for each in (first, second)]
    assert (
        check.status == "passed"
        or (None in numbers and "no value" in check.reason)
        or (first.metric(metric).scale is None and "no interval" in check.reason)
    ), check.reason
    tables = {}
    for command in ("compare", "ranks"):
        out = tmp_path / f"{command}.json"
        code = main(["analysis", command, str(alone.path), "--method", name, "--score", metric, "--out", str(out)])
        assert code == (2 if None in numbers else 0)
        tables |= {t["title"]: t["rows"] for t in json.loads(out.read_text())["tables"]} if code == 0 else {}
    if tables:
        (pair,) = tables["Pairs"]
        assert pair["p"] is None or 0 <= pair["p"] <= 1
        names = [first.target.name, second.target.name]
        assert {one["name"] for one in tables["Ranks"]} == {pair["first"], pair["second"]} == set(names)
        scale, values = first.metric(metric).scale, {n: v for n, v in zip(names, numbers, strict=True) if v is not None}
        if scale and len(set(values.values())) == 2:
            riskiest = (max if scale.risk == "up" else min)(values, key=lambda one: values[one])
            assert tables["Ranks"][0]["name"] == riskiest


@pytest.mark.parametrize("name", ROWS)
def test_same_seed_same_numbers(name: str, target: Target, tmp_path: Path) -> None:
    once, again = (run(name, target, Workspace(tmp_path / place)) for place in ("once", "again"))
    assert again.metrics == once.metrics


@pytest.mark.parametrize("name", [n for n in ROWS if METHODS.get(n).needs != "white-box"])
def test_black_box_methods_see_only_answers(name: str, target: Target, tmp_path: Path) -> None:
    def answer(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import torch

        return target.logits(torch.from_numpy(images)).softmax(1).numpy()

    closed = Target.from_function(
        answer, digest="cnn", input_shape=target.input_shape, num_classes=target.num_classes, splits=target.splits
    )
    outcome = run(name, closed, Workspace(tmp_path / "w"))
    assert outcome.status == "done", outcome.reason


@pytest.mark.parametrize("name", [n for n in ROWS if METHODS.get(n).needs == "label"])
def test_label_methods_work_with_labels_only(name: str, target: Target, tmp_path: Path) -> None:
    outcome = run(name, target, Workspace(tmp_path / "w"), serving=Serving(output="label"))
    assert outcome.status == "done", outcome.reason


@pytest.mark.parametrize("name", ROWS)
def test_a_budget_is_never_exceeded(name: str, target: Target, tmp_path: Path) -> None:
    outcome = run(name, target, Workspace(tmp_path / "w"), serving=Serving(budget=40))
    if METHODS.get(name).needs != "white-box":
        assert outcome.status == "done" or "budget" in outcome.reason
        assert outcome.spent.images <= 40
