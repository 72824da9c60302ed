import numpy as np
import pytest
import torch

from assay.access import Oracle, PosteriorStore, Serving
from assay.base.errors import AccessError, BudgetError, DataError
from assay.base.progress import silent
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.method import Context
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.defences.blind_walk import KINDS, blind_walk
from assay.methods.stealing.defences.inference import Regressor, Scores, Walked, p_by_size, welch
from assay.methods.stealing.defences.ownership import Ownership, verdict
from assay.targets.target import Target
from assay.training import Recipe, fit, seeded_build
from oracles.stealing import steps_until_changed, welch_p

SHAPE, CLASSES = (1, 8, 8), 4


def context_of(folder, provided=None):
    return Context(seed=0, device=torch.device("cpu"), artefacts=folder, shared=folder / "shared", provided=provided)


def halves(images):
    """A linear model: whether the left half is brighter than the right."""
    return (images[..., :4].mean(dim=(1, 2, 3)) > images[..., 4:].mean(dim=(1, 2, 3))).long().numpy()


def walked(suspect, images, labels, seed=0, **options):
    options = {"directions": 2, "steps": 20, **options}
    generator = torch.Generator().manual_seed(seed)
    with silent().step("", 1) as step:
        return blind_walk(suspect, images, labels, generator=generator, progress=step, **options)


def test_a_walk_ends_where_the_label_changes(monkeypatch):
    images = 0.5 + 0.01 * torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(1))
    labels = halves(images)
    labels[0] = 1 - labels[0]
    noise = {kind: 0.004 * torch.randn(12, *SHAPE, generator=torch.Generator().manual_seed(2)) for kind in KINDS}
    monkeypatch.setattr("assay.methods.stealing.defences.blind_walk._noise", lambda kind, shape, generator: noise[kind])
    found = walked(halves, images, labels, directions=1)
    for column, (kind, order) in enumerate(zip(KINDS, (np.inf, 2, 1), strict=True)):
        for row in range(12):
            steps = steps_until_changed(halves, images[row], labels[row], noise[kind][row], 20)
            added = (images[row] + steps * noise[kind][row]).clamp(0, 1) - images[row]
            assert found[row, column] == pytest.approx(np.linalg.norm(added.flatten().numpy(), order), rel=1e-5)
    assert len(set(found[:, 0])) > 3


def test_a_walk_asks_few_questions():
    asked = []

    def counted(images):
        asked.append(len(images))
        return halves(images)

    images = torch.rand(10, *SHAPE, generator=torch.Generator().manual_seed(1))
    found = walked(counted, images, halves(images), directions=3, steps=50)
    assert found.shape == (10, 9)
    assert sum(asked) <= 10 * 9 * 7
    assert (found > 0).all()


def test_noise_has_the_sizes_it_should():
    images = torch.full((400, *SHAPE), 0.5)
    uniform, normal, laplace = (walked(lambda x: np.ones(len(x)), images, np.zeros(400), steps=1, directions=1)).T
    assert uniform.max() <= 0.005 + 1e-7
    assert uniform.mean() == pytest.approx(0.005, rel=0.05)
    assert np.sqrt((normal**2).mean()) == pytest.approx(0.005 * 8, rel=0.05)
    assert laplace.mean() == pytest.approx(0.01 * 64, rel=0.05)


def test_welch_against_its_formula():
    random = np.random.default_rng(0)
    for shift in (0.0, 0.3, -0.5):
        lower, higher = random.normal(0, 1, 30), random.normal(shift, 2, 45)
        assert welch(lower, higher) == pytest.approx(welch_p(higher, lower))
    assert welch(np.ones(5), np.ones(5)) == 1.0


def test_p_falls_with_the_images_asked_where_there_is_a_difference():
    random = np.random.default_rng(0)
    scores = Scores(random.normal(-0.5, 1, 200), random.normal(0.5, 1, 200))
    few, many = p_by_size(scores, [5, 100], 50, 0)
    assert many < 1e-6 < few < 1


