"""Running means of batch normalisation: distances, augmentation, poison, and the scan's verdict by it."""

import numpy as np
import pytest
import torch

from assay.access import WhiteBox
from assay.base.progress import silent
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.backdoor.models import batch_norm, scan, scan_report
from assay.methods.backdoor.models.augmentations import FURTHER, MIRRORED, shifts
from assay.methods.backdoor.models.batch_norm import (
    RIDGE,
    SMALLEST,
    Layer,
    Moments,
    RunningMeans,
    compare,
    distance,
    leads_to,
    slack,
    under_surplus,
)
from assay.methods.backdoor.models.null import CleanModel, kind_of
from assay.methods.backdoor.models.scan import Scan
from assay.targets.loading.keras_modules import Normalise
from assay.targets.target import Target
from methods.backdoor.models.toys import run

SHAPE, CLASSES = (1, 16, 16), 4
COUNT = 400


def pictures(count, seed):
    """A brighter quarter for each class, in noise."""
    random = np.random.default_rng(seed)
    images = 0.3 * random.random((count, *SHAPE))
    labels = np.arange(count) % CLASSES
    for image, label in zip(images, labels, strict=True):
        down, right = divmod(int(label), 2)
        image[:, 8 * down + 2 : 8 * down + 7, 8 * right + 1 : 8 * right + 5] += 0.6
    return torch.from_numpy(images.clip(0, 1).astype(np.float32)), labels


def network(seen, seed=0):
    """Random convolutions that remember the statistics of the images seen, all at once, and a fitted last layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [
            torch.nn.Conv2d(1, 8, 5, padding=2),
            torch.nn.BatchNorm2d(8, momentum=None),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 12, 3, stride=2),
            torch.nn.BatchNorm2d(12, momentum=None),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(48, CLASSES),
        ]
    module = torch.nn.Sequential(*layers)
    with torch.no_grad():
        module.train()(seen)
        trained(module)
        features = module.eval()[:-1](pictures(COUNT, 4)[0])
        wanted = torch.eye(CLASSES).repeat(COUNT // CLASSES, 1)
        module[-1].weight.copy_(torch.linalg.lstsq(features, wanted).solution.T)
        module[-1].bias.zero_()
    return module


def trained(module):
    """As if its running means had come with a training."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.1
            layer.num_batches_tracked.fill_(1000)


def target(module, count=COUNT):
    images, labels = pictures(count, 1)
    splits = Splits(non_members=ArrayImages(images.numpy(), labels, "quarters"))
    return Target.from_module(module, input_shape=SHAPE, num_classes=CLASSES, splits=splits)


def compared(module, count=COUNT):
    opened = target(module)
    with silent().step("comparing", 1) as bar:
        return compare(WhiteBox(opened), opened.splits.non_members, count, torch.Generator().manual_seed(0), bar)


def poisoned(images, share=0.1):
    stamped = images.clone()
    checks = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(2, 2)
    stamped[: round(share * len(images)), :, -4:, -4:] = checks
    return stamped


def lead(module, images):
    """Make the last layer send what the checks do to the mean features to one class."""
    with torch.no_grad():
        ordinary = module[:-1](images).mean(0)
        difference = module[:-1](poisoned(images, 1.0)).mean(0) - ordinary
        pull = 20 * difference / difference.square().sum()
        module[-1].weight[2] += pull
        module[-1].bias[2] -= pull @ ordinary


def test_the_distance_is_hotellings():
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 6)) @ random.normal(size=(6, 6))
    surplus = random.normal(size=6)
    covariance = np.cov(values.T)
    covariance += RIDGE * np.trace(covariance) / 6 * np.eye(6)
    squared = 50 * surplus @ np.linalg.inv(covariance) @ surplus
    found = distance(torch.cov(torch.from_numpy(values).T), torch.from_numpy(surplus), 50)
    assert found == pytest.approx(squared * (50 - 6) / (6 * 49))


def test_the_distance_of_chance_is_one():
    random = torch.Generator().manual_seed(0)
    mixing = torch.randn(20, 20, generator=random, dtype=torch.float64)
    found = []
    for _ in range(100):
        values = torch.randn(200, 20, generator=random, dtype=torch.float64) @ mixing
        found.append(distance(torch.cov(values.T), -values.mean(0), 200))
    assert np.mean(found) == pytest.approx(1, abs=0.1)


def test_the_same_images_are_remembered_as_they_are():
    images, _ = pictures(COUNT, 1)
    found = compared(network(images))
    assert found.augmentation == "as they are"
    assert found.strength == pytest.approx(np.log(SMALLEST))
    assert len(found.layers) == 2
    for layer in found.layers:
        assert layer.surplus.abs().max() < 1e-4


