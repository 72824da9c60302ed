"""What attacks by questions have in common: how they are run on an oracle and judged."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from assay.access import Oracle, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.base.progress import Step
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.evasion.prior import stolen_prior
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult, scores_of
from assay.methods.evasion.query_results import query_metrics, success_curve
from assay.methods.evasion.results import among, gallery, judged, size_in_words
from assay.methods.finding import Family, Finding
from assay.methods.measures import proportion, within
from assay.methods.method import Context, Method, Need, require_oracle
from assay.methods.stealing.basic import BasicStealing

TOGETHER = 1 << 22
"""Pixels of the images that are attacked side by side."""

SHOWN = 4
"""Adversarial images in the picture."""


class QueryMethod(Method, QueryOptions):
    """An untargeted attack by questions on the test images that the target classifies correctly.

    The attacker asks about every image once as it is. Those that are answered rightly are attacked; of a limited budget
    each may cost ``max_queries``, and as many images are taken as that allows.
    """

    family: ClassVar[Family] = "evasion"
    needs: ClassVar[Need] = "posteriors"
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0015", "AML.T0043.001")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    threat_model: ClassVar[str] = (
        "Black box, posteriors. The attacker changes an image a little, asks the service about it, and goes on from "
        "the answers until it is misclassified, whatever the wrong class."
    )

    max_images: int = Field(
        default=100, ge=1, description="At most so many test images, drawn at random; fewer where the budget ends."
    )

    def attack(
        self,
        ask: Ask,
        images: torch.Tensor,
        labels: torch.Tensor,
        prior: WhiteBox | None,
        generator: torch.Generator,
    ) -> QueryResult:
        """The attack on images float32 (n, c, h, w) and their labels int64 (n,), with a surrogate if there is one."""
        raise NotImplementedError

    def prior(self, context: Context) -> tuple[WhiteBox | None, str]:
        """The surrogate that guides the attack, and words for it."""
        return None, "An attack by questions"

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            UsageError: if no two images are as far apart as epsilon.
            BudgetError: if the oracle does not allow ``max_queries`` for one image.
            AccessError: if the oracle answers with labels only, or a surrogate is needed and was not stolen.
        """
        oracle = require_oracle(access)
        if data.non_members is None:
            raise DataError("An attack by questions needs test images that the target was not trained on.")
        prior, words = self.prior(context)
        test = drawn(data.non_members, self._affordable(oracle), context.generator(f"{self.name}: images"))
        ball = self.ball(test.shape)
        answers = oracle.ask_all(test, context.progress)
        answers.require_posteriors()
        before = answers.labels
        targets = np.flatnonzero(before == test.labels)
        if not len(targets):
            raise DataError(f"None of the {len(test)} test images is classified correctly; there is nothing to evade.")
        result = self._attack_all(oracle, prior, test, targets, context)
        metrics = query_metrics(result.success, result.queries, self.max_queries, context.seed)
        metrics.append(proportion("clean_accuracy", "Accuracy without attack", before == test.labels))
        sentence = (
            f"{words} that {size_in_words(ball.norm, ball.epsilon)} makes the model err, within {self.max_queries:,} "
            f"questions about each, on {within(metrics[0])} of the images that it had right."
        )
        if (median := metrics[1].value) is not None:
            sentence += f" Half of these successes took at most {median:g} questions."
        shown = np.argsort(~result.success, kind="stable")[:SHOWN]
        adversarial = result.adversarial[shown]
        after = oracle.evaluator().ask(adversarial).labels
        clean = test.take(targets[shown])
        fooled, queries = among(before == test.labels, result.success), np.zeros(len(test), np.int64)
        queries[targets] = result.queries
        return Finding(
            metrics=metrics,
            verdict=judged(metrics[0], sentence),
            figures=[
                success_curve({self.about.title: (result.success, result.queries)}, self.max_queries),
                gallery(clean, adversarial, before[targets[shown]], after, ball.epsilon, context),
            ],
            samples={
                "row": test.rows,
                "label": test.labels,
                "predicted": before,
                "success": fooled,
                "queries": queries,
            },
        )

    def _affordable(self, oracle: Oracle) -> int:
        if oracle.remaining is None:
            return self.max_images
        if oracle.remaining < self.max_queries:
            raise BudgetError(
                f"One image may take {self.max_queries} questions, and the budget leaves {oracle.remaining}."
            )
        return min(self.max_images, oracle.remaining // self.max_queries)

    def _attack_all(
        self, oracle: Oracle, prior: WhiteBox | None, test: Subset, targets: np.ndarray[Any, Any], context: Context
    ) -> QueryResult:
        generator = context.generator(f"{self.name}: directions")
        together = max(1, TOGETHER // int(np.prod(test.shape)))
        parts = []
        with context.progress.step(self.about.title, len(targets) * self.max_queries) as bar:
            for start in range(0, len(targets), together):
                rows = targets[start : start + together]
                labels = torch.from_numpy(test.labels[rows])
                part = self.attack(_watched(scores_of(oracle), bar), test.take(rows), labels, prior, generator)
                bar.advance(len(rows) * self.max_queries - int(part.queries.sum()))
                parts.append(part)
        return QueryResult(
            torch.cat([part.adversarial for part in parts]),
            np.concatenate([part.success for part in parts]),
            np.concatenate([part.queries for part in parts]),
        )


class PriorMethod(QueryMethod):
    """An attack by questions that a stolen surrogate guides."""

    threat_model: ClassVar[str] = (
        "Black box, posteriors. The attacker has stolen a surrogate by asking the service, and lets its gradients say "
        "which changes of an image to ask about next, until the image is misclassified."
    )

    surrogate: BasicStealing = Field(default=BasicStealing(), description="How the surrogate is stolen beforehand.")

    def requires(self) -> Method:
        """The theft."""
        return self.surrogate

    def prior(self, context: Context) -> tuple[WhiteBox | None, str]:
        """See `QueryMethod.prior`."""
        box, stolen = stolen_prior(context)
        return box, f"An attack guided by a copy stolen with {stolen.queries:,} questions"


def _watched(ask: Ask, bar: Step) -> Ask:
    """The same questions, shown as progress."""

    def asked(images: torch.Tensor) -> torch.Tensor:
        answers = ask(images)
        bar.advance(len(images))
        return answers

    return asked
