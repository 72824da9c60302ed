"""How much cheaper an attack becomes once a sibling is in everyone's hands."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field

from assay.access import Oracle, WhiteBox
from assay.base.errors import BudgetError, DataError
from assay.data.images import Subset, drawn
from assay.data.splits import Splits
from assay.methods.evasion.ball import Norm
from assay.methods.evasion.prior import stolen_prior
from assay.methods.evasion.queries import QueryOptions, scores_of
from assay.methods.evasion.results import gallery, size_in_words
from assay.methods.finding import Family, Figure, Finding, Metric
from assay.methods.measures import percent, proportion
from assay.methods.method import Context, Method, Need, Preset, method, require_oracle
from assay.methods.siblings.campaigns import NOTHING, Attack, Campaign, charge, run_campaigns
from assay.methods.siblings.options import SIBLING, SiblingText
from assay.methods.siblings.savings import ALONE, attack_metrics, costs, query_curves, risk_table, risk_verdict, saving
from assay.methods.stealing.basic import BasicStealing

STRANGE_AGREEMENT = 0.5
"""Below this (upper bound) a sibling is so unlike the model that its preprocessing may be wrong."""

SHOWN = 4
"""Images in the gallery."""

Attacks = Annotated[
    tuple[Attack, ...], Field(min_length=1), AfterValidator(lambda attacks: tuple(dict.fromkeys(attacks)))
]


@method
class SiblingRisk(Method):
    """Query attacks on the model with nothing in hand, an independent network, a stolen surrogate, and the sibling.

    All attacks are on the same images, which the model classifies correctly. The headline divides the median questions
    of the cheapest attack without any prior (the Square Attack among them) by those of the cheapest with the sibling.
    """

    name: ClassVar[str] = "siblings.risk"
    family: ClassVar[Family] = "siblings"
    needs: ClassVar[Need] = "posteriors"
    title: ClassVar[str] = "Risk of a published sibling"
    summary: ClassVar[str] = "Attacks the model with a published sibling as the guide, and counts the questions saved."
    threat_model: ClassVar[str] = (
        "Black box, with a sibling in hand. The model answers posteriors over the network; a quantised, pruned or "
        "distilled version of it runs on devices, so that anybody can open that one and follow its gradients."
    )
    paper: ClassVar[str] = (
        "After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), whose own attacks and settings are not known here; P-RGF by Cheng et al., NeurIPS 2019; GFCS by "
        "Lord et al., ICLR 2022; Square by Andriushchenko et al., ECCV 2020"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0043.001", "AML.T0043.002")
    parts: ClassVar[tuple[str, ...]] = ("non_members",)
    uses: ClassVar[tuple[str, ...]] = ("members", "auxiliary")
    presets: ClassVar[dict[Preset, dict[str, Any]]] = {
        "standard": {"surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 200, "surrogate": BasicStealing.presets["full"]},
    }

    sibling: SiblingText = SIBLING
    independent: str | None = Field(
        default=None, description="A model of the same task that has nothing to do with the target, to compare with."
    )
    surrogate: BasicStealing | None = Field(
        default=BasicStealing(), description="How a surrogate is stolen beforehand, to compare with; none: not at all."
    )
    attacks: Attacks = Field(default=("p-rgf", "gfcs"), description="Attacks that are guided: p-rgf, gfcs.")
    norm: Norm = Field(default="l2", description="How a change is measured: linf (largest pixel) or l2 (length).")
    epsilon: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="The largest change, pixels in [0, 1]; none: the usual one.",
    )
    max_queries: int = Field(default=1000, ge=1, description="The most questions about one image.")
    max_images: int = Field(
        default=100, ge=1, description="At most so many images that the model classifies correctly."
    )

    def requires(self) -> Method | None:
        """The theft."""
        return self.surrogate

    def companions(self) -> dict[str, str]:
        """The sibling, and the independent network."""
        return {"sibling": self.sibling} | ({"independent": self.independent} if self.independent else {})

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            BudgetError: if the oracle does not allow one image to be attacked.
            AccessError: if a surrogate is wanted and none was stolen beforehand.
        """
        oracle, cap = require_oracle(access), self.max_queries
        if data.non_members is None:
            raise DataError("A sibling's risk needs test images that the target was not trained on.")
        options = QueryOptions(norm=self.norm, epsilon=self.epsilon, max_queries=cap)
        ball = options.ball(oracle.input_shape)
        priors = self._priors(context)
        test = self._images(oracle, data, len(self.attacks) * len(priors) + 1, context)
        images, labels = test.take(np.arange(len(test))), torch.from_numpy(test.labels)
        campaigns = run_campaigns(scores_of(oracle), images, labels, priors, self.attacks, options, context)

        metrics = self._savings(campaigns, cap, context.seed)
        answers = torch.cat([context.companions["sibling"].logits(part) for part in torch.split(images, 256)])
        same = proportion("agreement", "Sibling's agreement on the attacked images", _right(answers, labels))
        medians = [float(np.median(costs(campaigns, prior, cap), axis=0).min()) for prior in (NOTHING, "sibling")]
        name = context.companions["sibling"].name
        words = size_in_words(ball.norm, ball.epsilon)
        verdict = risk_verdict(metrics, name, (medians[0], medians[1]), words)
        if same.interval is not None and same.interval.high < STRANGE_AGREEMENT:
            doubt = f" It gets only {percent(float(_right(answers, labels).mean()))} of these images right: is its "
            verdict = verdict.model_copy(update={"sentence": f"{verdict.sentence}{doubt}preprocessing right?"})
        metrics += [same, *(metric for each in campaigns for metric in attack_metrics(each, cap, context.seed))]
        return Finding(
            metrics=metrics,
            verdict=verdict,
            figures=[
                risk_table(campaigns, cap),
                query_curves(campaigns, cap),
                *_examples(campaigns, images, labels, oracle, ball.epsilon, context),
            ],
            samples={
                "row": test.rows,
                "label": test.labels,
                **{f"queries_{each.attack}_{each.prior}": each.result.queries for each in campaigns},
                **{f"success_{each.attack}_{each.prior}": each.result.success for each in campaigns},
            },
        )

    def _priors(self, context: Context) -> dict[str, WhiteBox | None]:
        priors: dict[str, WhiteBox | None] = {NOTHING: None}
        if "independent" in context.companions:
            priors["independent"] = context.companions["independent"]
        if self.surrogate is not None:
            priors["stolen surrogate"], _ = stolen_prior(context)
        return priors | {"sibling": context.companions["sibling"]}

    def _images(self, oracle: Oracle, data: Splits, runs: int, context: Context) -> Subset:
        """Test images that the model classifies correctly, as many as are wanted and the budget bears."""
        assert data.non_members is not None, "run() has checked"
        wanted, each = self.max_images, runs * self.max_queries
        if oracle.remaining is not None:
            wanted = min(wanted, oracle.remaining // each)
            if wanted == 0:
                raise BudgetError(
                    f"One image may take {each:,} questions in {runs} attacks, and the budget leaves "
                    f"{oracle.remaining:,}: lower max_queries, or name fewer attacks."
                )
        test = drawn(data.non_members, 4 * wanted, context.generator("siblings: images"))
        found = oracle.evaluator().ask_all(test, context.progress, "finding images that are classified correctly")
        right = np.flatnonzero(found.labels == test.labels)[:wanted]
        if not len(right):
            raise DataError(f"None of {len(test)} test images is classified correctly; there is nothing to evade.")
        return Subset(data.non_members, test.rows[right])

    def _savings(self, campaigns: list[Campaign], cap: int, seed: int) -> list[Metric]:
        """The headline, then the same against each other prior, and attack by attack."""
        cheap = costs(campaigns, "sibling", cap)
        metrics = [saving(costs(campaigns, NOTHING, cap), cheap, seed, "saving", "Times cheaper with the sibling", cap)]
        for prior in dict.fromkeys(each.prior for each in campaigns if each.prior not in (NOTHING, "sibling")):
            name, label = f"saving_over_{prior.replace(' ', '_')}", f"Times cheaper than with the {prior}"
            metrics.append(saving(costs(campaigns, prior, cap), cheap, seed, name, label, cap))
        for attack in self.attacks:
            by_prior = {each.prior: charge(each.result, cap)[:, None] for each in campaigns if each.attack == attack}
            label = f"Times cheaper with the sibling, {attack} {ALONE}"
            metrics.append(saving(by_prior[NOTHING], by_prior["sibling"], seed, f"saving_{attack}", label, cap))
        return metrics


def _right(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray[Any, np.dtype[np.bool_]]:
    hits: np.ndarray[Any, np.dtype[np.bool_]] = (logits.argmax(dim=1) == labels).numpy()
    return hits


def _examples(
    campaigns: list[Campaign],
    images: torch.Tensor,
    labels: torch.Tensor,
    oracle: Oracle,
    epsilon: float,
    context: Context,
) -> list[Figure]:
    """Images that fell with the sibling as the guide."""
    result = next(each.result for each in campaigns if each.prior == "sibling")
    rows = np.flatnonzero(result.success)[:SHOWN]
    if not len(rows):
        return []
    moved = result.adversarial[rows]
    after = oracle.evaluator().ask(moved).labels
    return [gallery(images[rows], moved, labels[rows].numpy(), after, epsilon, context)]