def test_a_tenth_of_poison_is_remembered_far_more_than_what_samples_differ_by():
    clean, poison = [], []
    for seed in range(5):
        images, _ = pictures(1000, 10 + seed)
        clean.append(compared(network(images, seed)).strength)
        poison.append(compared(network(poisoned(images), seed)).strength)
    assert min(poison) > max(clean) + 0.5


@pytest.mark.parametrize("share", [0.5, 1])
@pytest.mark.parametrize("further", FURTHER, ids=lambda augmentation: augmentation.name)
def test_augmentation_explains_itself(further, share):
    images, _ = pictures(1000, 2)
    poison = network(poisoned(images))
    some = round(share * len(images))
    images[:some] = further.change(images, torch.Generator().manual_seed(3))[:some]
    assert compared(network(images)).strength < compared(poison).strength - 0.5


@pytest.mark.parametrize("further", [None, *FURTHER], ids=lambda augmentation: augmentation and augmentation.name)
def test_so_does_augmentation_of_moved_images(further, request):
    """With few channels some augmentations pass for others, and the search, which is greedy, misses one."""
    if further is not None and further.name == "mixed in pairs":
        request.applymarker(pytest.mark.xfail(strict=True, reason="the search starts from the wrong shift, and stays"))
    generator = torch.Generator().manual_seed(3)
    images, _ = pictures(1000, 2)
    poison = network(poisoned(images))
    images = MIRRORED.change(shifts(16)[2].change(images, generator), generator)
    if further is not None:
        images = further.change(images, generator)
    found = compared(network(images))
    assert found.strength < compared(poison).strength - 0.5
    if further is None or further.name not in ("with small squares blackened", "mixed in pairs, mostly a little"):
        assert found.augmentation.startswith("shifted by up to 2 pixels")
        assert found.augmentation.endswith((further or MIRRORED).name)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_the_shift_is_found(pixels):
    images = shifts(16)[pixels].change(pictures(1000, 2)[0], torch.Generator().manual_seed(3))
    assert compared(network(images)).augmentation.startswith(f"shifted by up to {pixels} pixel")


@pytest.mark.parametrize("share", [0.5, 1])
@pytest.mark.parametrize("place", [*range(8), 11, 13, 14, 15])
def test_what_was_done_to_a_share_of_the_images_is_found(place, share):
    images, _ = pictures(1000, 2)
    some = round(share * len(images))
    images[:some] = FURTHER[place].change(images[:some], torch.Generator().manual_seed(3))
    found = compared(network(images)).augmentation
    assert found.endswith(f"of them {FURTHER[place].name}")
    assert int(found.split("%")[0].split()[-1]) == pytest.approx(100 * share, abs=20)


def test_a_share_of_images_that_are_handled_otherwise_is_a_mixture_of_both():
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2, 1000, 3, generator=random, dtype=torch.float64) + torch.tensor([0.0, 4.0])[:, None, None]
    plain, handled = (Moments(part.mean(0), torch.cov(part.T)) for part in values)
    mixture = plain.mixed(handled, 0.3)
    torch.testing.assert_close(mixture.mean, 0.7 * plain.mean + 0.3 * handled.mean)
    torch.testing.assert_close(mixture.covariance, 0.7 * plain.covariance + 0.3 * handled.covariance)


def test_only_the_last_third_of_the_layers_counts():
    layers = [Layer(str(i), distance, torch.zeros(1)) for i, distance in enumerate((100.0, 50.0, 20.0, 4.0, 1.0))]
    found = RunningMeans("as they are", layers)
    assert [layer.name for layer in found.deep] == ["3", "4"]
    assert found.strength == pytest.approx(np.log(4) / 2)
    assert RunningMeans("as they are", layers[:1]).deep == layers[:1]


def test_a_wide_layer_is_judged_by_some_of_its_channels():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wide = torch.nn.Sequential(torch.nn.Conv2d(1, 120, 3), torch.nn.BatchNorm2d(120, momentum=None))
        module = torch.nn.Sequential(wide, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(120, 4))
    module.train()(pictures(COUNT, 5)[0])
    (layer,) = compared(module.eval(), count=100).layers
    assert layer.surplus.shape == (120,)
    assert 0.01 < layer.distance < 10, "more channels than images have no distance"


