"""Neural Cleanse: the smallest patch towards every label."""

from __future__ import annotations

import time

import numpy as np
from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import UsageError
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import Patch
from assay.methods.backdoor.inversion.rules import Rule
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import clean_images
from assay.methods.backdoor.models.inversion_method import InversionMethod, inverted
from assay.methods.backdoor.models.results import Inverted
from assay.methods.method import Context, method

MANY_LABELS = 100
"""From so many labels on, the search begins only within a time limit."""


@method
class NeuralCleanse(InversionMethod):
    """For every label, the smallest patch that leads all images to it; a label whose patch is an outlier is suspect.

    The reference implementation's algorithm, all labels at once: each has its own mask, pattern, weight of the size and
    early stop, sees the same batches, and leaves when it has stopped. Cross-entropy is taken from logits, so that it
    does not saturate as the reference's clipped posteriors do. The reference's amount of work is the preset ``full``;
    fewer images and rounds find the same labels on networks for small images. The verdict rests on how much smaller
    the smallest patch is than the median of the others, against clean models; the papers' index is reported beside it.
    """

    name = "backdoor.neural_cleanse"
    about = About(
        title="Neural Cleanse",
        summary="Searches, for every label, the smallest patch that leads all images to it.",
        paper=(
            "Wang et al., Neural Cleanse: identifying and mitigating backdoor attacks in neural networks, IEEE S&P 2019"
        ),
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have taught it that a patch means one "
            "class. The examiner has the network and some clean images, without labels."
        ),
    )
    version = 3
    presets = {
        "full": {"images": 1000, "batches": 31, "rounds": 1000},
    }

    images: int = Field(default=128, ge=2, description="Clean images to search with, at most; paper: all there are.")
    held_out: int = Field(default=500, ge=2, description="Clean images to measure recovered triggers on, at most.")
    rounds: int = Field(default=60, ge=1, description="Rounds of the search at most; reference: 1000.")
    batches: int = Field(default=4, ge=1, description="Gradient steps in a round; reference: 31.")
    batch_size: int = Field(default=32, ge=1, description="Images in a step.")
    learning_rate: float = Field(default=0.1, gt=0, description="Of Adam, whose betas are 0.5 and 0.9.")
    success: float = Field(default=0.99, gt=0, le=1, description="Share of a round's images that must be moved.")
    first_weight: float = Field(default=1e-3, gt=0, description="First weight of the mask's size, after successes.")
    patience: int = Field(default=5, ge=1, description="Rounds in a row that change the weight; class default: 10.")
    multiplier: float = Field(default=2.0, gt=1, description="By which the weight rises; it falls by its 1.5th power.")
    early_stop: bool = Field(default=True, description="Stop a label's search when its patch shrinks no more.")
    stop_ratio: float = Field(default=1.0, gt=0, le=1, description="A patch above this times the last did not shrink.")
    stop_patience: int = Field(default=25, ge=1, description="Rounds without shrinking after which a label stops.")
    grid: int = Field(default=1, ge=1, description="Pixels of a mask's square; a transformer's patch side, say.")
    time_limit: float | None = Field(default=None, gt=0, description="Seconds that the search may be expected to take.")

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Inverted:
        """A trigger for every label.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
            UsageError: if the search would take longer than the time limit, or has many labels and no limit.
        """
        clean = clean_images(access, data, self.images, self.held_out, context.generator("neural cleanse: images"))
        form = Patch(access.input_shape, self.grid)
        labels = np.arange(access.num_classes)
        search = Search(access, form, labels, self._rule(), context.generator("neural cleanse: start"))
        feed = Feed(clean.search, self.batch_size, context.generator("neural cleanse: batches"))
        self._check_time(access, form, feed, context)
        with context.progress.step(self.about.title, self.rounds) as bar:
            for _ in range(self.rounds):
                if len(active := search.active) == 0:
                    break
                search.round(feed.take(self.batches), active)
                bar.advance()
        sizes = form.size(search.best).double().numpy()
        return inverted(access, search, sizes, clean, unit="image")

    def _rule(self) -> Rule:
        shared = set(self.__class__.model_fields) & set(Rule.__dataclass_fields__)
        return Rule(**{name: getattr(self, name) for name in shared})

    def _check_time(self, box: WhiteBox, form: Patch, feed: Feed, context: Context) -> None:
        """Time one step of a few labels, and extrapolate."""
        if self.time_limit is None and box.num_classes < MANY_LABELS:
            return
        few = np.arange(min(2, box.num_classes))
        trial = Search(box, form, few, self._rule(), context.generator("neural cleanse: trial"))
        batch = feed.take(1)
        start = time.perf_counter()
        trial.round(batch, few)
        seconds = (time.perf_counter() - start) / len(few) * box.num_classes * self.batches * self.rounds
        if seconds > (self.time_limit or 0):
            limit = "there is no time limit" if self.time_limit is None else f"the limit is {self.time_limit:g} s"
            raise UsageError(
                f"Neural Cleanse over {box.num_classes} labels would take up to {_duration(seconds)}, and {limit}; use "
                "backdoor.scan, which looks closely at a few labels only, or set time_limit."
            )


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
