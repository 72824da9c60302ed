"""Other models beside the target: found, made, checked, and part of a trial's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from assay.access import Published
from assay.compression.compression import Workshop, compress, parse
from assay.compression.storage import Sibling, load_sibling, save_sibling
from assay.data.splits import Splits
from assay.methods.finding import Finding
from assay.methods.method import Context
from assay.studies import Trial, Workspace, run_trials
from assay.targets.reference import load_target
from assay.targets.target import Target
from studies.doubles import Count, images, splits, target, trial

torch.set_num_threads(1)


class Beside(Count):
    """Counts, with a sibling in hand."""

    sibling: str = "int8"
    seen: ClassVar[list[Published]] = []

    def companions(self) -> dict[str, str]:
        return {"sibling": self.sibling}

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        self.seen.append(context.companions["sibling"])
        return super().run(access, data, context)


@pytest.fixture(scope="module")
def digits() -> Target:
    return load_target("starter/digits-cnn")


def test_a_compression_is_made_once_and_handed_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    Beside.seen.clear()
    (outcome,) = run_trials([trial(Beside(sibling="int4"))], workspace).outcomes
    assert outcome.status == "done", outcome.reason
    assert "sibling in hand" in outcome.method.access
    (folder,) = (workspace.path / "shared" / "siblings").iterdir()
    stamp = (folder / "sibling.safetensors").stat().st_mtime_ns
    run_trials([trial(Beside(sibling="int4", scale=2.0))], workspace)
    assert (folder / "sibling.safetensors").stat().st_mtime_ns == stamp
    first, again = Beside.seen
    pixels = torch.rand(5, 1, 4, 4)
    module = target().module
    assert module is not None
    expected = compress(module, parse("int4"), Workshop((1, 4, 4), 3))(pixels)
    for box in (first, again):
        torch.testing.assert_close(box.logits(pixels), expected, rtol=0, atol=0)


def test_the_companion_is_part_of_the_identity(digits: Target) -> None:
    def key(sibling: str, seed: int = 0, of: Target = digits) -> str:
        return Trial(of, Beside(sibling=sibling), trial().serving, seed).key

    keys = [key(name) for name in ("int8", "int4", "starter/digits-cnn-int8", "starter/digits-mlp", "tune=1")]
    assert len(set(keys)) == len(keys)
    assert key("int8") == key("int8")
    fewer = digits.with_splits(digits.splits._replace(members=digits.splits.auxiliary))
    assert key("tune=1") != key("tune=1", of=fewer)


@pytest.mark.parametrize(
    ("sibling", "said"),
    [
        ("starter/digits-cnn", "3 of 1x4x4|10 classes apart, and linear 3"),
        ("no/such-model", "cannot be had: There is no model"),
        ("int8=nothing", "cannot be had"),
        ("somewhere.toml", "cannot be had"),
    ],
)
def test_what_cannot_stand_beside_is_skipped_with_a_reason(tmp_path: Path, sibling: str, said: str) -> None:
    (outcome,) = run_trials([trial(Beside(sibling=sibling))], Workspace(tmp_path / "w")).outcomes
    assert outcome.status == "skipped"
    assert any(part in outcome.reason for part in said.split("|")), outcome.reason


def test_other_sizes_are_refused(digits: Target) -> None:
    small = Target.from_module(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 10)), input_shape=(1, 4, 4), num_classes=10
    )
    reason = Trial(
        small.with_splits(Splits(non_members=images(9, 0))), Beside(sibling="starter/digits-cnn"), trial().serving, 0
    ).why_not()
    assert "1x8x8" in reason
    assert "1x4x4" in reason


def test_what_cannot_be_differentiated_is_refused(tmp_path: Path) -> None:
    closed = Target.from_function(
        lambda x: np.full((len(x), 3), 1 / 3), digest="v1", input_shape=(1, 4, 4), num_classes=3, splits=splits()
    )
    assert "shows none" in trial(Beside(), target=closed).why_not()


def test_a_saved_sibling_is_loaded_from_its_folder(digits: Target, tmp_path: Path) -> None:
    assert digits.module is not None
    steps, workshop = parse("prune=0.4+int8+activations"), Workshop((1, 8, 8), 10, digits.splits.members)
    made = compress(digits.module, steps, workshop)
    described = Sibling.of(steps, workshop, digits.preprocessing, "digits-cnn")
    save_sibling(made, described, tmp_path / "sibling")
    alone, said = load_sibling(tmp_path / "sibling")
    assert said == described
    pixels = torch.rand(6, 1, 8, 8)
    torch.testing.assert_close(alone(pixels), made(pixels), rtol=0, atol=0)
    named = Trial(digits, Beside(sibling=str(tmp_path / "sibling")), trial().serving, 0)
    assert named.why_not() == ""
    (tmp_path / "sibling" / "sibling.safetensors").write_bytes(b"damaged")
    broken = Trial(digits, Beside(sibling=str(tmp_path / "sibling")), trial().serving, 0)
    assert "cannot be loaded" in broken.why_not()
    assert broken.key != named.key