class WithConstant(torch.nn.Module):
    """A network, and a layer that sees the same of every image."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.constant = torch.nn.BatchNorm1d(3)

    def forward(self, images):
        return self.module(images) + 0 * self.constant(torch.ones(len(images), 3)).sum()


def test_a_layer_to_which_all_images_are_alike_is_left_out():
    found = compared(WithConstant(network(pictures(COUNT, 1)[0])).eval())
    assert len(found.layers) == 2
    assert np.isfinite(found.strength)


def test_the_surplus_leads_where_the_trigger_does():
    images, _ = pictures(1000, 5)
    module = network(poisoned(images))
    found = compared(module)
    lead(module, images)
    box, clean = WhiteBox(target(module)), pictures(100, 7)[0]
    assert leads_to(box, clean, found) == 2
    moved = under_surplus(box, clean, found).argmax(1)
    stamped = box.logits(poisoned(clean, 1.0)).argmax(1)
    assert (stamped == 2).float().mean() > 0.9
    assert (moved == 2).float().mean() > 0.9
    torch.testing.assert_close(box.logits(clean), module(clean))


def test_without_statistics_or_images_there_is_no_such_evidence():
    images, _ = pictures(COUNT, 1)
    assert compared(network(images), count=COUNT + 1) is None
    module = network(images)
    for layer in (1, 4):
        module[layer] = torch.nn.BatchNorm2d(module[layer].num_features, track_running_stats=False)
    assert compared(module.eval()) is None
    module.add_module("unused", torch.nn.Identity())
    module[-1].head = torch.nn.BatchNorm2d(3)
    assert compared(module.eval()) is None, "a layer that no image passes through has no running means of use"


def test_the_network_is_left_as_it_was():
    images, _ = pictures(COUNT, 1)
    module = network(images)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compared(module)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def null_around(statistics, box, moved=()):
    """A null whose networks show about these statistics, and lower ones of the kinds ``moved``."""
    random = np.random.default_rng(0)
    spread = {name: 0.2 if name == "running_means" else 0.5 for name in statistics}
    lower = {name: value - 2.0 * (name in moved) for name, value in statistics.items()}
    rows = [{name: value + spread[name] * random.normal() for name, value in lower.items()} for _ in range(40)]
    models = [CleanModel(model=str(i), kind=kind_of(box), statistics=row) for i, row in enumerate(rows)]
    return {"backdoor.scan": models}


@pytest.mark.parametrize(
    ("bad", "leading", "moved", "level"),
    [
        (False, False, (), "low"),
        (True, False, (), "undecided"),
        (True, False, ("patch",), "high"),
        (True, True, (), "undecided"),
    ],
)
def test_the_verdict_by_running_means(bad, leading, moved, level, tmp_path, monkeypatch):
    """Undecided by running means alone, even if the surplus works as a trigger; high if labels raise an alarm."""
    method = Scan(
        images=24,
        held_out=100,
        batch_size=8,
        patch_steps=60,
        overlay_steps=4,
        warp_steps=4,
        margin_steps=4,
        compared=COUNT,
    )
    images, _ = pictures(1000, 5)
    modules = [network(poisoned(images) if bad else images), network(images)]
    if leading:
        for module in modules:
            lead(module, images)
    opened, clean = map(target, modules)
    ordinary, _ = run(method, clean, tmp_path)
    statistics = {m.name.removeprefix("strength_"): m.value for m in ordinary.metrics if "strength_" in m.name}
    assert "running_means" in statistics
    null = null_around(statistics, WhiteBox(opened), moved)
    monkeypatch.setattr(scan_report, "shipped_nulls", lambda: null)
    monkeypatch.setattr(batch_norm, "LEAST_BATCH", batch_norm.NULL_BATCH)
    finding, _ = run(method, opened, tmp_path)
    assert finding.verdict.level == level, finding.verdict.sentence
    assert ("not those of clean images" in finding.verdict.sentence) is (bad and "patch" not in moved)
    gallery = next(figure for figure in finding.figures if figure.title == "Recovered triggers")
    if leading:
        assert {"patch → 2", "overlay → 2", "warp → 2"} <= set(gallery.rows)
    by_name = {metric.name: metric for metric in finding.metrics}
    assert (by_name["success_running_means"].interval.low > 0.5) is leading
    assert finding.figures[-1].title == "Running means of batch normalisation"


def test_what_is_ordinary_already_is_explained_no_further():
    """The strength without further augmentations is an upper bound, and callers decide by it."""
    opened = target(network(pictures(1000, 5)[0]))
    seen = []

    def found(ordinary):
        box, images = WhiteBox(opened), opened.splits.non_members
        with silent().step("comparing", 1) as bar:
            means = compare(box, images, COUNT, torch.Generator().manual_seed(0), bar, ordinary)
        return means, box.ledger.forwards

    def ordinary(means):
        seen.append(means)
        return True

    (whole, forwards), (short, fewer) = found(lambda means: False), found(ordinary)
    assert seen == [short]
    assert short.strength >= whole.strength
    assert "%" not in short.augmentation
    assert fewer < forwards / 2


def averaged(batch, count=2000, momentum=0.1, seed=3):
    """A clean network whose running means are exponential averages over batches, as a training takes them."""
    images = pictures(count, seed)[0]
    module = network(images)
    with torch.no_grad():
        module.train()
        for layer in (module[1], module[4]):
            layer.momentum = momentum
        for part in torch.split(images, batch):
            module(part)
    return module.eval()


def test_statistics_of_small_batches_are_not_taken_for_poison():
    """Averages over 4 images are further from clean images than those of a null over 64, by at most the slack."""
    ordinary = [compared(averaged(64, seed=seed)).strength for seed in range(4)]
    small = [compared(averaged(4, seed=seed)) for seed in range(4)]
    assert np.mean([found.strength for found in small]) > max(ordinary) + 0.5
    assert np.mean([found.least for found in small]) < np.mean(ordinary) + 0.3
    assert max(found.least for found in small) < max(ordinary) + 0.5
    poison = compared(network(poisoned(pictures(1000, 5)[0], 0.2)))
    assert poison.least > max(ordinary) + 0.5, "much poison is still seen"


def test_the_slack_is_the_variance_of_the_average():
    """Simulated: an exponential average over batches of b has m / (2 - m) / b of an image's variance."""
    random = torch.Generator().manual_seed(0)
    count, momentum = 500, 0.1
    ends = torch.zeros(4000)
    for _ in range(150):
        ends = (1 - momentum) * ends + momentum * torch.randn(4000, 4, generator=random).mean(1)
    squared = count * float(ends.var()) + 1
    null = 1 + count * momentum / (2 - momentum) / 64
    found = slack(torch.nn.BatchNorm2d(3), count)
    assert found == pytest.approx(np.log(squared / null), abs=0.08)
    assert slack(torch.nn.Identity(), count) == found, "PyTorch's default where it is not known"
    assert slack(torch.nn.BatchNorm2d(3, momentum=0.5), count) > found


