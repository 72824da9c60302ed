import numpy as np
import pytest
import torch

from assay.access import Serving
from assay.base.errors import BudgetError
from assay.base.progress import silent
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.hop_skip_jump import Walk
from assay.methods.membership.boundary import Boundary
from assay.targets.target import Target
from methods.membership import people

LABELS = Serving(output="label")
SHAPE = (1, 4, 6)
NORMAL = np.random.default_rng(3).normal(size=24)
NORMAL /= np.linalg.norm(NORMAL)


class Plane:
    """1 on one side of a plane through the grey image; notes every request."""

    def __init__(self):
        self.requests = []

    def __call__(self, pixels):
        self.requests.append(pixels)
        side = (pixels.reshape(len(pixels), -1) - 0.5) @ NORMAL > 0
        return np.stack([1.0 - side, side], axis=1).astype(np.float32)


def points(n, low, high, seed):
    """Images at signed distances from the plane, and these distances."""
    generator = np.random.default_rng(seed)
    distances = generator.uniform(low, high, n) * generator.choice([-1, 1], n)
    flat = generator.normal(0, 0.06, (n, 24))
    flat += (distances - flat @ NORMAL)[:, None] * NORMAL
    return (flat + 0.5).reshape(n, *SHAPE).astype(np.float32), distances


def walk(images, labels, tmp_path, limit, function=None):
    function = function or Plane()
    target = Target.from_function(function, digest="plane", input_shape=SHAPE, num_classes=2)
    oracle = people.oracle(target, tmp_path, LABELS)
    predicted = oracle.ask(torch.from_numpy(images)).labels
    with silent().step("", 1) as step:
        walking = Walk(oracle, torch.from_numpy(images), labels, predicted, limit, step)
        history = list(walking.go(20, torch.Generator().manual_seed(0)))
    return walking, history, oracle


def test_distances_to_a_plane_are_found_and_never_too_small(tmp_path):
    images, truth = points(60, 0.1, 0.4, 0)
    walking, history, _ = walk(images, (truth > 0).astype(np.int64), tmp_path, 600)
    found = walking.distances()
    assert (found >= np.abs(truth) - 1e-5).all()
    assert np.median(found / np.abs(truth)) < 1.05
    assert (found / np.abs(truth)).max() < 1.3
    assert (np.diff(history, axis=0) <= 1e-9).all()
    assert (history[-1] == found).all()
    assert np.median(history[0] / np.abs(truth)) > 1.2


@pytest.mark.parametrize("limit", [25, 60, 200])
def test_nobody_is_asked_about_more_often_than_allowed(limit, tmp_path):
    images, truth = points(40, 0.1, 0.4, 1)
    plane = Plane()
    walking, _, oracle = walk(images, (truth > 0).astype(np.int64), tmp_path, limit, plane)
    assert walking.spent.max() <= limit
    assert walking.spent.min() > limit / 3
    assert walking.spent.sum() == oracle.ledger.images + oracle.ledger.duplicates
    assert len(plane.requests) <= limit
    assert np.concatenate(plane.requests).min() >= 0
    assert np.concatenate(plane.requests).max() <= 1


def test_who_is_wrong_already_has_distance_0_and_is_not_asked_about_again(tmp_path):
    images, truth = points(30, 0.1, 0.4, 2)
    labels = (truth > 0).astype(np.int64)
    labels[:10] = 1 - labels[:10]
    walking, _, _ = walk(images, labels, tmp_path, 60)
    assert (walking.distances()[:10] == 0).all()
    assert (walking.spent[:10] == 1).all()
    assert (walking.distances()[10:] >= np.abs(truth[10:]) - 1e-5).all()


def test_where_nothing_gets_another_label_the_distance_is_the_largest_possible(tmp_path):
    def always(pixels):
        return np.tile(np.array([[0.9, 0.1]], np.float32), (len(pixels), 1))

    images, _ = points(10, 0.1, 0.4, 2)
    labels = np.zeros(10, np.int64)
    labels[0] = 1
    walking, history, _ = walk(images, labels, tmp_path, 60, always)
    assert walking.distances()[0] == 0
    assert walking.distances()[1:] == pytest.approx(np.sqrt(24))
    assert (walking.spent == 1).all()
    assert len(history) == 1


def data():
    """Members lie 0.2 to 0.4 from the plane, non-members 0.05 to 0.15; all are classified correctly."""
    parts = []
    for name, low, high, seed in (("members", 0.2, 0.4, 4), ("non-members", 0.05, 0.15, 5)):
        images, truth = points(40, low, high, seed)
        parts.append(ArrayImages(images, (truth > 0).astype(np.int64), name))
    return Splits(*parts)


def run(tmp_path, budget=None, **options):
    target = Target.from_function(Plane(), digest="plane", input_shape=SHAPE, num_classes=2, splits=data())
    oracle = people.oracle(target, tmp_path, LABELS, budget)
    return Boundary(**options).run(oracle, target.splits, people.context(tmp_path)), oracle


def test_members_further_from_the_boundary_are_told_apart_where_correctness_cannot(tmp_path):
    found, oracle = run(tmp_path, queries_per_sample=120, directions=20)
    assert found.metric("auc_correctness").value == 0.5
    assert found.metric("auc_boundary_distance").value > 0.98
    assert found.verdict.level == "high"
    assert oracle.ledger.images <= 80 * 120
    assert found.metric("images_per_sample").value == found.samples["images_per_sample"].mean() <= 120
    progress = found.figures[0].series[0]
    assert (np.diff(progress.x) > 0).all()
    assert progress.y[-1] == found.metric("auc_boundary_distance").value
    assert progress.x[-1] == found.metric("images_per_sample").value
    again, _ = run(tmp_path, queries_per_sample=120, directions=20)
    assert again.metrics == found.metrics


def test_a_budget_leaves_fewer_samples_and_not_fewer_questions(tmp_path):
    found, oracle = run(tmp_path, budget=1250, queries_per_sample=60, directions=10)
    assert len(found.samples["auc_boundary_distance"]) == 20
    assert oracle.ledger.images <= 1250
    with pytest.raises(BudgetError, match="leaves 200 images"):
        run(tmp_path, budget=200, queries_per_sample=60)


def test_a_baseline_halves_the_noise_of_a_normal_estimated_beside_the_boundary(tmp_path):
    """Where most labels around a point agree, their mean tells nothing of the normal, and is taken off."""
    images, truth = points(300, 0.2, 0.2, 6)
    labels = (truth > 0).astype(np.int64)
    target = Target.from_function(Plane(), digest="plane", input_shape=SHAPE, num_classes=2)
    oracle = people.oracle(target, tmp_path, LABELS)
    with silent().step("", 1) as step:
        walking = Walk(oracle, torch.from_numpy(images), labels, labels, 200, step)
        side = np.sign(truth)
        beyond = images.reshape(300, -1) - ((truth + 0.0006 * side)[:, None] * NORMAL)
        walking._points = torch.from_numpy(beyond.reshape(images.shape).astype(np.float32))
        found = walking._normals(np.arange(300), 60, torch.Generator().manual_seed(0))
    cosines = (found.flatten(1).numpy() @ NORMAL) * -side
    assert 0.5 < cosines.mean() < 0.8
