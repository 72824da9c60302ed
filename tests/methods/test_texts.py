"""Every method beside a target that reads texts: it works as for images, or says in one sentence why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from assay import audit
from assay.access import Serving
from assay.methods.method import METHODS
from assay.studies import Trial, Workspace, make_method, run_trials
from assay.targets.target import Target
from methods.stealing.texts import service
from methods.test_every_method import SHADOWS

SHADOW_TEXTS = {**SHADOWS, "architecture": "text:bag?width=8&places=512", "batch_size": 32}
THEFT = {"epochs": 1, "up_to": 60}
ROWS: dict[str, dict[str, Any]] = {
    "membership.label_only": {},
    "membership.lira": SHADOW_TEXTS,
    "membership.metrics": {},
    "membership.mlp": {"epochs": 2},
    "membership.pooled": SHADOW_TEXTS,
    "membership.rmia": SHADOW_TEXTS,
    "stealing.basic": THEFT,
    "stealing.best": THEFT,
    "stealing.foundation": THEFT,
    "stealing.mebench": {**THEFT, "checkpoints": [20, 40]},
    "stealing.securitynet": THEFT,
    "stealing.theft": {**THEFT, "strategy": "margin:rounds=2"},
}


@pytest.fixture(scope="module")
def target() -> Target:
    return service()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("texts") / "workspace")


def test_every_method_for_texts_has_a_row() -> None:
    assert sorted(ROWS) == [name for name, kind in METHODS.items() if "text" in kind.modalities]


@pytest.mark.parametrize("name", ROWS)
def test_works_on_texts(name: str, target: Target, workspace: Workspace) -> None:
    trial = Trial(target, make_method(name, None, ROWS[name]), Serving(), 3)
    (outcome,) = run_trials([trial], workspace).outcomes
    assert outcome.status == "done", outcome.reason
    assert outcome.verdict is not None
    assert all(metric.interval is not None or metric.note for metric in outcome.metrics)
    assert not [figure for figure in outcome.figures if figure.kind == "gallery"]
    assert outcome.spent.images > 0


@pytest.mark.parametrize("name", [name for name in METHODS.names() if name not in ROWS])
def test_the_rest_says_why_not(name: str, target: Target) -> None:
    trial = Trial(target, make_method(name), Serving(), 0)
    assert trial.why_not() == "It works on images, and function reads texts."


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"architecture": "tiny-cnn"}, "The architecture tiny-cnn is for images"),
        ({"flip": True}, "The option flip is for images"),
        ({"mirror": True}, "The option mirror is for images"),
    ],
)
def test_shadow_models_of_images_are_refused(
    options: dict[str, Any], says: str, target: Target, workspace: Workspace
) -> None:
    trial = Trial(target, make_method("membership.lira", None, {**SHADOW_TEXTS, **options}), Serving(), 0)
    (outcome,) = run_trials([trial], workspace).outcomes
    assert outcome.status == "failed"
    assert says in outcome.reason


def test_members_of_an_overtrained_target_are_found(workspace: Workspace) -> None:
    """Labels are drawn at random: what the target knows of its members, it knows by heart."""
    from assay.data.images import Subset
    from assay.data.splits import Splits
    from assay.data.text_rows import Texts
    from assay.methods.stealing.surrogates.prepare import prepare
    from assay.training import Recipe, fit

    known = service().splits
    random = torch.Generator().manual_seed(0)
    parts = []
    for part in (known.members, known.non_members):
        assert isinstance(part, Subset)
        assert isinstance(part.source, Texts)
        labels = torch.randint(2, (200,), generator=random).numpy()
        parts.append(Texts([part.source.texts[row] for row in part.rows], labels, part.name, 128))
    module = prepare("text:bag?width=32", num_classes=2, shape=parts[0].shape, seed=0)
    recipe = Recipe(epochs=80, batch_size=32, optimiser="adam", learning_rate=0.03, weight_decay=0.0)
    fit(module, parts[0], torch.from_numpy(parts[0].labels), recipe, seed=0, device=torch.device("cpu"))
    splits = Splits(*parts)
    target = Target.from_module(module, input_shape=parts[0].shape, num_classes=2, splits=splits, modality="text")
    found = audit(target, preset=None, methods=["membership.metrics"], workspace=workspace)
    interval = found.outcomes[0].metric("auc_modified_entropy").interval
    assert interval is not None
    assert interval.low > 0.5


TARGET_FILE = """
name = "mail"
modality = "text"
max_bytes = 64
architecture = "text:bag?width=8&places=64"
weights = "weights.safetensors"
num_classes = 2

[data]
members = "mail_train.csv"
non_members = "mail_test.csv"
auxiliary = "mail_test.csv"
"""


def write_folder(folder: Path) -> Path:
    from safetensors.torch import save_file

    from assay.training import seeded_build

    save_file(seeded_build("text:bag?width=8&places=64", 2, (1, 1, 64), 0).state_dict(), folder / "weights.safetensors")
    for part in ("train", "test"):
        lines = [f'"{part} number {place}, dear",{("spam", "ham")[place % 2]}' for place in range(30)]
        (folder / f"mail_{part}.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    (folder / "mail.toml").write_text(TARGET_FILE)
    return folder / "mail.toml"


def test_a_target_file_of_texts_is_audited_through_the_same_door(tmp_path: Path) -> None:
    found = audit(str(write_folder(tmp_path)), workspace=tmp_path / "w", device="cpu")
    states = {outcome.method.name: outcome.status for outcome in found.outcomes}
    assert states["membership.metrics"] == states["stealing.basic"] == "done"
    assert states["evasion.autoattack"] == "skipped"
    assert found.outcomes[0].target.class_names == ("ham", "spam")
    assert found.write(tmp_path / "report").is_file()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('modality = "text"\n', "", "max_bytes belongs to texts"),
        ("max_bytes = 64", "input_shape = [1, 1, 64]", "neither input_shape nor preprocessing"),
        ("text:bag?width=8&places=64", "small-cnn", "needs an architecture of text:"),
        ("mail_train.csv", "digits", "digits holds images, and the target reads texts"),
        ("width=8", "width=9", "does not fit the architecture"),
    ],
)
def test_mistakes_in_a_target_file_are_told(old: str, new: str, says: str, tmp_path: Path) -> None:
    from assay.base.errors import AssayError
    from assay.targets.reference import load_target

    path = write_folder(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(AssayError, match=says):
        load_target(str(path))


def test_texts_are_refused_by_a_target_of_images() -> None:
    from assay.base.errors import DataError
    from assay.targets.reference import load_target

    with pytest.raises(DataError, match="opinions holds texts, and the target reads images"):
        load_target("starter/digits-cnn", data="opinions")
