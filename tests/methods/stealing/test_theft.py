import numpy as np
import pytest
import torch
from pydantic import ValidationError

from assay.access import Serving
from assay.base.errors import AccessError, BudgetError, DataError, UsageError
from assay.base.intervals import clopper_pearson
from assay.data.images import ArrayImages
from assay.methods.stealing.learners import LEARNERS
from assay.methods.stealing.protocols import BestStealing, FoundationStealing, MeBenchStealing
from assay.methods.stealing.strategies import STRATEGIES
from assay.methods.stealing.surrogate import load_surrogate
from assay.methods.stealing.theft import Theft
from assay.training import Recipe
from methods.stealing.small import (
    CLASSES,
    FAST,
    QUICK,
    SHAPE,
    Killed,
    Service,
    context_of,
    images_of,
    oracle_of,
    splits_of,
)

torch.set_num_threads(1)

BUDGET = 30


def steal(folder, splits=None, service=None, serving=None, seed=0, **options):
    service, splits = service or Service(), splits or splits_of()
    folder.mkdir(exist_ok=True)
    oracle = oracle_of(service, folder, serving)
    finding = Theft(**{**FAST, **options}).run(oracle, splits, context_of(folder, seed))
    return finding, oracle, service


def test_every_strategy_is_tried():
    for_images = [name for name in STRATEGIES.names() if "image" in STRATEGIES.get(name).modalities]
    assert sorted(QUICK) == for_images


@pytest.mark.parametrize("learner", LEARNERS.names())
@pytest.mark.parametrize("strategy", QUICK)
def test_exactly_the_budget_is_asked_by_the_ledger_and_by_a_counter_inside_the_target(tmp_path, strategy, learner):
    finding, oracle, service = steal(
        tmp_path, splits_of(test=5), budget=BUDGET, strategy=QUICK[strategy], learner=learner, validation_share=0.1
    )
    assert oracle.ledger.images == finding.metric("queries").value == BUDGET
    assert len(service.seen) == len(set(service.seen)) == BUDGET + 5, "the 5 test images are the evaluator's"
    assert finding.metric("evaluator_images").value == 5
    assert oracle.ledger.forwards == BUDGET + 5


