"""What every attack by questions owes, whatever the images, the cap and the norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import Oracle, PosteriorStore, Serving, WhiteBox
from assay.base.errors import AccessError, BudgetError, DataError, UsageError
from assay.data.splits import Splits
from assay.methods.evasion.greedy import Gfcs, GreedyOptions, Simba, SimbaOds, SimbaOptions, gfcs, simba, simba_ods
from assay.methods.evasion.prior_guided import PRgf, Rgf, RgfOptions, p_rgf
from assay.methods.evasion.queries import QueryOptions, QueryState
from assay.methods.evasion.results import query_metrics, success_curve
from assay.methods.evasion.square import Square, SquareOptions, square
from assay.targets.target import Target
from methods.evasion.small import CLASSES, SHAPE, context_of, network, pictures, target_of

RGF = {"directions": 3, "norm_directions": 2}


PRIOR = WhiteBox(Target.from_module(network(3), input_shape=SHAPE, num_classes=CLASSES))


ATTACKS = {
    "square": lambda ask, x, y, g, **o: square(ask, x, y, SquareOptions(**o), g),
    "simba_pixel": lambda ask, x, y, g, **o: simba(ask, x, y, SimbaOptions(basis="pixel", **o), g),
    "simba_dct": lambda ask, x, y, g, **o: simba(ask, x, y, SimbaOptions(basis="dct", **o), g),
    "rgf": lambda ask, x, y, g, **o: p_rgf(ask, x, y, None, RgfOptions(**RGF, **o), g),
    "rgf_coarse": lambda ask, x, y, g, **o: p_rgf(ask, x, y, None, RgfOptions(coarse_side=2, **RGF, **o), g),
    "p_rgf": lambda ask, x, y, g, **o: p_rgf(ask, x, y, PRIOR, RgfOptions(**RGF, **o), g),
    "p_rgf_coarse": lambda ask, x, y, g, **o: p_rgf(ask, x, y, PRIOR, RgfOptions(coarse_side=2, **RGF, **o), g),
    "gfcs": lambda ask, x, y, g, **o: gfcs(ask, x, y, PRIOR, GreedyOptions(**o), g),
    "gfcs_alone": lambda ask, x, y, g, **o: gfcs(ask, x, y, None, GreedyOptions(**o), g),
    "simba_ods": lambda ask, x, y, g, **o: simba_ods(ask, x, y, PRIOR, GreedyOptions(**o), g),
}


class Counting:
    """A target that keeps every question, and knows whose image each is by a mark in the last pixel."""

    def __init__(self, module, images):
        self.module, self.images, self.points = module, images, []
        self.asked = np.zeros(len(images), int)

    def __call__(self, points):
        assert float(points.min()) >= 0.0
        assert float(points.max()) <= 1.0
        self.points.append(points.clone())
        near = torch.cdist(points.flatten(1), self.images.flatten(1)).argmin(dim=1)
        self.asked += np.bincount(near.numpy(), minlength=len(self.images))
        with torch.no_grad():
            return self.module(points)


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cap=st.integers(1, 30),
    size=st.tuples(st.sampled_from(["linf", "l2"]), st.floats(0.01, 0.3)),
    loss=st.sampled_from(["margin", "cross-entropy"]),
)
def test_no_image_costs_more_than_the_cap_and_none_leaves_its_ball(name, seed, cap, size, loss):
    norm, epsilon = size
    module, images = network(seed), pictures(6, seed)
    labels = module(images).argmax(dim=1)
    labels[0] = (labels[0] + 1) % CLASSES
    target, generator = Counting(module, images), torch.Generator().manual_seed(seed)
    found = ATTACKS[name](target, images, labels, generator, max_queries=cap, norm=norm, epsilon=epsilon, loss=loss)
    assert np.array_equal(found.queries, target.asked)
    assert found.queries.max() <= cap
    assert found.queries[0] == 1
    assert torch.equal(found.adversarial[0], images[0])
    change = (found.adversarial - images).flatten(1)
    size = change.abs().amax(dim=1) if norm == "linf" else change.norm(dim=1)
    assert float(size.max()) <= epsilon + 1e-5
    assert float(found.adversarial.min()) >= 0.0
    assert float(found.adversarial.max()) <= 1.0
    assert np.array_equal((module(found.adversarial).argmax(dim=1) != labels).numpy(), found.success)


@pytest.mark.parametrize("name", ATTACKS)
def test_more_questions_fool_more_and_all_of_an_easy_target(name):
    """The surrogate is the target itself here."""
    module, images = network(3), pictures(12, 3)
    labels = module(images).argmax(dim=1)
    shares = []
    for cap in (1, 10, 150):
        found = ATTACKS[name](
            lambda points: module(points).detach(), images, labels, torch.Generator().manual_seed(0),
            max_queries=cap, norm="l2", epsilon=2.0,
        )  # fmt: skip
        shares.append(found.success.mean())
    assert shares[0] == 0
    assert shares[0] <= shares[1] <= shares[2]
    assert shares[2] >= 0.9


def test_a_state_refuses_one_question_too_many():
    module, images = network(), pictures(2)
    asked = []
    state = QueryState(
        lambda points: (asked.append(len(points)), module(points))[1],
        images,
        module(images).argmax(dim=1),
        QueryOptions(max_queries=3),
    )
    rows = torch.tensor([0, 0])
    state.answers(rows, images[rows])
    with pytest.raises(ValueError, match="more than its cap"):
        state.answers(torch.tensor([0, 1]), images)
    assert asked == [2, 2]
    assert state.spent.tolist() == [3, 1]


@pytest.mark.parametrize("kind", [Square, Simba, Rgf])
def test_methods_charge_what_they_ask(kind, tmp_path):
    target = target_of(network())
    store = PosteriorStore(tmp_path / "store.bin", CLASSES)
    oracle = Oracle(target, Serving(), store)
    attack = kind(max_queries=25, max_images=40, norm="linf", epsilon=0.05)
    finding = attack.run(oracle, target.splits, context_of(tmp_path))
    samples = finding.samples
    right = samples["predicted"] == samples["label"]
    assert len(right) == 40
    assert oracle.ledger.images + oracle.ledger.duplicates == 40 + samples["queries"][right].sum()
    assert (samples["queries"][~right] == 0).all()
    assert finding.metric("success").value == pytest.approx(samples["success"][right].mean())
    assert finding.metric("success").n == right.sum()
    capped = np.where(samples["success"] == 1, samples["queries"], 25)[right]
    assert finding.metric("median_queries_all").value == np.median(capped)
    assert finding.metric("mean_queries_all").value == pytest.approx(capped.mean())
    assert "changes no pixel by more than 0.05" in finding.verdict.sentence
    assert finding.verdict.metric == "success"


def test_true_labels_do_not_steer_an_attack(tmp_path):
    target = target_of(network(), wrong=0)
    found = []
    for number, wrong in enumerate((0, 20)):
        source = target.splits.non_members
        labels = source.labels.copy()
        labels[:wrong] = (labels[:wrong] + 1) % CLASSES
        splits = Splits(non_members=type(source)(source.images, labels, "pictures"))
        oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / f"{number}.bin", CLASSES))
        finding = Square(max_queries=30, max_images=60).run(oracle, splits, context_of(tmp_path))
        assert finding.metric("success").n == 60 - wrong
        found.append(finding)
    assert found[1].metric("clean_accuracy").value == pytest.approx(40 / 60)


@pytest.mark.parametrize(("budget", "images"), [(20, 1), (61, 3), (10_000, 60)])
def test_a_budget_limits_the_images(budget, images, tmp_path):
    target = target_of(network(), wrong=0)
    oracle = Oracle(target, Serving(budget=budget), PosteriorStore(tmp_path / "a.bin", CLASSES))
    finding = Square(max_queries=20).run(oracle, target.splits, context_of(tmp_path))
    assert len(finding.samples["row"]) == images
    assert oracle.ledger.images <= budget


def test_metrics_of_known_outcomes():
    success, queries = np.array([True, True, True, False]), np.array([2, 4, 9, 50])
    found = {metric.name: metric for metric in query_metrics(success, queries, 100, seed=0)}
    assert found["success"].value == 0.75
    assert found["median_queries_successes"].value == 4
    assert found["mean_queries_successes"].value == 5
    assert found["median_queries_all"].value == 6.5
    assert found["mean_queries_all"].value == pytest.approx(115 / 4)
    curve = success_curve({"one": (success, queries)}, 100).series[0]
    assert dict(zip(curve.x, curve.y, strict=True))[1.0] == 0.0
    assert curve.y[-1] == 0.75
    assert all(low <= y <= high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))


def test_metrics_without_any_success_say_so():
    found = {m.name: m for m in query_metrics(np.zeros(5, bool), np.full(5, 7), 9, seed=0)}
    assert found["median_queries_successes"].value is None
    assert "no image" in found["mean_queries_successes"].note
    assert found["mean_queries_all"].value == 9


def test_bad_input_is_one_sentence(tmp_path):
    all_wrong = target_of(network(), wrong=60)

    def oracle(**serving):
        return Oracle(all_wrong, Serving(**serving), PosteriorStore(tmp_path / "a.bin", CLASSES))

    context = context_of(tmp_path)
    with pytest.raises(DataError, match="None of the 60 test images is classified correctly"):
        Square().run(oracle(), all_wrong.splits, context)
    with pytest.raises(AccessError, match="labels only"):
        Square().run(oracle(output="label"), all_wrong.splits, context)
    with pytest.raises(DataError, match="needs test images"):
        Rgf().run(oracle(), Splits(), context)
    with pytest.raises(BudgetError, match="One image may take 1000 questions, and the budget leaves 999"):
        Simba().run(oracle(budget=999), all_wrong.splits, context)
    with pytest.raises(UsageError, match=r"epsilon is 7; in the L2 norm it must lie above 0 and not above 6\.32"):
        Rgf(epsilon=7).run(oracle(), all_wrong.splits, context)
    for kind in (PRgf, Gfcs, SimbaOds):
        with pytest.raises(AccessError, match="needs a stolen surrogate"):
            kind().run(oracle(), all_wrong.splits, context)
    for epsilon in (0.0, -0.1, 1.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="epsilon"):
            Square(epsilon=epsilon)
