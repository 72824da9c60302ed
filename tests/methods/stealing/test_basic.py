import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from assay.access import Oracle, PosteriorStore, Serving, Spent
from assay.base.errors import BudgetError, DataError, LoadError, UsageError
from assay.base.intervals import clopper_pearson
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.finding import Interval, Metric
from assay.methods.method import Context
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.results import HIGH_AGREEMENT, LOW_AGREEMENT, agreement_scale, verdict
from assay.methods.stealing.surrogate import load_surrogate, reduced
from assay.targets.target import Target
from assay.training import predict

torch.set_num_threads(1)  # threads only wait for each other on networks this small

SHAPE = (1, 8, 8)
CLASSES = 4
FAST = {"architecture": "digits-mlp", "batch_size": 16, "epochs": 15, "learning_rate": 0.01}


class Counted(torch.nn.Module):
    """Names the brightest quadrant, and counts the images that it sees."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) * 25


def images_of(count, seed, labels=None):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, *SHAPE)).astype(np.float32)
    truth = images.reshape(count, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(count, 4).argmax(1)
    return ArrayImages(images, truth if labels is None else labels, f"images {seed}")


@pytest.fixture
def splits():
    return Splits(non_members=images_of(150, 1), auxiliary=images_of(300, 2))


def steal(folder, splits, serving=None, seed=0, **options):
    module = Counted()
    target = Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES, splits=splits)
    module.seen = 0
    folder.mkdir(exist_ok=True)
    oracle = Oracle(target, serving or Serving(), PosteriorStore(folder / "store.bin", CLASSES))
    finding = BasicStealing(**{**FAST, **options}).run(oracle, splits, context_of(folder, seed))
    return finding, oracle, module


def context_of(folder, seed=0):
    return Context(
        seed=seed,
        device=torch.device("cpu"),
        artefacts=folder,
        shared=folder / "shared",
        class_names=("nw", "ne", "sw", "se"),
    )


def test_steals_and_measures_what_it_says(tmp_path, splits):
    finding, oracle, module = steal(tmp_path, splits, Serving(price_per_1000=4.0), budget=200)
    assert (oracle.ledger.images, oracle.ledger.duplicates) == (200, 0)
    assert module.seen == oracle.ledger.forwards == 350
    assert finding.metric("queries").value == 200
    assert finding.metric("price").value == pytest.approx(0.8)

    copy, described = load_surrogate(tmp_path)
    test = splits.non_members.take(finding.samples["row"])
    answers = predict(copy, test, torch.device("cpu")).argmax(1).numpy()
    truth = module(test).argmax(1).numpy()
    hits = int((answers == truth).sum())
    agreed = finding.metric("agreement")
    assert agreed.value == pytest.approx(hits / 150)
    assert agreed.interval.low == pytest.approx(clopper_pearson(hits, 150).low)
    assert described.agreement == agreed.value
    assert np.array_equal(finding.samples["surrogate"], answers)
    assert np.array_equal(finding.samples["target"], truth)
    assert finding.metric("target_accuracy").value == 1.0
    assert finding.metric("surrogate_accuracy").value == finding.metric("relative_accuracy").value == agreed.value
    assert finding.metric("kl_divergence").value == pytest.approx(finding.samples["kl_divergence"].mean())
    assert agreed.value > 0.7
    assert "200 questions (US$ 0.80)" in finding.verdict.sentence
    kept = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("surrogate"))
    assert kept == ["surrogate.json", "surrogate.safetensors"]
    scale = agreed.scale
    assert scale.chance == np.bincount(truth).max() / 150
    assert (scale.risk, scale.high, scale.low) == ("up", HIGH_AGREEMENT, LOW_AGREEMENT)
    assert not list((tmp_path / "shared" / "stealing").iterdir()), "no checkpoint is left"


def test_the_true_labels_of_the_pool_are_never_used(tmp_path, splits):
    scrambled = splits._replace(auxiliary=images_of(300, 2, np.random.default_rng(0).integers(0, 9, 300)))
    weights = []
    for number, pool in enumerate((splits, scrambled)):
        steal(tmp_path / str(number), pool, epochs=1)
        weights.append(load_file(tmp_path / str(number) / "surrogate.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_labels_suffice_and_posteriors_teach_something_else(tmp_path, splits):
    hard, oracle, _ = steal(tmp_path / "a", splits, Serving(output="label"))
    steal(tmp_path / "b", splits)
    assert oracle.ledger.images == 300
    assert hard.metric("agreement").value > 0.6
    assert hard.metric("kl_divergence").value > 0
    one, other = (load_file(tmp_path / name / "surrogate.safetensors") for name in "ab")
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_seed_decides_everything(tmp_path, splits):
    runs = [steal(tmp_path / str(n), splits, seed=seed, budget=100, epochs=1)[0] for n, seed in enumerate((5, 5, 6))]
    assert runs[0].metrics == runs[1].metrics
    assert runs[0].metrics != runs[2].metrics


@pytest.mark.parametrize(
    ("options", "serving", "asked"),
    [
        ({}, Serving(), 300),
        ({"up_to": 120}, Serving(), 120),
        ({"up_to": 120}, Serving(budget=90), 90),
        ({"budget": 250, "up_to": 3}, Serving(budget=250), 250),
    ],
)
def test_how_many_are_asked(tmp_path, splits, options, serving, asked):
    _, oracle, _ = steal(tmp_path, splits, serving, epochs=1, **options)
    assert oracle.ledger.images == asked


def test_bad_input_is_one_sentence_and_nothing_is_asked(tmp_path, splits):
    with pytest.raises(DataError, match="budget is 301 images, and the auxiliary set holds 300"):
        steal(tmp_path, splits, budget=301)
    with pytest.raises(BudgetError, match="budget is 200 images, and the target allows 90"):
        steal(tmp_path, splits, Serving(budget=90), budget=200)
    with pytest.raises(DataError, match="needs an auxiliary set"):
        steal(tmp_path, splits._replace(auxiliary=None))
    with pytest.raises(DataError, match=r"test images \(non-members\)"):
        steal(tmp_path, splits._replace(non_members=None))
    with pytest.raises(UsageError, match="did you mean 'small-cnn'"):
        steal(tmp_path, splits, architecture="smal-cnn")
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        BasicStealing(budget=0)


def test_a_copy_that_cannot_be_loaded_is_one_sentence(tmp_path, splits):
    with pytest.raises(LoadError, match="cannot be loaded"):
        load_surrogate(tmp_path)
    steal(tmp_path, splits, budget=50, epochs=1)
    described = json.loads((tmp_path / "surrogate.json").read_text())
    (tmp_path / "surrogate.json").write_text(json.dumps({**described, "num_classes": 7}))
    with pytest.raises(LoadError, match="cannot be loaded"):
        load_surrogate(tmp_path)
    (tmp_path / "surrogate.json").write_text(json.dumps(described))
    (tmp_path / "surrogate.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(LoadError, match="cannot be loaded"):
        load_surrogate(tmp_path)


@pytest.mark.parametrize(
    ("shape", "side", "size"),
    [
        ((3, 32, 32), 64, (32, 32)),
        ((3, 224, 224), 64, (64, 64)),
        ((1, 300, 100), 60, (60, 20)),
        ((1, 2, 900), 9, (1, 9)),
    ],
)
def test_large_images_are_reduced_for_the_surrogate(shape, side, size):
    assert reduced(shape, side) == size


def test_a_reduced_surrogate_is_loaded_as_it_was_measured(tmp_path, splits):
    wide = Splits(
        *(part and ArrayImages(part.images.repeat(2, axis=2).repeat(2, axis=3), part.labels, "wide") for part in splits)
    )
    target = Target.from_module(Counted(), input_shape=(1, 16, 16), num_classes=CLASSES, splits=wide)
    folder = tmp_path / "wide"
    folder.mkdir()
    oracle = Oracle(target, Serving(), PosteriorStore(folder / "store.bin", CLASSES))
    found = BasicStealing(**FAST, largest_side=8).run(oracle, wide, context_of(folder))
    copy, described = load_surrogate(folder)
    assert described.size == (8, 8)
    answers = predict(copy, wide.non_members.take(found.samples["row"]), torch.device("cpu")).argmax(1).numpy()
    assert np.array_equal(answers, found.samples["surrogate"])
    assert found.metric("agreement").value > 0.7


@pytest.mark.parametrize(
    ("bounds", "level"),
    [
        ((0.86, 0.9), "high"),
        ((0.84, 0.9), "elevated"),
        ((0.61, 0.7), "elevated"),
        ((0.59, 0.61), "undecided"),
        ((0.5, 0.59), "low"),
        ((0.5, 0.9), "undecided"),
    ],
)
def test_the_verdict_goes_by_bounds(bounds, level):
    interval = Interval(low=bounds[0], high=bounds[1], method="made up")
    scale = agreement_scale(np.arange(4))
    agreed = Metric(name="agreement", label="", value=sum(bounds) / 2, interval=interval, n=100, scale=scale)
    assert verdict(agreed, Spent(images=10)).level == level


@pytest.mark.parametrize(
    ("share", "chance", "low", "high"), [(0.4, 0.4, 0.6, 0.85), (0.8, 0.8, 0.8, 0.9), (1.0, 1.0, 1.0, 1.1)]
)
def test_where_one_answer_prevails_agreement_must_exceed_it(share, chance, low, high):
    answers = (np.arange(10) >= 10 * share).astype(np.int64)
    answers[answers == 1] = np.arange(1, 1 + answers.sum())
    scale = agreement_scale(answers)
    assert (scale.chance, scale.low, scale.high) == pytest.approx((chance, low, high))
    bounds = Interval(low=share - 0.05, high=share + 0.05 if share < 1 else 1.0, method="made up")
    trivial = Metric(name="agreement", label="", value=share, interval=bounds, n=100, scale=scale)
    assert verdict(trivial, Spent(images=10)).level in ("low", "undecided")


def test_figures_are_there_and_consistent(tmp_path, splits):
    finding, _, _ = steal(tmp_path, splits, budget=60, epochs=1)
    table, costs, curve, gallery = finding.figures
    assert sum(row[1] for row in table.rows) == 150
    assert dict(costs.rows) == {
        "images asked to learn from": 60,
        "images asked for validation": 0,
        "images asked again, at no charge": 0,
        "requests": 1,
        "price (US$)": 0.0,
        "the evaluator's: images to compare on": 150,
        "the evaluator's: adversarial images": 0,
    }
    assert len(curve.series[0].x) == 1
    assert all((tmp_path / name).exists() for row in gallery.files for name in row)
    assert len(gallery.rows) == len(gallery.files) <= 6
    assert "truth: " in gallery.rows[0]
