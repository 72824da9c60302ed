"""FGSM through a stolen surrogate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from assay.access import Oracle, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.evasion.gradients import BATCH, Epsilons, fgsm_step, loss_gradient, noise_step
from assay.methods.evasion.prior import stolen_prior
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
from assay.methods.method import Context, Method, Need, Preset, method, require_oracle
from assay.methods.stealing.basic import BasicStealing


@method
class Transfer(Method):
    """FGSM examples made on a stolen surrogate and tried on the target.

    The attacker asks the target about each image, follows the surrogate's gradient away from that answer, and asks
    about the changed image once per epsilon; all of these questions are charged. The evaluator then counts only the
    images that the target had right, and asks about random noise of the same size at nobody's charge.
    """

    name: ClassVar[str] = "evasion.transfer"
    family: ClassVar[Family] = "evasion"
    needs: ClassVar[Need] = "label"
    title: ClassVar[str] = "FGSM through a stolen surrogate"
    summary: ClassVar[str] = "Makes FGSM examples on a stolen surrogate and asks the target about them."
    threat_model: ClassVar[str] = (
        "Black box. The attacker has stolen a surrogate by asking the service, makes adversarial images with the "
        "surrogate's gradients, and hopes that the service errs on them too."
    )
    paper: ClassVar[str] = (
        "Papernot et al., Practical black-box attacks against machine learning, 2017; epsilons of Zhang et al., "
        "SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0015", "AML.T0043.002")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "quick": {"surrogate": BasicStealing.presets["quick"]},
        "standard": {"max_images": 2000, "surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 10_000, "surrogate": BasicStealing.presets["full"]},
    }

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

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            BudgetError: if the oracle allows no image at all.
            AccessError: if no surrogate was stolen beforehand.
        """
        oracle = require_oracle(access)
        if data.non_members is None:
            raise DataError("A transfer attack needs test images that the target was not trained on.")
        box, stolen = stolen_prior(context)
        test = drawn(data.non_members, self._affordable(oracle), context.generator("transfer: images"))
        attacked = self._attack(oracle, box, test, context)
        metrics = evasion_metrics(attacked)
        shown = to_show(attacked)
        images = test.take(shown)
        generator = context.generator("transfer: examples")
        adversarial = self.craft(box, images, torch.from_numpy(attacked.before[shown]), generator)[attacked.deciding]
        return Finding(
            metrics=metrics,
            verdict=verdict(metrics, attacked, f"An attack through a copy stolen with {stolen.queries:,} questions"),
            figures=[
                accuracy_curve(metrics, attacked),
                examples(images, adversarial, attacked, shown, context),
            ],
            samples=columns(test.rows, attacked),
        )

    def craft(
        self, box: WhiteBox, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> dict[float, torch.Tensor]:
        """Adversarial images (n, c, h, w) by epsilon, made on the surrogate ``box`` away from labels int64 (n,)."""
        gradient = loss_gradient(box, images, labels)
        return {epsilon: fgsm_step(images, gradient, epsilon) for epsilon in self.epsilons}

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
        attacked = Attacked(
            test.shape[0],
            test.labels,
            np.empty_like(test.labels),
            {e: np.empty_like(test.labels) for e in self.epsilons},
            {e: np.empty_like(test.labels) for e in self.epsilons},
        )
        with context.progress.step("asking about adversarial images", len(test)) as bar:
            for start in range(0, len(test), BATCH):
                rows = np.arange(start, min(start + BATCH, len(test)))
                images = test.take(rows)
                attacked.before[rows] = oracle.ask(images).labels
                crafted = self.craft(box, images, torch.from_numpy(attacked.before[rows]), crafting)
                for epsilon, adversarial in crafted.items():
                    attacked.after[epsilon][rows] = oracle.ask(adversarial).labels
                    attacked.noisy[epsilon][rows] = evaluator.ask(noise_step(images, generator, epsilon)).labels
                bar.advance(len(rows))
        return attacked