def test_only_the_model_that_knows_the_members_is_claimed(tmp_path):
    """The owner's model holds on to its members' labels within a radius; another, by someone else, holds on to none."""
    generator = torch.Generator().manual_seed(3)
    images = 0.2 + 0.6 * torch.rand(200, *SHAPE, generator=generator)
    brighter = images[..., :4].mean(dim=(1, 2, 3)) - images[..., 4:].mean(dim=(1, 2, 3))
    images[..., :4] -= (brighter - 0.004 * brighter.sign())[:, None, None, None]
    members, others = images[:100], images[100:]

    def knowing(radius):
        def labels(asked):
            distance = torch.cdist(asked.flatten(1), members.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
            nearest = distance.min(dim=1)
            return np.where(nearest.values.numpy() < radius, halves(members)[nearest.indices.numpy()], halves(asked))

        return labels

    def features(suspect):
        return Walked(*(walked(suspect, part, halves(part)) for part in (members, others)))

    known, rest = features(knowing(1.2)).halves()
    regressor = Regressor(known, context_of(tmp_path))
    assert regressor.judged(rest).p_value < 1e-6
    assert regressor.judged(features(knowing(0.6)).halves()[1]).p_value < 1e-3
    assert regressor.judged(features(halves).halves()[1]).p_value > 0.05


def noisy(count, seed):
    """Images whose label is the brightest quadrant, but for 4 in 10, which only memory can know."""
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, *SHAPE)).astype(np.float32)
    truth = images.reshape(count, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(count, 4).argmax(1)
    wrong = random.random(count) < 0.4
    truth[wrong] = random.integers(0, 4, wrong.sum())
    return ArrayImages(images, truth, f"noisy {seed}")


@pytest.fixture(scope="module")
def owned():
    members, others = noisy(120, 0), noisy(260, 1)
    splits = Splits(members, others, members)
    module = seeded_build("digits-mlp", CLASSES, SHAPE, 0)
    recipe = Recipe(epochs=150, batch_size=60, optimiser="adam", learning_rate=0.01)
    fit(module, members, torch.from_numpy(members.labels), recipe, seed=0, device=torch.device("cpu"))
    return Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES, splits=splits)


THEFT = BasicStealing(architecture="digits-mlp", epochs=150, learning_rate=0.01, batch_size=60)
QUICK = {"samples": 120, "directions": 2, "steps": 10, "architecture": "digits-mlp", "surrogate": THEFT}


def test_the_owners_model_and_its_copy_are_claimed_and_an_independent_one_is_not(tmp_path, owned):
    store = PosteriorStore(tmp_path / "store.bin", CLASSES)
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    THEFT.run(Oracle(owned, Serving(), store), owned.splits, context_of(stolen))
    oracle = Oracle(owned, Serving(output="label"), store)
    finding = Ownership(**QUICK).run(oracle, owned.splits, context_of(tmp_path, stolen))
    assert finding.metric("p_own").value < 0.01
    assert finding.metric("p_copy").value < 0.01
    assert finding.metric("p_independent").value > 0.01
    assert finding.verdict.level == "low"
    assert finding.metric("effect_own").interval.low > 0
    assert 240 * 2 * 3 <= oracle.ledger.images + oracle.ledger.duplicates <= 240 * 2 * 3 * 5
    samples = finding.samples
    assert {"score_own", "score_copy", "score_independent"} == set(samples.columns)
    assert len(samples) == len(samples["score_own"]) == 120
    means = [samples["score_own"][samples.part == part].mean() for part in ("members", "non_members")]
    assert means[1] - means[0] == pytest.approx(finding.metric("effect_own").value)
    assert [series.name for series in finding.figures[0].series] == ["own", "copy", "independent"]

    everything = Ownership(**{**QUICK, "samples": 260}).run(oracle, owned.splits, context_of(tmp_path, stolen))
    assert everything.metric("p_independent").value is None
    assert "none is left" in everything.metric("p_independent").note


def scores(difference):
    random = np.random.default_rng(0)
    return Scores(random.normal(0, 1, 80), random.normal(difference, 1, 80))


@pytest.mark.parametrize(
    ("own", "copy", "independent", "level", "decided"),
    [
        (2, 2, 0, "low", "copy"),
        (2, 0, 0, "elevated", "copy"),
        (0, 2, 0, "undecided", "own"),
        (2, 2, 2, "undecided", "independent"),
        (2, 2, None, "low", "copy"),
    ],
)
def test_the_verdict_trusts_the_test_only_where_its_controls_hold(own, copy, independent, level, decided):
    judged = {"own": scores(own), "copy": scores(copy)}
    if independent is not None:
        judged["independent"] = scores(independent)
    assert (verdict(judged).level, verdict(judged).metric) == (level, f"p_{decided}")
    assert not verdict(judged).answers


def test_bad_input_is_one_sentence(tmp_path, owned):
    oracle = Oracle(owned, Serving(budget=50), PosteriorStore(tmp_path / "store.bin", CLASSES))
    with pytest.raises(DataError, match="members and non-members"):
        Ownership(**QUICK).run(oracle, owned.splits._replace(members=None), context_of(tmp_path))
    with pytest.raises(AccessError, match=r"run stealing\.basic before"):
        Ownership(**QUICK).run(oracle, owned.splits, context_of(tmp_path))
    with pytest.raises(DataError, match="at least 8 members"):
        Regressor(Walked(np.zeros((3, 2)), np.zeros((9, 2))), context_of(tmp_path))
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    free = Oracle(owned, Serving(), PosteriorStore(tmp_path / "store.bin", CLASSES))
    THEFT.model_copy(update={"epochs": 1}).run(free, owned.splits, context_of(stolen))
    with pytest.raises(BudgetError):
        Ownership(**QUICK).run(oracle, owned.splits, context_of(tmp_path, stolen))
