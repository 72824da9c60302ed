"""FGSM through a stolen surrogate."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import AfterValidator, Field

from assay.access import Oracle, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.evasion.ball import Ball, Norm
from assay.methods.evasion.gradients import BATCH, fgsm_step, loss_gradient
from assay.methods.evasion.masking import earned
from assay.methods.evasion.prior import stolen_prior
from assay.methods.evasion.query_method import DECIDER
from assay.methods.evasion.results import (
    Attacked,
    Shown,
    accuracy_curve,
    evasion_metrics,
    evasion_samples,
    examples,
    require_right,
    to_show,
    verdict,
)
from assay.methods.finding import Finding
from assay.methods.method import Context, Method, OracleMethod, method
from assay.methods.stealing.basic import BasicStealing
from assay.methods.work import Sizes, Work

Epsilon = Annotated[float, Field(gt=0.0, le=1.0)]
Epsilons = Annotated[
    tuple[Epsilon, ...], Field(min_length=1), AfterValidator(lambda epsilons: tuple(sorted(set(epsilons))))
]
"""Sizes of a perturbation, on the pixels' scale of [0, 1], ascending."""


class Transferred(NamedTuple):
    """Labels by epsilon, images to show at the deciding one, and the questions that the theft took."""

    attacked: Attacked
    shown: Shown
    stolen_with: int


@method
class Transfer(OracleMethod[Transferred]):
    """FGSM examples made on a stolen surrogate and tried on the target.

    The attacker asks the target about each image, follows the surrogate's gradient away from that answer, and asks
    about the changed image once per epsilon; all of these questions are charged. The evaluator then counts only the
    images that the target had right, and asks about random noise of the same size at nobody's charge.
    """

    name = "evasion.transfer"
    needs = "label"
    norm: ClassVar[Norm] = "linf"
    """How its changes are measured."""
    about = About(
        "FGSM through a stolen surrogate",
        "Makes FGSM examples on a stolen surrogate and asks the target about them.",
        "Papernot et al., Practical black-box attacks against machine learning, 2017; epsilons of Zhang et al., "
        "SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024",
        threat_model="Black box. The attacker has stolen a surrogate by asking the service, makes adversarial images "
        "with the surrogate's gradients, and hopes that the service errs on them too.",
        atlas=("AML.T0015", "AML.T0043.002"),
    )
    parts = ("non_members",)
    presets = {
        "quick": {"surrogate": BasicStealing.presets["quick"]},
        "standard": {"max_images": 2000, "surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 10_000, "surrogate": BasicStealing.presets["full"]},
    }

    def work(self, sizes: Sizes) -> Work | None:
        """Answers to images, and to each of them changed and with noise at every size; the surrogate is made before."""
        images = min(self.max_images, sizes.non_members)
        return Work(non_members=images, forwards=2 * images * len(self.epsilons))

    epsilons: Epsilons = Field(
        default=(0.01, 0.03, 0.1), description="Largest changes of a pixel that are tried, on its scale of [0, 1]."
    )
    max_images: int = Field(
        default=500, ge=1, description="At most so many test images, drawn at random; fewer where the budget ends."
    )
    surrogate: BasicStealing = Field(default=BasicStealing(), description="How the surrogate is stolen beforehand.")

    def requires(self) -> Method:
        """The theft."""
        return self.surrogate

    def measure(self, access: Oracle, data: Splits, context: Context) -> Transferred:
        """Make examples on the surrogate and ask the target about them.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            BudgetError: if the oracle allows no image at all.
            AccessError: if no surrogate was stolen beforehand.
        """
        if data.non_members is None:
            raise DataError("A transfer attack needs test images that the target was not trained on.")
        box, stolen = stolen_prior(context)
        test = drawn(data.non_members, self._affordable(access), context.generator("transfer: images"))
        attacked = self._attack(access, box, test, context)
        require_right(attacked.right)
        places = to_show(attacked)
        images = test.take(places)
        generator = context.generator("transfer: examples")
        changed = self.craft(box, images, torch.from_numpy(attacked.before[places]), generator)[attacked.deciding]
        return Transferred(attacked, Shown(places, images, changed), stolen.queries)

    def account(self, result: Transferred, context: Context) -> Finding:
        """Success and accuracy by size, judged at the usual one."""
        metrics = evasion_metrics(result.attacked)
        words = f"An attack through a copy stolen with {result.stolen_with:,} questions"
        return Finding(
            metrics=metrics,
            # What does not carry over from one surrogate may from another, or fall to a search: this is never *low*.
            verdict=earned(verdict(metrics, result.attacked, words), [], decides=False, decider=DECIDER),
            figures=[accuracy_curve(metrics, result.attacked), examples(result.shown, result.attacked, context)],
            samples=evasion_samples(result.attacked),
        )

    def craft(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> dict[float, torch.Tensor]:
        """Adversarial images (n, c, h, w) by epsilon, made on the surrogate ``box`` away from labels int64 (n,).

        They lie where the images lie.
        """
        gradient = loss_gradient(box, images, labels)
        return {epsilon: fgsm_step(images, gradient, Ball("linf", epsilon)) for epsilon in self.epsilons}

    def _affordable(self, oracle: Oracle) -> int:
        if oracle.remaining is None:
            return self.max_images
        each = 1 + len(self.epsilons)
        if oracle.remaining < each:
            raise BudgetError(f"One image takes {each} questions, and the budget leaves {oracle.remaining}.")
        return min(self.max_images, oracle.remaining // each)

    def _attack(self, oracle: Oracle, box: WhiteBox, test: Subset, context: Context) -> Attacked:
        evaluator, generator = oracle.evaluator(), context.generator("transfer: noise")
        crafting = context.generator("transfer: examples")
        before = np.empty_like(test.labels)
        after, noisy = ({e: np.empty_like(test.labels) for e in self.epsilons} for _ in range(2))
        with context.progress.step("asking about adversarial images", len(test)) as bar:
            for start in range(0, len(test), BATCH):
                rows = np.arange(start, min(start + BATCH, len(test)))
                images = test.take(rows)
                before[rows] = oracle.ask(images).labels
                on_device = images.to(box.device)
                crafted = self.craft(box, on_device, torch.from_numpy(before[rows]), crafting)
                for epsilon, adversarial in crafted.items():
                    after[epsilon][rows] = oracle.ask(adversarial).labels
                    noise = Ball("linf", epsilon).surface(images, generator)
                    noisy[epsilon][rows] = evaluator.ask(noise).labels
                bar.advance(len(rows))
        return Attacked(test.shape[0], test.labels, before, after, noisy, "linf", test.rows)
