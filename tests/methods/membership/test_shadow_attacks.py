import numpy as np
import pytest
import torch

from assay.access import Serving
from assay.base.errors import DataError, UsageError
from assay.data.images import Subset
from assay.data.splits import Splits
from assay.methods.check import check_finding
from assay.methods.membership.lira_attack import Lira
from assay.methods.membership.logits import scaled_logit
from assay.methods.membership.pooled_attack import Pooled
from assay.methods.membership.rmia_attack import Rmia
from assay.methods.membership.shadow_attack import ShadowScores, Shown, shadow_finding
from assay.studies import Trial, Workspace, run_trials
from assay.targets.reference import load_target
from assay.targets.target import Target
from assay.training import fit, seeded_build, shadow
from assay.training.shadow import MIRRORED
from methods.membership import people
from oracles import membership as slow

TINY = {
    "models": 4, "architecture": "digits-mlp", "epochs": 3, "max_members": 60, "max_non_members": 60, "mirror": True,
}  # fmt: skip
ALL = [Lira(**TINY), Rmia(**TINY), Pooled(**TINY)]


@pytest.fixture(scope="module")
def target():
    return load_target("starter/digits-cnn-overfitted")


def run(method, target, folder, seed=0, **options):
    return method.run(people.oracle(target, folder, **options), target.splits, people.context(folder, seed))


@pytest.fixture
def trained(monkeypatch):
    """The labels of the trainings that begin; a number in ``stop`` interrupts the one of that number."""
    labels, fit = [], shadow.fit

    class Trained(list):
        stop = None

    labels = Trained()

    def counted(*arguments, label, **more):
        labels.append(label)
        if len(labels) - 1 == labels.stop:
            raise KeyboardInterrupt
        return fit(*arguments, label=label, **more)

    monkeypatch.setattr(shadow, "fit", counted)
    return labels


@pytest.mark.parametrize("method", ALL)
def test_findings_are_whole(method, target, tmp_path):
    found = run(method, target, tmp_path)
    check_finding(found, method.name, tmp_path / "artefacts")
    assert len(found.samples) == 120
    assert all(np.isfinite(column).all() for column in found.samples.scores.values())
    names = [metric.name for metric in found.metrics]
    assert {
        "balanced_accuracy",
        "calibrated_tpr",
        "calibrated_fpr",
        "tpr_at_fpr_0.05",
        "precision_at_prior_0.01",
    } <= set(names)
    assert len(set(names)) == len(names)
    kinds = [figure.kind for figure in found.figures]
    assert kinds[0] == "lines"
    assert {"table", "gallery"} <= set(kinds)
    assert found.figures[0].x_log


def test_lira_equals_the_slow_reference_from_the_stored_logits(target, tmp_path):
    method = Lira(**TINY)
    oracle = people.oracle(target, tmp_path)
    found = method.run(oracle, target.splits, people.context(tmp_path))
    known = method.shadow(oracle, target.splits, people.context(tmp_path))
    values, shadows = known.values(scaled_logit)
    rows, member = found.samples["row"], found.samples.positive
    for i in (0, 30, 59, 60, 119):
        part = target.splits.members if member[i] else target.splits.non_members
        image = part.take(rows[i : i + 1])
        for q, asked in enumerate((image, image.flip(-1))):
            logits = target.logits(asked)[0].double()
            y = int(part.labels[rows[i]])
            others = torch.cat([logits[:y], logits[y + 1 :]])
            assert values[i, q] == pytest.approx(float(logits[y] - torch.logsumexp(others, 0)), abs=2e-5)
    expected = slow.lira(values, shadows, known.inside, True, True)
    assert found.samples["auc_lira_online_fixed"] == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)
    assert (member == np.repeat([True, False], 60)).all()


