from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.targets.architectures import ARCHITECTURES
from assay.training import shadow
from assay.training.recipe import Recipe
from assay.training.shadow import MIRRORED, PLAIN, Query, ShadowPlan, ask_moved, assign, train_shadows

CPU = torch.device("cpu")


@given(models=st.integers(2, 9), count=st.integers(1, 50), seed=st.integers(0, 2**31))
def test_every_image_is_in_exactly_half_of_the_models(models: int, count: int, seed: int) -> None:
    inside = assign(models, count, seed)
    assert inside.shape == (models, count)
    assert (inside.sum(axis=0) == models // 2).all()
    assert (inside == assign(models, count, seed)).all()


def test_assignments_of_two_images_are_independent() -> None:
    inside = assign(16, 4000, 1).astype(float)
    together = (inside[:, :2000] * inside[:, 2000:]).mean()
    assert abs(together - 0.25) < 0.01


def test_one_model_cannot_be_halved() -> None:
    with pytest.raises(DataError, match="at least 2"):
        assign(1, 10, 0)


def test_moved_images() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4) / 12
    assert torch.equal(ask_moved(image, PLAIN), image)
    assert torch.equal(ask_moved(image, MIRRORED), image.flip(-1))
    moved = ask_moved(image, Query(down=1, right=-1))
    assert torch.equal(moved[0, 0, 1:, :-1], image[0, 0, :-1, 1:])
    assert (moved[0, 0, 0] == 0).all()
    assert (moved[0, 0, :, -1] == 0).all()


class Interrupted(Exception):
    pass


@pytest.fixture
def population() -> ArrayImages:
    random = np.random.default_rng(0)
    return ArrayImages(random.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), random.integers(0, 3, 40), "random")


PLAN = ShadowPlan(models=4, architecture="tiny-shadow-test", recipe=Recipe(epochs=3, batch_size=8, learning_rate=0.01))


@pytest.fixture(scope="module", autouse=True)
def tiny() -> None:
    ARCHITECTURES.add("tiny-shadow-test")(
        lambda classes, shape: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), classes))
    )


def test_an_interrupted_run_trains_only_what_is_missing(
    population: ArrayImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = train_shadows(population, 3, PLAN, tmp_path / "calm", device=CPU)
    trained: list[str] = []
    fit = shadow.fit

    def counted(*arguments: object, label: str, **more: object) -> object:
        trained.append(label)
        if len(trained) == 3:
            raise Interrupted
        return fit(*arguments, label=label, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(shadow, "fit", counted)
    with pytest.raises(Interrupted):
        train_shadows(population, 3, PLAN, tmp_path / "torn", device=CPU)
    resumed = train_shadows(population, 3, PLAN, tmp_path / "torn", device=CPU)
    assert trained == [f"shadow model {n} of 4" for n in (1, 2, 3, 3, 4)]
    assert (resumed.inside == calm.inside).all()
    assert (resumed.logits == calm.logits).all()
    assert resumed.logits.shape == (4, 2, 40, 3)
    assert sorted(f.name for f in (tmp_path / "torn").iterdir()) == [
        *(f"logits-00{n}.npy" for n in range(4)),
        "plan.json",
    ]


def test_shadow_models_answer_better_about_their_own_half(population: ArrayImages, tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"recipe": Recipe(epochs=60, batch_size=8, learning_rate=0.1, weight_decay=0.0)})
    inside, logits = train_shadows(population, 3, plan, tmp_path / "s", device=CPU)
    correct = logits[:, 0].argmax(-1) == population.labels
    assert correct[inside].mean() > 0.95
    assert correct[~inside].mean() < 0.6


def test_a_folder_of_another_plan_is_refused(population: ArrayImages, tmp_path: Path) -> None:
    train_shadows(population, 3, PLAN, tmp_path / "s", device=CPU)
    with pytest.raises(DataError, match="another plan"):
        train_shadows(population, 3, PLAN.model_copy(update={"seed": 1}), tmp_path / "s", device=CPU)
