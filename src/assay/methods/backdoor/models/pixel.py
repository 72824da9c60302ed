"""Pixel-difference inversion: the fewest pixels that have to be changed towards every label."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from assay.access import WhiteBox
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import PixelChange
from assay.methods.backdoor.inversion.rules import Rule
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import clean_images
from assay.methods.backdoor.models.inversion_method import InversionMethod, inverted
from assay.methods.backdoor.models.results import Inverted
from assay.methods.method import Context, method


@method
class Pixel(InversionMethod):
    """What must be added to and subtracted from how few pixels, so that images are called by a label.

    Two tensors in the place of mask and pattern, so that a trigger can also brighten or darken what is there. All
    labels are searched at once; the trigger kept is the one that changes the fewest pixels at the wanted success.
    """

    name = "backdoor.pixel"
    about = About(
        title="Pixel-difference inversion",
        summary="Searches, for every label, the fewest pixels whose change leads images to it.",
        paper="Tao et al., Better Trigger Inversion Optimization in Backdoor Scanning, CVPR 2022",
        threat_model=(
            "Somebody who trained the model, or poisoned its training data, may have taught it that a change of some "
            "pixels means one class. The examiner has the network and some clean images, without labels."
        ),
    )
    version = 2
    presets = {"full": {"images": 100, "rounds": 1000, "batches": 3}}

    images: int = Field(default=64, ge=2, description="Clean images to search with, at most; paper: 100.")
    held_out: int = Field(default=500, ge=2, description="Clean images to measure recovered triggers on, at most.")
    rounds: int = Field(default=200, ge=1, description="Rounds of the search; paper: 1000.")
    batches: int = Field(default=1, ge=1, description="Gradient steps in a round; paper: all images once.")
    batch_size: int = Field(default=32, ge=1, description="Images in a step.")
    learning_rate: float = Field(default=0.1, gt=0, description="Of Adam, whose betas are 0.5 and 0.9.")
    success: float = Field(default=0.9, gt=0, le=1, description="Share of a round's images that must be moved.")
    first_weight: float = Field(default=1e-3, gt=0, description="First weight of the smooth pixel count.")
    patience: int = Field(default=10, ge=1, description="Rounds in a row that change the weight.")
    multiplier: float = Field(default=1.5, gt=1, description="By which the weight rises; it falls by its 1.5th power.")

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> Inverted:
        """A trigger for every label.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
        """
        clean = clean_images(access, data, self.images, self.held_out, context.generator("pixel: images"))
        rule = Rule(
            learning_rate=self.learning_rate,
            success=self.success,
            first_weight=self.first_weight,
            from_zero=False,
            patience=self.patience,
            multiplier=self.multiplier,
            early_stop=False,
        )
        form = PixelChange(access.input_shape)
        search = Search(access, form, np.arange(access.num_classes), rule, context.generator("pixel: start"))
        feed = Feed(clean.search, self.batch_size, context.generator("pixel: batches"))
        with context.progress.step(self.about.title, self.rounds) as bar:
            for _ in range(self.rounds):
                search.round(feed.take(self.batches), search.active)
                bar.advance()
        pixels = (form.change(search.best) != 0).any(1).flatten(1).sum(1).double().numpy()
        return inverted(access, search, pixels, clean, unit="pixels")
