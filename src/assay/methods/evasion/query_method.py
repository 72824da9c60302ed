"""What attacks by questions have in common: how they are run on an oracle and judged."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.base.intervals import clopper_pearson
from assay.base.progress import Step
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.masking import Checks, chance_sign, check_metrics, earned, signs, what_decides
from assay.methods.evasion.queries import Ask, QueryOptions, QueryResult, scores_of
from assay.methods.evasion.results import (
    EXAMPLES,
    LOW_SUCCESS,
    Labels,
    Shown,
    among,
    gallery,
    judged,
    query_metrics,
    require_right,
    size_in_words,
    success_curve,
)
from assay.methods.finding import Finding, Samples
from assay.methods.measures import proportion, within
from assay.methods.method import Context, OracleMethod

CHECKED = 20
"""Images that are looked at where an attack found little."""

DECIDING_QUERIES = 5000
"""Questions an image with which the Square Attack is part of the published AutoAttack."""

DECIDER = f"evasion.square with {DECIDING_QUERIES:,} questions about each image"

TOGETHER = 1 << 22
"""Pixels of the images that are attacked side by side."""


class Asked(NamedTuple):
    """What an attack by questions did: n test images, m of them attacked.

    ``rows``, ``true`` and ``before`` (n,) are rows, labels and the target's labels without attack; ``success`` and
    ``queries`` (m,) are of those it had right. ``after`` (k,) are the labels of the images in ``shown``. ``words``
    begin the sentence of the verdict. ``checks`` are empty where the attack found enough.
    """

    rows: NDArray[np.int64]
    true: Labels
    before: Labels
    success: NDArray[np.bool_]
    queries: NDArray[np.int64]
    shown: Shown
    after: Labels
    ball: Ball
    words: str
    checks: Checks
    classes: int


class QueryMethod(OracleMethod[Asked], QueryOptions):
    """An attack by questions on the test images that the target classifies correctly.

    The attacker asks about every image once as it is. Those that are answered rightly are attacked; of a limited budget
    each may cost ``max_queries``, and as many images are taken as that allows.
    """

    parts = ("non_members",)

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

    def measure(self, access: Oracle, data: Splits, context: Context) -> Asked:
        """Attack as many test images as the budget allows.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            UsageError: if no two images are as far apart as epsilon.
            BudgetError: if the oracle does not allow ``max_queries`` for one image.
            AccessError: if the oracle answers with labels only, or a surrogate is needed and was not stolen.
        """
        if data.non_members is None:
            raise DataError("An attack by questions needs test images that the target was not trained on.")
        prior, words = self.prior(context)
        test = drawn(data.non_members, self._affordable(access), context.generator(f"{self.name}: images"))
        ball = self.ball(test.shape)
        answers = access.ask_all(test, context.progress)
        answers.require_posteriors()
        before = answers.labels
        targets = np.flatnonzero(before == test.labels)
        require_right(before == test.labels)
        result = self._attack_all(access, prior, test, targets, context)
        chosen = np.argsort(~result.success, kind="stable")[:EXAMPLES]
        changed = result.adversarial[chosen]
        shown = Shown(targets[chosen], test.take(targets[chosen]), changed)
        after = access.evaluator().ask(changed).labels
        standing = test.take(targets[~result.success][:CHECKED])
        checks = self._check(access, standing, result.success, ball, context)
        return Asked(
            test.rows,
            test.labels,
            before,
            result.success,
            result.queries,
            shown,
            after,
            ball,
            words,
            checks,
            access.num_classes,
        )

    def _check(
        self, oracle: Oracle, standing: torch.Tensor, success: NDArray[np.bool_], ball: Ball, context: Context
    ) -> Checks:
        """Whether posteriors change with the image at all, where the success rate is not clearly above what is low.

        The evaluator asks this of the service as the attacker meets it, and it is not charged to the attack.
        """
        if not len(standing) or clopper_pearson(int(success.sum()), len(success)).low > LOW_SUCCESS:
            return Checks()
        evaluator = oracle.serving_as(oracle.serving.model_copy(update={"budget": None}))
        noise = ball.surface(standing, context.generator(f"{self.name}: checks"))
        answers = [evaluator.ask(images).require_posteriors() for images in (standing, noise)]
        return Checks(flat=(answers[0] == answers[1]).all(axis=1))

    @property
    def aim(self) -> str:
        """What the attack makes the model do, to follow "an attack that"."""
        return "makes the model err"

    @property
    def decides(self) -> bool:
        """Whether this is the strongest attack by posteriors, so that finding little is worth something."""
        return False

    def account(self, result: Asked, context: Context) -> Finding:
        """Success and what it cost, judged by the success."""
        metrics = query_metrics(result.success, result.queries, self.max_queries, context.seed)
        right = result.before == result.true
        metrics.append(proportion("clean_accuracy", "Accuracy without attack", right))
        sentence = (
            f"{result.words} that {size_in_words(result.ball.norm, result.ball.epsilon)} {self.aim}, within "
            f"{self.max_queries:,} questions about each, on {within(metrics[0])} of the images that it had right."
        )
        if (median := metrics[1].value) is not None:
            sentence += f" Half of these successes took at most {median:g} questions."
        shown = result.shown
        metrics += check_metrics(result.checks)
        against = signs(result.checks) + chance_sign(right, result.classes)
        decider = what_decides(against, ensemble=False) if against else DECIDER
        return Finding(
            metrics=metrics,
            verdict=earned(judged(metrics[0], sentence), against, self.decides, decider),
            figures=[
                success_curve({self.about.title: (result.success, result.queries)}, self.max_queries),
                gallery(
                    shown.clean,
                    shown.changed,
                    result.before[shown.places],
                    result.after,
                    result.ball.epsilon,
                    context,
                ),
            ],
            samples=self._samples(result, right),
        )

    def _samples(self, result: Asked, right: NDArray[np.bool_]) -> Samples:
        queries = np.zeros(len(right), np.int64)
        queries[right] = result.queries
        capped = np.where(result.success, result.queries, self.max_queries)
        outcomes = {
            "success": among(right, result.success),
            "mean_queries_all": among(right, capped),
            "clean_accuracy": right.astype(np.float64),
        }
        columns = {"label": result.true, "predicted": result.before, "queries": queries}
        return Samples(result.rows, outcomes=outcomes, columns=columns)

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


def _watched(ask: Ask, bar: Step) -> Ask:
    """The same questions, shown as progress."""

    def asked(images: torch.Tensor) -> torch.Tensor:
        answers = ask(images)
        bar.advance(len(images))
        return answers

    return asked
