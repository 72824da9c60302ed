"""The basic theft: ask about random images, and train a copy on the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from assay.access import Answers, Oracle
from assay.base.digests import digest_arrays, digest_json
from assay.base.errors import BudgetError, DataError
from assay.methods.finding import Family, Figure, Finding
from assay.methods.method import Context, Method, Need, Preset, method, require_oracle
from assay.methods.sampling import drawn
from assay.methods.stealing.results import (
    Compared,
    class_table,
    differences,
    stealing_metrics,
    training_curve,
    verdict,
)
from assay.methods.stealing.surrogate import Surrogate, reduced, resizing, save_surrogate
from assay.targets.data import Images
from assay.targets.splits import Splits
from assay.training import Log, Recipe, fit, predict, seeded_build


@method
class BasicStealing(Method):
    """A surrogate trained on the target's answers about images drawn at random from the auxiliary set.

    The true labels of the auxiliary set are not used. Posteriors are learned from where they are answered (cross-
    entropy with soft labels), labels otherwise. Agreement is measured on images that the target was not trained on;
    these questions are the evaluator's, and are charged to nobody.
    """

    name: ClassVar[str] = "stealing.basic"
    family: ClassVar[Family] = "stealing"
    needs: ClassVar[Need] = "label"
    title: ClassVar[str] = "Model stealing with random questions"
    summary: ClassVar[str] = "Asks about random images of an auxiliary set and trains a surrogate on the answers."
    threat_model: ClassVar[str] = (
        "Black box. The attacker may ask the service about images, has unlabelled images of the same kind (the "
        "auxiliary set), and knows neither the architecture nor the weights."
    )
    paper: ClassVar[str] = (
        "Zhang et al., SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024; "
        "random selection as in Orekondy et al., Knockoff Nets, CVPR 2019"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0024.002", "AML.T0005.001")
    parts: ClassVar[tuple[str, ...]] = ("non_members", "auxiliary")
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "quick": {"epochs": 12},
        "standard": {"up_to": 10_000},
        "full": {
            "up_to": 25_000,
            "architecture": "resnet18-cifar",
            "epochs": 30,
            "optimiser": "sgd",
            "learning_rate": 0.01,
            "largest_side": 224,
        },
    }

    budget: int | None = Field(
        default=None, ge=1, description="Images to ask about, exactly; none: up_to, or as many as there are."
    )
    up_to: int = Field(default=2_500, ge=1, description="Images to ask about at most where budget is not given.")
    architecture: str = Field(default="small-cnn", description="The surrogate's architecture.")
    largest_side: int = Field(
        default=64, ge=8, description="Images with a longer side are reduced to it before the surrogate sees them."
    )
    epochs: int = Field(default=20, ge=1, description="Passes over the answers.")
    batch_size: int = Field(default=64, ge=1, description="Images per training step.")
    optimiser: Literal["sgd", "adam", "adamw", "lion"] = Field(
        default="adam", description="sgd has a momentum of 0.9; the learning rate falls to 0 along a cosine."
    )
    learning_rate: float = Field(default=0.002, gt=0.0, description="The learning rate to begin with.")
    test_images: int = Field(default=10_000, ge=1, description="At most so many images to measure agreement on.")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if the auxiliary set or the test images are missing, or the pool is smaller than the budget.
            BudgetError: if the oracle does not allow the budget.
        """
        oracle = require_oracle(access)
        if data.auxiliary is None or data.non_members is None:
            raise DataError("Stealing needs an auxiliary set to ask about, and test images (non-members) to judge by.")
        questions = drawn(
            data.auxiliary, self._affordable(oracle, len(data.auxiliary)), context.generator("stealing: questions")
        )
        answers = oracle.ask_all(questions, context.progress, "asking the target")
        spent = oracle.ledger.total()

        module, log = self._train(oracle, questions, answers, context)
        test = drawn(data.non_members, self.test_images, context.generator("stealing: test images"))
        truth = oracle.evaluator().ask_all(test, context.progress, "comparing with the target")
        compared = Compared(test.labels, truth.require_posteriors(), predict(module, test, context.device).numpy())
        metrics = stealing_metrics(compared, spent, context)
        surrogate = Surrogate(
            architecture=self.architecture,
            num_classes=oracle.num_classes,
            input_shape=oracle.input_shape,
            size=reduced(oracle.input_shape, self.largest_side),
            queries=spent.images,
            price=spent.price,
            agreement=float(compared.same.mean()),
        )
        gallery = differences(test, compared, context)
        figures: list[Figure] = [class_table(compared, context.class_names), training_curve(log)]
        return Finding(
            metrics=metrics,
            verdict=verdict(metrics[0], spent),
            figures=[*figures, gallery] if gallery else figures,
            samples={
                "row": test.rows,
                "label": test.labels,
                "target": compared.target_labels,
                "surrogate": compared.surrogate_labels,
                "kl_divergence": compared.divergence,
            },
            files=save_surrogate(module, surrogate, context.artefacts),
        )

    def _affordable(self, oracle: Oracle, pool: int) -> int:
        if self.budget is None:
            allowed = pool if oracle.remaining is None else oracle.remaining
            return min(self.up_to, pool, allowed)
        if self.budget > pool:
            raise DataError(f"The budget is {self.budget:,} images, and the auxiliary set holds {pool:,}.")
        if oracle.remaining is not None and self.budget > oracle.remaining:
            raise BudgetError(f"The budget is {self.budget:,} images, and the target allows {oracle.remaining:,}.")
        return self.budget

    def _train(
        self, oracle: Oracle, questions: Images, answers: Answers, context: Context
    ) -> tuple[torch.nn.Module, Log]:
        taught = answers.labels if answers.posteriors is None else answers.posteriors
        recipe = Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimiser=self.optimiser,
            learning_rate=self.learning_rate,
        )
        size = reduced(oracle.input_shape, self.largest_side)
        shape = (oracle.input_shape[0], *size)
        module = resizing(seeded_build(self.architecture, oracle.num_classes, shape, context.seed), size)
        name = digest_json(
            {"answers": digest_arrays(taught=taught), "questions": questions.digest, **self.model_dump(mode="json")}
        )
        checkpoint = _fresh(context.shared / "stealing" / f"{name}.checkpoint")
        log = fit(
            module,
            questions,
            torch.from_numpy(taught),
            recipe,
            seed=context.seed,
            device=context.device,
            progress=context.progress,
            label="training the surrogate",
            checkpoint=checkpoint,
        )
        checkpoint.unlink(missing_ok=True)
        return module, log


def _fresh(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
