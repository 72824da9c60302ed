"""One run that measures response policies: what they cost, what they save, and who is noticed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator

from assay.access import Oracle, Serving
from assay.access.detectors import Traffic
from assay.access.policies import parse_policy
from assay.base.errors import AccessError, BudgetError, DataError
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding
from assay.methods.method import Context, OracleMethod, method
from assay.methods.stealing.defences.detection import Noticed, asked, noticed, posted
from assay.methods.stealing.defences.keeping import Kept
from assay.methods.stealing.defences.results import (
    Row,
    defence_metrics,
    defence_samples,
    detection_metrics,
    detection_table,
    key_of,
    picture,
    table,
    verdict,
)
from assay.methods.stealing.defences.thieves import School, adaptive, naive, served
from assay.methods.stealing.defences.utility import Service
from assay.methods.stealing.results import agreement_scale
from assay.methods.stealing.strategies import parse_strategy
from assay.methods.stealing.theft import Theft
from assay.training import Recipe


class Measured(NamedTuple):
    """Test images and what the target says of them (n,), thieves of it as served and behind policies, and detectors.

    ``as_served`` (n,) is where the copy of the service as it is agrees. ``refused`` says which policies cannot apply.
    """

    test: Subset
    target: NDArray[np.int64]
    as_served: NDArray[np.bool_]
    rows: list[Row]
    refused: list[str]
    noticed: list[Noticed]


@method
class Defences(OracleMethod[Measured]):
    """Response policies, each alone, against a thief who believes his answers and one who knows the policy.

    Both thieves ask about the same random images of the auxiliary set, have the same architecture and recipe, and are
    judged on the same test images. What the adaptive thief does about each policy is fixed beforehand (see
    `assay.methods.stealing.defences.adaptive`); it may turn out worse than believing. Utility is measured on those
    test images too. Detectors sit beside the service: they see questions and the model's own answers. They are shown
    half of the test images as ordinary traffic, and honest clients ask about the other half. Policies take the place
    of those that the service already has.

    Where a policy needs a network of the owner's it is trained here on the members, and kept beside the workspace.
    """

    name = "stealing.defences"
    about = About(
        "Defences against stealing",
        "Measures what response policies cost users and thieves, and whom detectors notice.",
        "Each policy and detector names its own; adaptive thieves as asked for by Athalye et al., Obfuscated Gradients "
        "Give a False Sense of Security, ICML 2018",
        "The owner tries out defences. The thief asks the service for posteriors, has unlabelled images (the auxiliary "
        "set), and either ignores the defence or knows it with its parameters, but not the owner's seeds and networks.",
        ("AML.T0024.002", "AML.M0002", "AML.M0004"),
    )
    parts = ("members", "non_members", "auxiliary")
    presets = {
        "standard": {},
        "full": {
            "up_to": 10_000,
            "architecture": "small-cnn",
            "epochs": 20,
            "test_images": 10_000,
            "strategies": ("knockoff", "margin", "k-center", "jacobian", "adversarial"),
        },
    }

    policies: tuple[str, ...] = Field(
        default=(
            "rounding=1",
            "levels",
            "label",
            "noise=0.1",
            "reverse-sigmoid",
            "adaptive-misinformation=0.5",
            "gradient-redirection=0.5",
            "mad-argmax=1",
        ),
        min_length=1,
        description="The policies to measure, as a service's configuration names them.",
    )
    strategies: tuple[str, ...] = Field(
        default=(), description="Query strategies besides random ones, for how soon detectors notice them."
    )
    up_to: int = Field(default=2_500, ge=1, description="Images that each thief asks about, at most.")
    architecture: str = Field(default="tiny-cnn", description="The thieves' architecture.")
    largest_side: int = Field(
        default=64, ge=8, description="Images with a longer side are reduced to it before a copy sees them."
    )
    epochs: int = Field(default=10, ge=1, description="Passes over the answers.")
    learning_rate: float = Field(default=0.002, gt=0.0, description="Adam's learning rate; it falls to 0 on a cosine.")
    test_images: int = Field(default=2_000, ge=2, description="At most so many images to judge by.")
    client_questions: int = Field(default=200, ge=1, description="Questions of each honest client.")

    @field_validator("policies", "strategies")
    @classmethod
    def _once_each(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if len({key_of(text) for text in texts}) != len(texts):
            raise ValueError("each may be named once")
        return texts

    def measure(self, access: Oracle, data: Splits, context: Context) -> Measured:
        """Steal as served and behind each policy, naively and adaptively, and show detectors what was asked.

        Raises:
            UsageError: if a policy or strategy is unknown or not valid.
            DataError: if a part of the data is missing.
            BudgetError: if the oracle allows no question.
        """
        if data.members is None or data.non_members is None or data.auxiliary is None:
            raise DataError("Defences are measured with members, non-members and an auxiliary set; one is missing.")
        for text in self.policies:
            parse_policy(text)
        for text in self.strategies:
            parse_strategy(text)
        questions = self._questions(access, data.auxiliary, context)
        test = drawn(data.non_members, self.test_images, context.generator("defences: test images"))
        recipe = Recipe(epochs=self.epochs, batch_size=64, optimiser="adam", learning_rate=self.learning_rate)
        school = School(questions, self.architecture, self.largest_side, recipe, test, context)
        truth = access.evaluator().ask_all(test, context.progress, "answers for the test images").require_posteriors()
        target = truth.argmax(axis=1)
        kept = Kept(access, data.members, context)
        rows: list[Row] = []
        refused: list[str] = []
        with context.progress.step("thieves", 1 + 2 * len(self.policies)) as step:
            as_served = naive(access, school) == target
            step.advance()
            for text in self.policies:
                behind = kept.prepared(text)
                try:
                    answers = served(access.evaluator(), behind).ask_all(test).require_posteriors()
                except AccessError as error:
                    refused.append(str(error))
                    continue
                copies = (
                    naive(served(access, behind), school),
                    adaptive(served(access, behind), parse_policy(behind), school),
                )
                rows.append(Row(text, Service(test.labels, truth, answers), *(copy == target for copy in copies)))
                step.advance(2)
        return Measured(test, target, as_served, rows, refused, self._noticed(access, data, questions, context))

    def account(self, result: Measured, context: Context) -> Finding:
        metrics = defence_metrics(result.as_served, result.rows, agreement_scale(result.target), context.seed)
        costs = table(metrics, result.rows, result.refused)
        return Finding(
            metrics=[*metrics, *detection_metrics(result.noticed)],
            verdict=verdict(metrics, result.rows),
            figures=[costs, picture(metrics, result.rows), detection_table(result.noticed)],
            samples=defence_samples(result.test.rows, result.as_served, result.rows),
        )

    def _noticed(self, oracle: Oracle, data: Splits, questions: Images, context: Context) -> list[Noticed]:
        assert data.non_members is not None
        guards = posted(oracle, data.non_members, context.generator("defences: ordinary traffic"))
        thefts = {"random": asked(oracle, questions)}
        thefts |= {key_of(text): self._stream(text, oracle, data, context) for text in self.strategies}
        return noticed(oracle, guards, self.client_questions, thefts)

    def _questions(self, oracle: Oracle, pool: Images, context: Context) -> Subset:
        allowed = len(pool) if oracle.remaining is None else oracle.remaining
        if allowed < 1:
            raise BudgetError("The target allows no question at all, and a thief must ask some.")
        return drawn(pool, min(self.up_to, allowed), context.generator("defences: questions"))

    def _stream(self, strategy: str, oracle: Oracle, data: Splits, context: Context) -> Traffic:
        """What a theft by a strategy asks, with the model's own answers."""
        images: list[torch.Tensor] = []
        heard = oracle.serving_as(Serving(budget=oracle.budget), lambda shown, _: images.append(shown))
        theft = Theft(
            strategy=strategy,
            architecture=self.architecture,
            largest_side=self.largest_side,
            up_to=self.up_to,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            test_images=1,
        )
        with tempfile.TemporaryDirectory() as folder:
            theft.measure(heard, data, replace(context, artefacts=Path(folder)))
        stream = torch.cat(images)
        return Traffic(stream, oracle.evaluator().ask(stream))