def test_every_sample_is_in_half_of_the_models_and_asked_about_twice(target, tmp_path):
    oracle = people.oracle(target, tmp_path)
    known = Lira(**TINY).shadow(oracle, target.splits, people.context(tmp_path))
    assert (known.inside.sum(axis=0) == 2).all()
    assert known.posteriors.shape == (120, 2, 10)
    assert known.shadows.shape == (4, 2, 120, 10)
    assert oracle.ledger.images + oracle.ledger.duplicates == 240
    plain = people.oracle(target, tmp_path)
    once = Lira(**{**TINY, "mirror": False}).shadow(plain, target.splits, people.context(tmp_path))
    assert once.shadows.shape[1] == 1
    assert plain.ledger.images == 120


def test_a_budget_pays_for_both_questions(target, tmp_path):
    oracle = people.oracle(target, tmp_path, budget=100)
    found = Lira(**TINY).run(oracle, target.splits, people.context(tmp_path))
    assert len(found.samples["row"]) == 50
    assert oracle.ledger.images <= 100
    assert "25 members and 25 non-members" in found.metric("auc_lira_online_fixed").note


def test_shadow_models_are_trained_once_for_all_attacks(target, tmp_path, trained):
    workspace = Workspace(tmp_path / "workspace")
    done = run_trials([Trial(target, method, Serving(), 5) for method in ALL], workspace).outcomes
    assert [outcome.status for outcome in done] == ["done"] * 3
    assert len(trained) == 4
    run_trials([Trial(target, Lira(**{**TINY, "mirror": False}), Serving(), 5)], workspace)
    assert len(trained) == 4
    run_trials([Trial(target, Lira(**{**TINY, "epochs": 2}), Serving(), 5)], workspace)
    run_trials([Trial(target, Lira(**TINY), Serving(), 6)], workspace)
    assert len(trained) == 12


@pytest.mark.parametrize("at", range(4))
def test_interrupted_at_any_model_only_the_rest_is_trained(at, target, tmp_path, trained):
    (tmp_path / "calm").mkdir()
    (tmp_path / "torn").mkdir()
    calm = run(Lira(**TINY), target, tmp_path / "calm")
    trained.clear()
    trained.stop = at
    with pytest.raises(KeyboardInterrupt):
        run(Lira(**TINY), target, tmp_path / "torn")
    trained.clear()
    trained.stop = None
    resumed = run(Lira(**TINY), target, tmp_path / "torn")
    assert trained == [f"shadow model {n} of 4" for n in range(at + 1, 5)]
    assert resumed.metrics == calm.metrics
    assert all((resumed.samples[name] == column).all() for name, column in calm.samples.scores.items())


def test_the_overfitted_network_is_more_exposed_than_the_regularised(tmp_path):
    method = Lira(
        models=4, architecture="digits-cnn", epochs=40, batch_size=32, weight_decay=0.0, max_members=100,
        max_non_members=100, online=False,
    )  # fmt: skip
    aucs = []
    for name in ("overfitted", "regularised"):
        (tmp_path / name).mkdir()
        found = run(method, load_target(f"starter/digits-cnn-{name}"), tmp_path / name)
        aucs.append(found.metric(found.verdict.metric))
    assert aucs[0].interval.low > 0.6
    assert aucs[0].value > aucs[1].value + 0.1


def test_shadow_models_trained_like_the_target_find_its_members(target, tmp_path):
    """A network of the shadow models' kind: every attack finds its members, at calibrated thresholds too."""
    outside = Subset(target.splits.non_members, np.arange(300))
    method = Lira(models=8, architecture="digits-mlp", epochs=60, batch_size=32, weight_decay=0.0)
    module = seeded_build("digits-mlp", 10, (1, 8, 8), 77)
    members, non_members = Subset(outside, np.arange(150)), Subset(outside, np.arange(150, 300))
    fit(
        module, members, torch.from_numpy(members.labels), method.plan(0).recipe, seed=77, device=torch.device("cpu")
    )  # fmt: skip
    alike = Target.from_module(
        module, input_shape=(1, 8, 8), num_classes=10, splits=Splits(members, non_members), name="alike"
    )  # fmt: skip
    for kind in (Lira, Rmia, Pooled):
        options = {name: value for name, value in method.model_dump().items() if name in kind.model_fields}
        found = run(kind(**options), alike, tmp_path)
        assert found.metric(found.verdict.metric).interval.low > 0.55
        assert found.metric("balanced_accuracy").value > 0.5


