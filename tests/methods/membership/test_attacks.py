import numpy as np
import pytest

from assay.access import Serving
from assay.base.errors import AccessError, BudgetError, DataError
from assay.data.images import ArrayImages, Subset
from assay.data.splits import Splits
from assay.methods.check import check_finding
from assay.methods.finding import Finding
from assay.methods.membership.attack import MembershipMethod
from assay.methods.membership.label_only import LabelOnly
from assay.methods.membership.metrics_attack import MetricAttacks
from assay.methods.membership.mlp_attack import MlpAttack
from assay.methods.method import METHODS
from assay.targets.target import Target
from methods.membership import people
from oracles import membership as slow

ALL = [MetricAttacks(), LabelOnly(), MlpAttack(epochs=2)]


def run(method, data, tmp_path, **options) -> Finding:
    return method.run(people.oracle(people.target(data), tmp_path, **options), data, people.context(tmp_path))


def scores_by_hand(data, signal, tmp_path):
    oracle = people.oracle(people.target(data), tmp_path)
    return [
        [
            signal([float(p) for p in row], int(y))
            for row, y in zip(oracle.ask_all(part).posteriors, part.labels, strict=True)
        ]
        for part in (data.members, data.non_members)
    ]


def test_all_are_registered_under_the_family_and_ask_nothing_new():
    for method in ALL:
        assert METHODS.get(method.name) is type(method)
        assert (method.family, method.novel_inputs) == ("membership", False)
        assert set(method.presets) == {"quick", "standard", "full"}
        for options in method.presets.values():
            type(method)(**options)


@pytest.mark.parametrize("signal", ["correctness", "confidence", "loss", "entropy", "modified_entropy"])
def test_metric_attacks_equal_the_slow_reference(signal, tmp_path):
    data = people.splits(120, 80)
    found = run(MetricAttacks(), data, tmp_path)
    expected = scores_by_hand(data, getattr(slow, signal), tmp_path)
    metric = found.metric(f"auc_{signal}")
    assert metric.value == pytest.approx(slow.auc(*expected), abs=1e-9)
    assert metric.interval.low < metric.value < metric.interval.high
    assert metric.n == 200
    assert found.samples[f"auc_{signal}"] == pytest.approx(np.concatenate(expected), abs=1e-9)


def test_rates_are_those_of_modified_entropy(tmp_path):
    data = people.splits(120, 80)
    found = run(MetricAttacks(), data, tmp_path)
    expected = scores_by_hand(data, slow.modified_entropy, tmp_path)
    assert found.metric("tpr_at_fpr_0.05").value == pytest.approx(slow.tpr_at_fpr(*expected, 0.05))
    assert found.metric("tpr_at_fpr_0.01").value is None
    assert "at least 100 non-members" in found.metric("tpr_at_fpr_0.01").note
    assert found.metric("precision_at_prior_0.1").value is None
    assert found.verdict.metric == "auc_modified_entropy"


def test_correctness_auc_is_one_half_plus_half_the_gap(tmp_path):
    data = people.splits()
    found = run(MetricAttacks(), data, tmp_path)
    gap = found.metric("overfitting_gap")
    auc = found.metric("auc_correctness")
    assert gap.value == found.metric("train_accuracy").value - found.metric("test_accuracy").value
    assert auc.value == 0.5 + gap.value / 2
    assert auc.value == pytest.approx(slow.auc(*scores_by_hand(data, slow.correctness, tmp_path)), abs=1e-12)
    assert (auc.interval.low, auc.interval.high) == (0.5 + gap.interval.low / 2, 0.5 + gap.interval.high / 2)


def test_the_label_only_attack_gives_the_same_gap_from_labels_alone(tmp_path):
    data = people.splits()
    found = run(LabelOnly(), data, tmp_path, serving=Serving(output="label"))
    other = run(MetricAttacks(), data, tmp_path)
    for name in ("train_accuracy", "test_accuracy", "overfitting_gap", "auc_correctness"):
        assert found.metric(name) == other.metric(name)
    assert found.verdict.metric == "auc_correctness"
    assert (found.samples["predicted"] == found.samples["label"]).mean() < 1


@pytest.mark.parametrize("method", [MetricAttacks(), MlpAttack()])
def test_a_label_only_target_is_refused_by_what_needs_posteriors(method, tmp_path):
    with pytest.raises(AccessError, match="labels only"):
        run(method, people.splits(20, 20), tmp_path, serving=Serving(output="label"))


def test_the_whole_family_costs_one_forward_pass_an_image(tmp_path):
    """At most 1.2 times the images that must be looked at; each method pays for its own questions."""
    data = people.splits()
    needed = len(data.members) + len(data.non_members)
    counting = people.Counting()
    for method in ALL:
        oracle = people.oracle(people.target(data, counting), tmp_path)
        method.run(oracle, data, people.context(tmp_path))
        assert (oracle.ledger.images, oracle.ledger.duplicates) == (needed, 0)
    assert needed <= counting.forwards <= 1.2 * needed


@pytest.mark.parametrize("method", ALL)
def test_findings_are_whole_finite_and_repeatable(method, tmp_path):
    data = people.splits(150, 120)
    found = run(method, data, tmp_path)
    check_finding(found, method.name, tmp_path / "artefacts")
    assert found.samples.scores
    assert all(np.isfinite(column).all() for column in found.samples.scores.values())
    for metric in found.metrics:
        if metric.value is None:
            assert metric.note
        else:
            assert metric.interval.low <= metric.value <= metric.interval.high
    rows, member = found.samples["row"], found.samples.positive
    assert (data.members.labels[rows[member]] == found.samples["label"][member]).all()
    assert (data.non_members.labels[rows[~member]] == found.samples["label"][~member]).all()
    again = run(method, data, tmp_path)
    assert again.metrics == found.metrics
    assert all((again.samples[name] == column).all() for name, column in found.samples.scores.items())


