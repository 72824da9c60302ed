"""Neural Cleanse scheduled by a bandit: rounds go to the labels whose patches shrink fastest."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from assay.access import WhiteBox
from assay.base.intervals import Floats
from assay.base.progress import Step
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import Patch
from assay.methods.backdoor.inversion.rules import Arms, Rule
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import clean_images
from assay.methods.backdoor.models.inversion_method import InversionMethod, inverted
from assay.methods.backdoor.models.results import Inverted
from assay.methods.method import Context, method

REFERENCE_AREA = 224 * 224
"""Pixels of the images that the paper's constants were chosen for; sizes are carried to that scale."""

EXPLOIT = 1e4
"""The weight of a small size against fast progress."""


@method
class KArm(InversionMethod):
    """The patches of Neural Cleanse, but the label of each round is chosen by an epsilon-greedy bandit.

    After a warm-up, in which every label's patch succeeds and shrinks, a round goes to the label with the largest
    ``(area - size) / (improvements + rounds / 2) + 10000 / size``, or with probability ``exploration`` to a random
    one, until the smallest patch has stopped shrinking or the rounds are spent. Area and size are as on images of
    224x224. (The paper's code has 2500 for the area, a twentieth of it: patches on small images are larger than that,
    and the bandit would stay with whatever label it began with.) Unfinished
    patches are too large: among them every finished one looks like an outlier. So some labels are drawn at random
    before the search; their patches are finished whatever the bandit thinks of them, and the smallest one is compared
    with those only.
    """

    name = "backdoor.k_arm"
    about = About(
        title="K-Arm",
        summary="Searches the smallest patch of the most promising labels, against random other labels.",
        paper="Shen et al., Backdoor Scanning for Deep Neural Networks through K-Arm Optimization, ICML 2021",
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have taught it that a patch means one "
            "class. The examiner has the network and some clean images, without labels."
        ),
    )
    version = 2
    presets = {"full": {"images": 128, "rounds": 1000, "finish": 100}}

    images: int = Field(default=64, ge=2, description="Clean images to search with, at most.")
    held_out: int = Field(default=500, ge=2, description="Clean images to measure recovered triggers on, at most.")
    rounds: int = Field(default=200, ge=1, description="Rounds that the bandit gives away at most; paper: 1000.")
    warm_up: int = Field(default=2, ge=1, description="How often every label's patch shrinks before the bandit starts.")
    warm_rounds: int = Field(default=25, ge=1, description="Rounds after which a label waits no longer for that.")
    finish: int = Field(default=60, ge=1, description="Rounds after which a label's patch counts as finished.")
    controls: int = Field(default=8, ge=3, description="Random labels whose patches are finished for comparison.")
    exploration: float = Field(default=0.3, ge=0, le=1, description="Share of rounds that go to a random label.")
    batches: int = Field(default=2, ge=1, description="Gradient steps in a round; paper: all images once.")
    batch_size: int = Field(default=32, ge=1, description="Images in a step.")
    success: float = Field(default=0.99, gt=0, le=1, description="Share of a round's images that must be moved.")
    patience: int = Field(default=5, ge=1, description="Rounds in a row that change the weight of the size.")

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Inverted:
        """A trigger for every label.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
        """
        clean = clean_images(access, data, self.images, self.held_out, context.generator("k-arm: images"))
        chance = context.generator("k-arm: bandit")
        controls = torch.randperm(access.num_classes, generator=chance)[: self.controls].numpy()
        form, every = Patch(access.input_shape), np.arange(access.num_classes)
        rule = Rule(
            success=self.success,
            patience=self.patience,
            set_patience=2,
            down_power=1.0,
            stop_patience=2 * self.patience,
        )
        search = Search(access, form, every, rule, context.generator("k-arm: start"))
        feed = Feed(clean.search, self.batch_size, context.generator("k-arm: batches"))
        with context.progress.step(self.about.title, self.warm_rounds + self.rounds + self.finish) as bar:
            for _ in range(self.warm_rounds):
                if len(cold := every[search.improvements < self.warm_up]):
                    search.round(feed.take(self.batches), cold)
                bar.advance()
            self._play(search, feed, chance, bar)
            best = int(np.argmin(search.weights.best))
            finished = np.unique(np.append(controls, best))
            self._finish(search, feed, finished, bar)
        sizes = form.size(search.best).double().numpy()
        return inverted(access, search, sizes, clean, unit="image", finished=finished)

    def _play(self, search: Search, feed: Feed, chance: torch.Generator, bar: Step) -> None:
        """The bandit's rounds, until they are spent or the smallest patch has stopped."""
        for _ in range(self.rounds):
            active = self._unfinished(search, search.active)
            smallest = int(np.argmin(search.weights.best))
            if smallest not in active:
                break
            if torch.rand(1, generator=chance) < self.exploration:
                arm = int(active[torch.randint(len(active), (1,), generator=chance)])
            else:
                arm = int(active[values(search, active).argmax()])
            search.round(feed.take(self.batches), np.array([arm]))
            bar.advance()

    def _finish(self, search: Search, feed: Feed, arms: Arms, bar: Step) -> None:
        while len(left := self._unfinished(search, arms)):
            search.round(feed.take(self.batches), left)
            bar.advance()

    def _unfinished(self, search: Search, arms: Arms) -> Arms:
        return arms[~search.weights.stopped[arms] & (search.rounds[arms] < self.finish)]


def values(search: Search, arms: Arms) -> Floats:
    """What the bandit expects of a further round of each of some ``arms`` (k,); see `KArm`.

    A label without a successful round is worth 0: only chance, or the lack of others, leads to it.
    """
    scale = REFERENCE_AREA / (search.box.input_shape[1] * search.box.input_shape[2])
    sizes = (search.weights.best[arms] * scale).clip(min=1.0)
    pace = (REFERENCE_AREA - sizes) / (search.improvements[arms] + search.rounds[arms] / 2)
    return np.where(np.isfinite(sizes), pace + EXPLOIT / sizes, 0.0)
