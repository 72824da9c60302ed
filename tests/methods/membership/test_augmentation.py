import numpy as np
import pytest
import torch
from scipy import ndimage

from assay.access import Serving
from assay.base.errors import BudgetError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.membership.augmentation import Augmentation, moved, turned
from assay.methods.membership.label_only import LabelOnly
from assay.targets.target import Target
from methods.membership import people

LABELS = Serving(output="label")


def images(n=3, shape=(2, 9, 13)):
    return torch.from_numpy(np.random.default_rng(0).random((n, *shape), dtype=np.float32))


@pytest.mark.parametrize("by", [(0, 1), (-1, 0), (2, -1), (0, 0)])
def test_moving_is_a_shift_that_repeats_the_border(by):
    expected = ndimage.shift(images().numpy(), (0, 0, *by), order=0, mode="nearest")
    assert (moved(images(), *by).numpy() == expected).all()


@pytest.mark.parametrize("degrees", [4.0, -4.0, 30.0, 90.0])
@pytest.mark.parametrize("shape", [(2, 9, 13), (1, 8, 8)])
def test_turning_is_a_bilinear_rotation_about_the_centre(degrees, shape):
    given = images(shape=shape)
    expected = ndimage.rotate(given.numpy(), degrees, (3, 2), reshape=False, order=1, mode="nearest")
    inside = ndimage.rotate(np.ones_like(given), degrees, (3, 2), reshape=False, order=1, mode="constant") > 0.999
    assert inside.mean() > 0.5
    assert turned(given, degrees).numpy()[inside] == pytest.approx(expected[inside], abs=1e-5)


def test_the_copies_are_those_of_the_paper_and_the_mirror_image():
    assert len(Augmentation(mirror=False, shift=2, rotation=0).alterations()) == 8
    assert len(Augmentation(mirror=False, shift=0, rotation=4).alterations()) == 2
    assert list(Augmentation(shift=0, rotation=0).alterations()) == ["mirrored"]
    copies = [alter(images()) for alter in Augmentation().alterations().values()]
    assert len(copies) == 7
    assert all(copy.shape == images().shape and copy.dtype == torch.float32 for copy in copies)
    for i, one in enumerate(copies):
        assert all((one != other).any() for other in [images(), *copies[:i]])


def corner(pixels):
    """1 where the top left pixel is bright."""
    bright = pixels[:, 0, 0, 0] > 0.5
    return np.stack([1.0 - bright, bright], axis=1).astype(np.float32)


def placed(n, shape, name, seed):
    """Bright images of label 1: members wherever they are moved, non-members in the top left pixel only."""
    pixels = np.random.default_rng(seed).uniform(0, 0.2, (n, 1, 6, 6)).astype(np.float32)
    pixels[:, 0, : shape[0], : shape[1]] = 0.9
    return ArrayImages(pixels, np.ones(n, np.int64), name)


def test_a_sample_that_keeps_its_label_when_moved_is_called_a_member(tmp_path):
    data = Splits(placed(80, (6, 6), "members", 0), placed(60, (1, 1), "non-members", 1))
    target = Target.from_function(corner, digest="corner", input_shape=(1, 6, 6), num_classes=2, splits=data)
    oracle = people.oracle(target, tmp_path, LABELS)
    found = Augmentation(blind_baseline=False).run(oracle, data, people.context(tmp_path))
    assert oracle.ledger.images + oracle.ledger.duplicates == 8 * 140
    assert found.metric("images_per_sample").value == 8
    assert found.metric("auc_correctness").value == 0.5
    assert found.metric("auc_augmentation").value == found.metric("auc_augmentation_count").value == 1.0
    assert found.verdict.level == "high"
    member = found.samples.positive
    assert (member.sum(), (~member).sum()) == (40, 30)
    assert set(found.samples["auc_augmentation_count"][member]) == {8.0}
    assert found.samples["auc_augmentation_count"][~member].max() < 8
    table = found.figures[1]
    assert table.rows[0] == ["as it is", "100.0 %", "100.0 %"]
    assert table.rows[1] == ["mirrored", "100.0 %", "0.0 %"]
    assert [len(table.rows), *{len(row) for row in table.rows}] == [8, len(table.columns)]


def test_it_asks_for_labels_and_judges_the_half_that_was_not_known(tmp_path):
    data = people.splits(60, 40)
    oracle = people.oracle(people.target(data), tmp_path, LABELS)
    found = Augmentation(shift=0, rotation=0).run(oracle, data, people.context(tmp_path))
    assert len(found.samples["row"]) == 50
    rows, member = found.samples["row"], found.samples.positive
    assert (data.members.labels[rows[member]] == found.samples["label"][member]).all()
    right = found.samples["predicted"] == found.samples["label"]
    assert found.metric("train_accuracy").value == right[member].mean()
    assert found.metric("auc_correctness").value == 0.5 + found.metric("overfitting_gap").value / 2


def test_a_budget_leaves_fewer_samples_and_not_fewer_copies(tmp_path):
    data = people.splits(60, 40)
    oracle = people.oracle(people.target(data), tmp_path, LABELS, budget=100)
    found = Augmentation(shift=0).run(oracle, data, people.context(tmp_path))
    assert oracle.ledger.images <= 100
    assert "15 members and 10 non-members" in found.metric("auc_augmentation").note
    with pytest.raises(BudgetError, match="leaves 9 images"):
        Augmentation().run(people.oracle(people.target(data), tmp_path, LABELS, 9), data, people.context(tmp_path))


def test_without_copies_it_is_the_gap_attack(tmp_path):
    data = people.splits(400, 400)
    oracle = people.oracle(people.target(data), tmp_path, LABELS)
    alone = Augmentation(mirror=False, shift=0, rotation=0).run(oracle, data, people.context(tmp_path))
    assert alone.metric("auc_augmentation_count").value == pytest.approx(alone.metric("auc_correctness").value)
    whole = LabelOnly().run(oracle, data, people.context(tmp_path))
    assert alone.metric("auc_correctness").value == pytest.approx(whole.metric("auc_correctness").value, abs=0.1)