def test_figures_of_the_metric_attacks(tmp_path):
    data = people.splits()
    found = run(MetricAttacks(), data, tmp_path)
    roc, confidence, gallery = found.figures
    assert [series.name for series in roc.series] == [
        "correctness", "confidence", "loss", "entropy", "modified entropy",
    ]  # fmt: skip
    assert roc.x_log
    assert roc.y_log
    assert all(len(series.x) == len(series.y) <= 400 for series in roc.series)
    assert all(sum(counts) == pytest.approx(1) for counts in confidence.counts.values())
    assert {len(row) for row in gallery.files} == {len(gallery.columns)}
    for file in [file for row in gallery.files for file in row]:
        assert (tmp_path / "artefacts" / file).stat().st_size > 0
    assert len({file for row in gallery.files for file in row}) == 16


def test_the_gallery_shows_the_member_with_the_highest_score_first(tmp_path):
    from PIL import Image

    data = people.splits(40, 120)
    found = run(MetricAttacks(), data, tmp_path)
    scores = found.samples["auc_modified_entropy"][found.samples.positive]
    image = data.members.images[int(scores.argmax()), 0]
    shown = np.asarray(Image.open(tmp_path / "artefacts" / found.figures[2].files[0][0]))[:, :, 0]
    enlarged = shown.shape[0] // 2
    assert shown[::enlarged, ::enlarged] == pytest.approx(np.rint(255 * image), abs=1)


@pytest.mark.parametrize("method", ALL)
def test_recorded_answers_suffice(method, tmp_path):
    data = people.splits(60, 120)
    recorded = Target.from_outputs(
        (people.answer(data.members.images), data.members.labels),
        (people.answer(data.non_members.images), data.non_members.labels),
    )
    found = method.run(people.oracle(recorded, tmp_path), recorded.splits, people.context(tmp_path))
    asked = run(method, data, tmp_path)
    assert [m.name for m in found.metrics] == [m.name for m in asked.metrics if m.name != "auc_blind"]
    assert found.metrics[0].value == pytest.approx(asked.metrics[0].value, abs=0.02)
    assert not any(figure.kind == "gallery" for figure in found.figures)


def test_identical_recorded_answers_are_no_overlap(tmp_path):
    sure = np.tile(np.eye(3, dtype=np.float32), (20, 1))
    recorded = Target.from_outputs((sure, np.arange(60) % 3), (sure, np.arange(60) % 3))
    found = MetricAttacks().run(people.oracle(recorded, tmp_path), recorded.splits, people.context(tmp_path))
    assert found.metric("auc_modified_entropy").value == 0.5
    assert found.verdict.level == "undecided"


@pytest.mark.parametrize("method", ALL)
def test_caps_draw_the_same_samples_for_every_method(method, tmp_path):
    data = people.splits()
    capped = type(method)(**{**method.model_dump(), "max_members": 50, "max_non_members": 40})
    oracle = people.oracle(people.target(data), tmp_path)
    asked = capped.ask(oracle, data, people.context(tmp_path))
    same = LabelOnly(max_members=50, max_non_members=40).ask(oracle, data, people.context(tmp_path))
    assert (oracle.ledger.images, oracle.ledger.duplicates) == (90, 90)
    assert (asked.members.rows == same.members.rows).all()
    assert len(set(asked.members.rows.tolist())) == 50
    other = capped.ask(oracle, data, people.context(tmp_path, seed=1))
    assert set(other.members.rows.tolist()) != set(asked.members.rows.tolist())


def test_a_budget_shrinks_the_population_in_proportion_and_says_so(tmp_path):
    data = people.splits()
    found = run(MetricAttacks(), data, tmp_path, budget=250)
    assert found.samples.positive.sum() == 150
    assert len(found.samples.positive) == 250
    assert "150 members and 100 non-members" in found.metric("auc_loss").note
    with pytest.raises(BudgetError, match="leaves 3 images"):
        run(MetricAttacks(), data, tmp_path, budget=3)


def joined(*parts):
    images, labels = (np.concatenate([getattr(p, name) for p in parts]) for name in ("images", "labels"))
    return ArrayImages(images, labels, "joined")


def test_members_among_the_non_members_are_left_out_or_refused(tmp_path):
    data = people.splits()
    one = Subset(data.members, [7])
    slightly = Splits(
        data.members, joined(data.non_members, ArrayImages(one.take(np.array([0])).numpy(), one.labels, ""))
    )
    found = run(MetricAttacks(), slightly, tmp_path)
    assert "1 non-members that are members too" in found.metric("auc_loss").note
    assert found.metric("auc_loss").value == run(MetricAttacks(), data, tmp_path).metric("auc_loss").value
    with pytest.raises(DataError, match="300 of 500 non-members are members too"):
        run(LabelOnly(), Splits(data.members, joined(data.non_members, data.members)), tmp_path)


def test_repeats_among_the_members_alone_are_no_overlap(tmp_path):
    data = people.splits(30, 30)
    found = run(LabelOnly(), Splits(joined(data.members, data.members), data.non_members), tmp_path)
    assert found.samples.positive.sum() == 60


def test_a_missing_part_is_named(tmp_path):
    data = people.splits(20, 20)
    with pytest.raises(DataError, match="members and non-members"):
        LabelOnly().run(people.oracle(people.target(data), tmp_path), Splits(data.members), people.context(tmp_path))


def test_the_base_class_is_no_method():
    assert not hasattr(MembershipMethod, "name")