@pytest.mark.parametrize("strategy", QUICK)
def test_killed_at_half_the_budget_a_theft_asks_nothing_twice(tmp_path, strategy):
    options = {"budget": BUDGET, "strategy": QUICK[strategy]}
    calm, oracle, _ = steal(tmp_path / "calm", **options)
    torn = Service(lives=BUDGET // 2)
    with pytest.raises(Killed):
        steal(tmp_path / "torn", service=torn, **options)
    again, oracle, service = steal(tmp_path / "torn", **options)
    assert set(torn.seen).isdisjoint(service.seen)
    assert len(torn.seen) + len(service.seen) == BUDGET + 20
    assert oracle.ledger.images == BUDGET
    assert again.metrics == calm.metrics
    assert not list((tmp_path / "torn").rglob("*.checkpoint")), "no unfinished training is left"


@pytest.mark.parametrize("strategy", QUICK)
def test_no_strategy_sees_true_labels_and_the_seed_decides_everything(tmp_path, strategy):
    splits = splits_of()
    scrambled = splits._replace(auxiliary=images_of(60, 2, np.random.default_rng(0).integers(0, 9, 60)))
    options = {"budget": BUDGET, "strategy": QUICK[strategy], "learner": "soft"}
    asked = [steal(tmp_path / str(n), data, **options)[2].seen for n, data in enumerate((splits, scrambled))]
    assert asked[0] == asked[1]
    assert steal(tmp_path / "other", splits, seed=1, **options)[2].seen != asked[0]


def test_a_budget_curve_from_one_run_is_that_of_a_run_for_each_budget(tmp_path):
    curve, oracle, service = steal(tmp_path / "curve", budget=40, epochs=5, checkpoints=(20, 10, 40, 99))
    assert len(service.seen) == oracle.ledger.images + 20 == 60
    alone = [steal(tmp_path / str(budget), budget=budget, epochs=5)[0] for budget in (10, 20, 40)]
    assert curve.metric("agreement_at_10").value == alone[0].metric("agreement").value
    assert curve.metric("agreement_at_20").value == alone[1].metric("agreement").value
    assert curve.metric("agreement") == alone[2].metric("agreement")
    (line,) = curve.figures[0].series
    assert line.x == [10, 20, 40]
    assert line.y == [finding.metric("agreement").value for finding in alone]
    hits = round(line.y[1] * 20)
    assert (line.low[1], line.high[1]) == pytest.approx(clopper_pearson(hits, 20)[:2])


def test_a_strategy_that_trains_itself_is_judged_as_it_was_at_each_checkpoint(tmp_path):
    options = {"strategy": "data-free:batch_size=4,passes=1,latent=4,drop=1.0", "splits": splits_of(test=200)}
    curve, _, _ = steal(tmp_path / "curve", budget=90, checkpoints=(24, 48), **options)
    alone = [steal(tmp_path / str(budget), budget=budget, **options)[0] for budget in (24, 48, 90)]
    found = [curve.metric(name).value for name in ("agreement_at_24", "agreement_at_48", "agreement")]
    assert found == [finding.metric("agreement").value for finding in alone]
    assert len(set(found)) == 3


def test_validation_images_are_paid_for_and_not_learned_from(tmp_path):
    finding, oracle, service = steal(tmp_path, budget=40, validation_share=0.25, epochs=10, learner="hard")
    assert oracle.ledger.images == 40
    costs = dict(next(figure for figure in finding.figures if figure.title == "What it cost").rows)
    assert costs["images asked to learn from"] == 30
    assert costs["images asked for validation"] == 10
    copy, described = load_surrogate(tmp_path)
    assert described.queries == 40
    pool = {key: row for row, key in enumerate(keys_of(splits_of().auxiliary))}
    rows = [pool[key] for key in service.seen[:10]]
    images = splits_of().auxiliary
    right = copy(images.take(np.array(rows))).argmax(1).numpy() == images.labels[rows]
    assert finding.metric("validation_agreement").value == right.mean()
    assert set(service.seen[:10]).isdisjoint(service.seen[10:40])


@pytest.mark.parametrize("budget", [1, 2])
def test_the_smallest_budgets_leave_something_to_learn_from(tmp_path, budget):
    finding, oracle, _ = steal(tmp_path, budget=budget, validation_share=0.1, epoch="best")
    assert oracle.ledger.images == budget
    assert ("validation_agreement" in {metric.name for metric in finding.metrics}) == (budget == 2)


def keys_of(images):
    service = Service()
    service(images.take(np.arange(len(images))).numpy())
    return service.seen


def test_images_that_the_pool_holds_twice_are_charged_once_and_the_budget_is_still_met(tmp_path):
    pool = images_of(40, 2)
    twice = ArrayImages(np.concatenate([pool.images] * 2), np.concatenate([pool.labels] * 2), "twice")
    for strategy in ("random", "margin:rounds=3", "knockoff:arms=3,batch=8"):
        folder = tmp_path / strategy[:4]
        _, oracle, service = steal(folder, splits_of()._replace(auxiliary=twice), budget=35, strategy=strategy)
        assert oracle.ledger.images == 35
        assert len(service.seen) == 55
    with pytest.raises(DataError, match="budget is 41 images, and the strategy 'random' found only 40 different"):
        steal(tmp_path / "all", splits_of()._replace(auxiliary=twice), budget=41)


def test_agreement_per_1000_and_price(tmp_path):
    finding, _, _ = steal(tmp_path, budget=50, serving=Serving(price_per_1000=2.0))
    agreed, rate = finding.metric("agreement"), finding.metric("agreement_per_1000")
    assert rate.value == pytest.approx(20 * agreed.value)
    assert rate.interval.low == pytest.approx(20 * agreed.interval.low)
    assert finding.metric("price").value == pytest.approx(0.1)


def test_adversarial_questions_are_the_evaluators_and_are_counted(tmp_path):
    finding, oracle, service = steal(tmp_path, budget=50, epochs=20, adversarial_images=12)
    asked = finding.metric("evaluator_images").value
    tried = finding.samples["fgsm_target"] != -1
    flipped = finding.samples["pgd_target"] != -1
    assert oracle.ledger.images == 50
    assert tried.sum() == 12
    assert asked == 20 + 12 + flipped.sum()
    assert len(service.seen) == 50 + asked
    same = finding.samples["fgsm_target"] == finding.samples["fgsm_surrogate"]
    assert finding.metric("adversarial_agreement_fgsm").value == same[tried].mean()


def test_bad_input_is_one_sentence_and_nothing_is_asked(tmp_path):
    service, splits = Service(), splits_of()
    wide = ArrayImages(np.zeros((9, 1, 9, 9), np.uint8), np.zeros(9, np.int64), "wide")
    colour = ArrayImages(np.zeros((9, 3, 8, 8), np.uint8), np.zeros(9, np.int64), "colour")
    for pool in (wide, colour):
        with pytest.raises(DataError, match=r"takes images of 1x8x8 .* the pool \w+ has \dx\dx\d; .*Fitted makes"):
            steal(tmp_path, splits._replace(auxiliary=pool), service)
    with pytest.raises(DataError, match="budget is 61 images, and the auxiliary set holds 60"):
        steal(tmp_path, service=service, budget=61)
    with pytest.raises(BudgetError, match="budget is 50 images, and the target allows 40"):
        steal(tmp_path, service=service, serving=Serving(budget=40), budget=50)
    with pytest.raises(DataError, match="needs an auxiliary set"):
        steal(tmp_path, splits._replace(auxiliary=None), service)
    with pytest.raises(AccessError, match="learner 'soft' needs posteriors, and the target answers with labels only"):
        steal(tmp_path, service=service, serving=Serving(output="label"), learner="soft")
    with pytest.raises(AccessError, match="strategy 'data-free' needs posteriors"):
        steal(tmp_path, service=service, serving=Serving(output="label"), strategy="data-free", learner="hard")
    with pytest.raises(UsageError, match="name a budget"):
        steal(tmp_path, service=service, strategy="data-free", up_to=None)
    with pytest.raises(UsageError, match="no strategy 'margins': did you mean 'margin'"):
        steal(tmp_path, service=service, strategy="margins")
    with pytest.raises(UsageError, match="no option 'round': did you mean 'rounds'"):
        steal(tmp_path, service=service, strategy="margin:round=2")
    with pytest.raises(UsageError, match="no learner 'sofd'"):
        steal(tmp_path, service=service, learner="sofd")
    with pytest.raises(ValidationError, match="1 or more"):
        steal(tmp_path, service=service, checkpoints=(0,))
    assert service.seen == []


def test_a_strategy_that_makes_its_images_needs_no_pool(tmp_path):
    _, oracle, _ = steal(tmp_path, splits_of()._replace(auxiliary=None), budget=24, strategy=QUICK["data-free"])
    assert oracle.ledger.images == 24


def test_a_class_that_is_never_returned_is_no_obstacle(tmp_path):
    bright = images_of(200, 4)
    few = ArrayImages(bright.images[bright.labels < 2][:60], bright.labels[bright.labels < 2][:60], "two classes")
    for strategy in ("margin:rounds=2", "knockoff:arms=3,batch=8", "k-center:rounds=2"):
        finding, _, _ = steal(
            tmp_path / strategy[:4], splits_of()._replace(auxiliary=few), budget=30, strategy=strategy
        )
        assert set(np.unique(finding.samples["target"])) == set(range(CLASSES))
        assert finding.metric("agreement").value < 1


def test_a_service_that_fails_in_the_middle_is_asked_on(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.access.retrying.time.sleep", lambda seconds: None)

    class Moody(Service):
        failures = 0

        def __call__(self, images):
            if 10 <= len(self.seen) < 20 and self.failures < 3:
                self.failures += 1
                raise TimeoutError("late")
            return super().__call__(images)

    service = Moody()
    finding, oracle, _ = steal(
        tmp_path / "moody", service=service, budget=30, strategy="margin:rounds=4,seed_share=0.4"
    )
    calm, _, _ = steal(tmp_path / "calm", budget=30, strategy="margin:rounds=4,seed_share=0.4")
    assert service.failures == 3
    assert oracle.ledger.images == 30
    assert len(service.seen) == len(set(service.seen)) == 50
    assert finding.metrics == calm.metrics


def test_posteriors_that_do_not_sum_to_one_are_refused(tmp_path):
    class Careless(Service):
        def __call__(self, images):
            return super().__call__(images) * 0.7

    with pytest.raises(DataError, match=r"must be non-negative and sum to 1; row 0 sums to 0\.7"):
        steal(tmp_path, service=Careless(), budget=10)


def test_images_are_resized_for_the_surrogate(tmp_path):
    steal(tmp_path, budget=20, resized_to=12)
    copy, described = load_surrogate(tmp_path)
    assert described.size == (12, 12)
    assert copy(torch.rand(2, *SHAPE)).shape == (2, CLASSES)


def test_the_epoch_that_validates_best_is_kept(tmp_path):
    options = {"budget": 40, "validation_share": 0.5, "epochs": 12, "learning_rate": 0.1, "learner": "hard"}
    scores = {epoch: steal(tmp_path / epoch, epoch=epoch, **options)[0] for epoch in ("best", "last")}
    best, last = (scores[epoch].metric("validation_agreement").value for epoch in ("best", "last"))
    assert best >= last
    with pytest.raises(ValidationError, match="set validation_share above 0"):
        Theft(epoch="best")


@pytest.mark.parametrize(
    ("budget", "learner", "chosen"), [(30, None, "fixmatch"), (31, None, "mixup"), (20, "soft", "soft")]
)
def test_the_best_theft_learns_from_the_rest_of_the_pool_where_there_is_enough(tmp_path, budget, learner, chosen):
    best = BestStealing(budget=budget, learner=learner)
    assert best._learner(oracle_of(Service(), tmp_path), splits_of(pool=60).auxiliary).name == chosen


def test_the_protocols_are_as_their_papers_have_them():
    foundation, mebench = FoundationStealing(), MeBenchStealing()
    assert (foundation.optimiser, foundation.schedule, foundation.step_at) == ("sgd", "step", (0.5,))
    assert (foundation.rotate, foundation.flip, foundation.momentum) == (5.0, True, 0.9)
    assert (foundation.epoch, foundation.validation_share, foundation.up_to) == ("best", 0.1, 5_000)
    assert (mebench.optimiser, mebench.learning_rate, mebench.weight_decay) == ("lion", 3e-4, 0.0)
    assert (mebench.crop, mebench.flip, mebench.auto_augment) == (0.08, True, True)


def test_every_option_of_training_reaches_the_recipe(tmp_path, monkeypatch):
    """A theft's options by the recipe's names; an option that is dropped on the way would be trained without."""
    options = {
        "epochs": 2, "batch_size": 7, "optimiser": "sgd", "learning_rate": 0.03, "momentum": 0.5, "nesterov": True,
        "weight_decay": 0.125, "schedule": "step", "step_at": (0.25,), "warmup": 0.5, "ema": 0.75,
        "label_smoothing": 0.25, "shift": 1, "flip": True, "rotate": 3.0, "crop": 0.5, "cutout": 2,
        "auto_augment": True,
    }  # fmt: skip
    seen = []
    monkeypatch.setattr("assay.methods.stealing.learners.learner.fit", lambda *args, **_: seen.append(args[3]) or ())
    steal(tmp_path, budget=20, **options)
    (recipe,) = seen
    assert {name: getattr(recipe, name) for name in options} == options
    left = set(Recipe.model_fields) - set(options)
    assert left == {"step_factor", "mixed_precision"}


def test_a_mirrored_copy_answers_with_the_mean_over_both_views(tmp_path):
    options = {"budget": 30, "epochs": 5}
    plain, _, _ = steal(tmp_path / "plain", **options)
    found, _, _ = steal(tmp_path / "mirrored", mirrored=True, **options)
    copy, _ = load_surrogate(tmp_path / "mirrored")
    images = splits_of().non_members.take(found.samples.row)
    both = (copy(images) + copy(images.flip(-1))).argmax(1).numpy()
    assert np.array_equal(found.samples["surrogate"], both)
    assert not np.array_equal(found.samples["surrogate"], plain.samples["surrogate"])