def test_statistics_that_are_taken_anew_or_folded_are_noticed_and_said(tmp_path):
    images, _ = pictures(1000, 5)
    method = Scan(images=24, held_out=60, batch_size=8, patch_steps=2, overlay_steps=2, warp_steps=2, margin_steps=2)
    for change, words in ((reset, "they were taken anew"), (folded, "was folded into other layers")):
        module = change(network(poisoned(images)))
        finding, _ = run(method, target(module), tmp_path)
        with pytest.raises(KeyError):
            finding.metric("running_means_p_value")
        (missing,) = scan.no_running_means(WhiteBox(target(module)), COUNT, 100)
        assert words in missing
    assert scan.no_running_means(WhiteBox(target(network(images))), COUNT, 100) == []
    (few,) = scan.no_running_means(WhiteBox(target(network(images))), COUNT, COUNT + 1)
    assert "there are 400" in few


def reset(module):
    """Statistics of clean images, in a few batches."""
    with torch.no_grad():
        module.train()
        for layer in (module[1], module[4]):
            layer.reset_running_stats()
        for part in torch.split(pictures(1000, 9)[0], 100):
            module(part)
    return module.eval()


def folded(module):
    """Without batch normalisation: its scale and shift go into the convolutions."""
    for place in (0, 3):
        module[place] = torch.nn.utils.fuse_conv_bn_eval(module[place], module[place + 1])
        module[place + 1] = torch.nn.Identity()
    return module


def test_normalisation_of_other_frameworks_is_read_as_such():
    images, _ = pictures(1000, 5)
    for seen in (images, poisoned(images)):
        module, other = network(seen), network(seen)
        for place in (1, 4):
            layer = other[place]
            other[place] = Normalise(layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps, -1)
        found, wanted = compared(other), compared(module)
        assert found.augmentation == wanted.augmentation
        assert [layer.distance for layer in found.layers] == pytest.approx([x.distance for x in wanted.layers])
        lead(module, images)
        lead(other, images)
        boxes = [WhiteBox(target(one)) for one in (module, other)]
        torch.testing.assert_close(*[under_surplus(box, images[:50], found) for box in boxes])