@pytest.mark.parametrize("kind", [Lira, Rmia, Pooled])
def test_fewer_shadow_models_than_needed_are_one_sentence_before_any_training(kind, target, tmp_path, trained):
    with pytest.raises(DataError, match="needs at least 4 shadow models; 3 are asked for"):
        run(kind(**{**TINY, "models": 3}), target, tmp_path)
    with pytest.raises(DataError, match="for each example needs at least 6 shadow models; 4 are asked for"):
        run(Lira(**TINY, variance="per-example"), target, tmp_path)
    assert trained == []


def test_which_variant_decides_is_fixed_in_advance(target, tmp_path):
    assert Lira(models=16).deciding == "lira_online_fixed"
    assert Lira(models=64).deciding == "lira_online_per_example"
    assert Lira(models=64, variance="fixed", online=False).deciding == "lira_offline_fixed"
    assert Lira(models=16, variance="shrunken").deciding == "lira_online_shrunken"
    with pytest.raises(UsageError, match="online=true"):
        run(Lira(**TINY, variance="shrunken", online=False), target, tmp_path)
    found = run(Rmia(**TINY, online=False, a=0.3), target, tmp_path)
    assert found.verdict.metric == "auc_rmia_offline"


def test_rmia_takes_the_a_it_is_given_or_finds_one(target, tmp_path):
    scores = [run(Rmia(**TINY, a=a), target, tmp_path).samples["auc_rmia_offline"] for a in (None, *np.arange(11) / 10)]
    assert any((scores[0] == other).all() for other in scores[1:])
    assert any((scores[0] != other).any() for other in scores[1:])


def test_infinite_logits_are_one_sentence(target, tmp_path):
    method = Lira(**TINY)
    run(method, target, tmp_path)
    (file,) = (tmp_path / "artefacts").glob("*/logits-002.npy")
    logits = np.load(file)
    logits[0, 5, 3] = np.inf
    np.save(file, logits)
    with pytest.raises(DataError, match="NaN or infinity"):
        run(method, target, tmp_path)
    mute = Target.from_module(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)),
        input_shape=(1, 8, 8), num_classes=10, splits=target.splits,
    )  # fmt: skip
    object.__setattr__(mute, "logits", lambda images: torch.full((len(images), 10), torch.inf))
    with pytest.raises(DataError, match="NaN or infinity"):
        run(method, mute, tmp_path)


@pytest.mark.parametrize("method", ALL)
def test_a_target_that_says_the_same_of_everything_leaks_nothing(method, target, tmp_path):
    flat = Target.from_function(
        lambda images: np.full((len(images), 10), 0.1, np.float32),
        digest="flat", input_shape=(1, 8, 8), num_classes=10, splits=target.splits,
    )  # fmt: skip
    found = run(method, flat, tmp_path)
    assert found.verdict.level in ("low", "undecided")


def test_scores_that_are_all_equal_are_guessing(target, tmp_path):
    known = Lira(**TINY).shadow(people.oracle(target, tmp_path), target.splits, people.context(tmp_path))
    same = np.zeros(120)
    scores = ShadowScores(known, {"same": same}, "same", (np.zeros((4, 120)), known.inside))
    found = shadow_finding(scores, people.context(tmp_path))
    assert found.metric("auc_same").value == 0.5
    assert found.metric("balanced_accuracy").value == 0.5
    assert found.verdict.level == "undecided"


def test_a_set_shown_mirrored(target):
    part = target.splits.members
    shown = Shown(part, MIRRORED)
    assert (shown.take(np.arange(3)) == part.take(np.arange(3)).flip(-1)).all()
    assert (len(shown), shown.digest != part.digest) == (len(part), True)
