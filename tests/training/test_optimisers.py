import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.training.optimisers import LION_BETAS, make_optimiser, rate_at
from assay.training.recipe import Recipe
from oracles.training import lion_step, rates

CPU = torch.device("cpu")
numbers = st.floats(-2, 2, width=32)


@settings(max_examples=30, deadline=None)
@given(
    start=st.lists(numbers, min_size=3, max_size=3),
    gradients=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5),
    lr=st.floats(1e-4, 0.1),
    wd=st.floats(0, 1),
)
def test_lion_follows_the_formula_step_by_step(start, gradients, lr, wd):
    p = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimiser = make_optimiser(Recipe(optimiser="lion", learning_rate=lr, weight_decay=wd), [p], CPU)
    slow, momentum = start, [0.0] * 3
    for g in gradients:
        p.grad = torch.tensor(g, dtype=torch.float64)
        optimiser.step()
        slow, momentum = lion_step(slow, momentum, g, lr, wd, *LION_BETAS)
        torch.testing.assert_close(p.detach(), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from(["constant", "cosine", "step", "linear"]),
    epochs=st.integers(1, 12),
    per_epoch=st.integers(1, 9),
    warmup=st.sampled_from([0.0, 0.1, 0.35, 0.9]),
    step_at=st.sampled_from([(0.5, 0.75), (0.3,), ()]),
)
def test_rates_follow_the_recipe(schedule, epochs, per_epoch, warmup, step_at):
    recipe = Recipe(epochs=epochs, schedule=schedule, warmup=warmup, step_at=step_at, learning_rate=0.3)
    steps = epochs * per_epoch
    assert [rate_at(recipe, s, steps) for s in range(steps)] == pytest.approx(rates(recipe, epochs, per_epoch))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW"), ("lion", "Lion")],
)
def test_the_optimiser_takes_every_setting_of_the_recipe(name, kind):
    recipe = Recipe(optimiser=name, learning_rate=0.02, weight_decay=0.3, momentum=0.7, nesterov=True)
    optimiser = make_optimiser(recipe, [torch.nn.Parameter(torch.ones(2))], CPU)
    assert type(optimiser).__name__ == kind
    assert (optimiser.defaults["lr"], optimiser.defaults["weight_decay"]) == (0.02, 0.3)
    if name == "sgd":
        assert (optimiser.defaults["momentum"], optimiser.defaults["nesterov"]) == (0.7, True)
