"""FGSM with the network in hand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from assay.base.errors import DataError
from assay.data.images import batches, drawn
from assay.data.splits import Splits
from assay.methods.evasion.gradients import BATCH, Epsilons, fgsm_step, loss_gradient, noise_step, predictions
from assay.methods.evasion.results import (
    Attacked,
    accuracy_curve,
    columns,
    evasion_metrics,
    examples,
    to_show,
    verdict,
)
from assay.methods.finding import Family, Finding
from assay.methods.measures import percent, proportion
from assay.methods.method import Context, Method, Need, Preset, method, require_white_box

VANISHING = 0.05
"""Above this share of images without a gradient the verdict says that FGSM understates what other attacks can do."""


@method
class Fgsm(Method):
    """One step along the sign of the loss's gradient, untargeted, at several sizes.

    Attacked are the test images that the model classifies correctly. Where the cross-entropy is saturated its gradient
    is exactly 0 and FGSM does nothing: the share of such images is reported, for a low success rate means little then.
    """

    name: ClassVar[str] = "evasion.fgsm"
    family: ClassVar[Family] = "evasion"
    needs: ClassVar[Need] = "white-box"
    title: ClassVar[str] = "FGSM, white box"
    summary: ClassVar[str] = "Changes every pixel by epsilon along the gradient's sign; success rate per epsilon."
    threat_model: ClassVar[str] = (
        "White box. The attacker has the network (it runs on a device, say, or is public) and changes an image a "
        "little so that it is misclassified, whatever the wrong class."
    )
    paper: ClassVar[str] = (
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015; epsilons of Zhang et al., "
        "SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0015", "AML.T0043.000")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "quick": {},
        "standard": {"max_images": 2000},
        "full": {"max_images": 10_000},
    }

    epsilons: Epsilons = Field(
        default=(0.01, 0.03, 0.1), description="Largest changes of a pixel that are tried, on its scale of [0, 1]."
    )
    max_images: int = Field(default=1000, ge=1, description="At most so many test images, drawn at random.")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            AccessError: if there are no gradients, or they are not finite.
        """
        box = require_white_box(access)
        if data.non_members is None:
            raise DataError("FGSM needs test images that the target was not trained on.")
        test = drawn(data.non_members, self.max_images, context.generator("fgsm: images"))
        before = np.concatenate([predictions(box, batch.images) for batch in batches(test, BATCH)])
        attacked = Attacked(
            test.shape[0],
            test.labels,
            before,
            {e: before.copy() for e in self.epsilons},
            {e: before.copy() for e in self.epsilons},
        )
        targets = np.flatnonzero(attacked.right)
        generator = context.generator("fgsm: noise")
        vanished = np.zeros(len(targets), dtype=bool)
        with context.progress.step("FGSM", len(targets)) as bar:
            for start in range(0, len(targets), BATCH):
                rows = targets[start : start + BATCH]
                images = test.take(rows)
                gradient = loss_gradient(box, images, torch.from_numpy(test.labels[rows]))
                vanished[start : start + BATCH] = (gradient == 0).flatten(1).all(dim=1).numpy()
                for epsilon in self.epsilons:
                    attacked.after[epsilon][rows] = predictions(box, fgsm_step(images, gradient, epsilon))
                    attacked.noisy[epsilon][rows] = predictions(box, noise_step(images, generator, epsilon))
                bar.advance(len(rows))
        metrics = evasion_metrics(attacked)
        metrics.append(proportion("vanishing_gradients", "Attacked images without a gradient", vanished))
        judged = verdict(metrics, attacked, "An attack with the network in hand")
        if vanished.mean() > VANISHING:
            warning = f" On {percent(vanished.mean())} the gradient vanishes, so that other attacks may do better."
            judged = judged.model_copy(update={"sentence": judged.sentence + warning})
        shown = to_show(attacked)
        images = test.take(shown)
        gradient = loss_gradient(box, images, torch.from_numpy(test.labels[shown]))
        return Finding(
            metrics=metrics,
            verdict=judged,
            figures=[
                accuracy_curve(metrics, attacked),
                examples(images, fgsm_step(images, gradient, attacked.deciding), attacked, shown, context),
            ],
            samples=columns(test.rows, attacked),
        )
