"""Pixel-difference inversion: the fewest pixels that have to be changed towards every label."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from assay.data.splits import Splits
from assay.methods.backdoor.inversion.feed import Feed
from assay.methods.backdoor.inversion.forms import PixelChange
from assay.methods.backdoor.inversion.rules import Rule
from assay.methods.backdoor.inversion.search import Search
from assay.methods.backdoor.models.clean import clean_images
from assay.methods.backdoor.models.judging import finding_of
from assay.methods.finding import Family, Finding
from assay.methods.method import Context, Method, Need, Preset, method, require_white_box


@method
class Pixel(Method):
    """What must be added to and subtracted from how few pixels, so that images are called by a label.

    Two tensors in the place of mask and pattern, so that a trigger can also brighten or darken what is there. All
    labels are searched at once; the trigger kept is the one that changes the fewest pixels at the wanted success.
    """

    name: ClassVar[str] = "backdoor.pixel"
    family: ClassVar[Family] = "backdoor"
    needs: ClassVar[Need] = "white-box"
    title: ClassVar[str] = "Pixel-difference inversion"
    summary: ClassVar[str] = "Searches, for every label, the fewest pixels whose change leads images to it."
    threat_model: ClassVar[str] = (
        "Somebody who trained the model, or poisoned its training data, may have taught it that a change of some "
        "pixels means one class. The examiner has the network and some clean images, without labels."
    )
    paper: ClassVar[str] = "Tao et al., Better Trigger Inversion Optimization in Backdoor Scanning, CVPR 2022"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0018.000",)
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {"full": {"images": 100, "rounds": 1000, "batches": 3}}

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

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if clean images are missing, too few, or of one class.
            AccessError: if there are no usable gradients, or the network ignores its input.
        """
        box = require_white_box(access)
        clean = clean_images(box, data, self.images, self.held_out, context.generator("pixel: images"))
        rule = Rule(
            learning_rate=self.learning_rate,
            success=self.success,
            first_weight=self.first_weight,
            from_zero=False,
            patience=self.patience,
            multiplier=self.multiplier,
            early_stop=False,
        )
        form = PixelChange(box.input_shape)
        search = Search(box, form, np.arange(box.num_classes), rule, context.generator("pixel: start"))
        feed = Feed(clean.search, self.batch_size, context.generator("pixel: batches"))
        with context.progress.step(self.about.title, self.rounds) as bar:
            for _ in range(self.rounds):
                search.round(feed.take(self.batches), search.active)
                bar.advance()
        pixels = (form.change(search.best) != 0).any(1).flatten(1).sum(1).double().numpy()
        return finding_of(self.name, box, search, pixels, clean, context, unit="pixels")
