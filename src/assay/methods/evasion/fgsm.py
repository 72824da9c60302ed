"""FGSM with the network in hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from assay.access import WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fixed_epsilon import USUAL_LINF, Evaded, FixedEpsilon, Tried
from assay.methods.evasion.gradients import fgsm_step, loss_gradient, predictions
from assay.methods.finding import Finding
from assay.methods.measures import percent
from assay.methods.method import Context, method
from assay.methods.work import Sizes, Work

VANISHING = 0.05
"""Above this share of images without a gradient the verdict says that FGSM understates what other attacks can do."""


@method
class Fgsm(FixedEpsilon):
    """One step along the gradient of the cross-entropy, at several sizes.

    Where the cross-entropy is saturated its gradient is exactly 0 and FGSM does nothing: the share of such images is
    reported, for a low success rate means little then. Every size is tried on every image, for a larger step may miss
    what a smaller one finds.
    """

    name = "evasion.fgsm"
    about = About(
        "FGSM, white box",
        "Changes every pixel by epsilon along the gradient's sign; success rate per epsilon.",
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015; epsilons of Zhang et al., "
        "SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024",
        threat_model="White box. The attacker has the network (it runs on a device, say, or is public) and changes an "
        "image a little, in one step, so that it is misclassified, whatever the wrong class.",
    )
    presets = {"standard": {"max_images": 2000}, "full": {"max_images": 10_000}}

    def work(self, sizes: Sizes) -> Work | None:
        """A gradient an image, and two answers an image and size: to the attack, and to noise."""
        images, tried = min(self.max_images, sizes.non_members), len(self.epsilons or USUAL_LINF)
        return Work(forwards=images * (1 + 2 * tried), gradients=images)

    unbounded = False  # a single step of any length may miss

    def attack_sizes(
        self,
        box: WhiteBox,
        images: torch.Tensor,
        labels: torch.Tensor,
        balls: Sequence[Ball],
        generator: torch.Generator,
    ) -> Iterator[Tried]:
        """One gradient an image, and a step along it for each size."""
        gradient = loss_gradient(box, images, labels)
        vanished = (gradient == 0).flatten(1).all(dim=1).cpu().numpy()
        for ball in balls:
            changed = fgsm_step(images, gradient, ball)
            yield Tried(changed, predictions(box, changed), vanished)

    def account(self, result: Evaded, context: Context) -> Finding:
        """As every attack's; the verdict says where gradients vanish."""
        finding = super().account(result, context)
        share = finding.metric("vanishing_gradients").value or 0.0
        if share > VANISHING:
            warning = f" On {percent(share)} the gradient vanishes, so that other attacks may do better."
            judged = finding.verdict.model_copy(update={"sentence": finding.verdict.sentence + warning})
            return finding.model_copy(update={"verdict": judged})
        return finding
