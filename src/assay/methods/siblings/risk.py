"""How much cheaper an attack becomes once a sibling is in everyone's hands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from assay.access import Oracle
from assay.base.errors import BudgetError, DataError
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.evasion.ball import Ball, Norm
from assay.methods.evasion.queries import QueryOptions, scores_of
from assay.methods.evasion.results import gallery, size_in_words
from assay.methods.finding import Figure, Finding, Metric, Samples
from assay.methods.measures import percent, proportion
from assay.methods.method import Context, Method, OracleMethod, method
from assay.methods.siblings.attackers import INDEPENDENT as APART
from assay.methods.siblings.attackers import NOTHING, alternatives, roles
from assay.methods.siblings.campaigns import Campaign, planned, run_campaigns
from assay.methods.siblings.options import ATTACKS, INDEPENDENT, SIBLING, Attacks, Networks, SiblingText
from assay.methods.siblings.risk_report import Hands, query_curves, risk_table, risk_verdict
from assay.methods.siblings.savings import attack_metrics, attack_outcomes, costs, gains, saving, using
from assay.methods.siblings.similarity_measures import Flags
from assay.methods.stealing.basic import BasicStealing

STRANGE_AGREEMENT = 0.5
"""Below this (upper bound) a sibling is so unlike the model that its preprocessing may be wrong."""

SHOWN = 4
"""Images in the gallery."""

SIBLING_PRIOR = "sibling"


class RiskResult(NamedTuple):
    """Attacks on the n images of ``test`` by everything that an attacker may have in hand.

    ``sibling_right`` bool (n,) is what the sibling classifies correctly. ``shown`` are rows (k,) of images that fell
    with its help, and ``after`` (k,) the model's answers to them.
    """

    hands: Hands
    test: Subset
    ball: Ball
    campaigns: list[Campaign]
    sibling_right: Flags
    shown: NDArray[np.int64]
    after: NDArray[np.int64]


@method
class SiblingRisk(OracleMethod[RiskResult]):
    """Query attacks on the model with nothing in hand, independent networks, a stolen surrogate, and the sibling.

    All attacks are on the same images, which the model classifies correctly. The headline compares the best that an
    attacker can do without the sibling, whatever he has in hand, with the best that he can do with it as well: median
    questions of the cheapest attack, and images that fall within the cap.
    """

    name = "siblings.risk"
    about = About(
        title="Risk of a published sibling",
        summary="Attacks the model with a published sibling as the guide, and counts the questions saved.",
        paper="After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), whose own attacks and settings are not known here; P-RGF by Cheng et al., NeurIPS 2019; GFCS by "
        "Lord et al., ICLR 2022; Square by Andriushchenko et al., ECCV 2020",
        threat_model="Black box, with a sibling in hand. The model answers posteriors over the network; a quantised, "
        "pruned or distilled version of it runs on devices, so that anybody can open that one and follow its "
        "gradients.",
        atlas=("AML.T0043.001", "AML.T0043.002"),
    )
    parts = ("non_members",)
    uses = ("members", "auxiliary")
    version = 2
    presets = {
        "standard": {"surrogate": BasicStealing.presets["standard"]},
        "full": {"max_images": 200, "surrogate": BasicStealing.presets["full"]},
    }

    sibling: SiblingText = SIBLING
    independent: Networks = INDEPENDENT
    surrogate: BasicStealing | None = Field(
        default=BasicStealing(), description="How a surrogate is stolen beforehand, to compare with; none: not at all."
    )
    attacks: Attacks = ATTACKS
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
        """The sibling, and independent networks."""
        return {SIBLING_PRIOR: self.sibling, **roles(self.independent)}

    def measure(self, access: Oracle, data: Splits, context: Context) -> RiskResult:
        """Attack the same images with each prior.

        Raises:
            DataError: if test images are missing, or none is classified correctly.
            BudgetError: if the oracle does not allow one image to be attacked.
            AccessError: if a surrogate is wanted and none was stolen beforehand.
        """
        if data.non_members is None:
            raise DataError("A sibling's risk needs test images that the target was not trained on.")
        options = QueryOptions(norm=self.norm, epsilon=self.epsilon, max_queries=self.max_queries)
        ball, sibling = options.ball(access.input_shape), context.companions[SIBLING_PRIOR]
        priors, words = alternatives(context, self.surrogate is not None)
        hands = Hands(words, [SIBLING_PRIOR], sibling.name, any(prior.startswith(APART) for prior in priors))
        priors = priors | {SIBLING_PRIOR: sibling}
        test = self._images(access, data.non_members, len(planned(priors, self.attacks)), context)
        images, labels = test.take(np.arange(len(test))), torch.from_numpy(test.labels)
        campaigns = run_campaigns(scores_of(access), images, labels, priors, self.attacks, options, context)
        answers = torch.cat([sibling.logits(part) for part in torch.split(images, 256)])
        helped = using(campaigns, [SIBLING_PRIOR])[0].result
        shown = np.flatnonzero(helped.success)[:SHOWN]
        after = access.evaluator().ask(helped.adversarial[shown]).labels if len(shown) else np.zeros(0, np.int64)
        right: Flags = (answers.argmax(dim=1) == labels).numpy()
        return RiskResult(hands, test, ball, campaigns, right, shown, after)

    def account(self, result: RiskResult, context: Context) -> Finding:
        """What the sibling adds to the best that an attacker has otherwise; see `risk_verdict`."""
        campaigns, cap, hands = result.campaigns, self.max_queries, result.hands
        gained = gains(using(campaigns, list(hands.without)), campaigns, cap, context.seed)
        same = proportion("agreement", "Sibling's agreement on the attacked images", result.sibling_right)
        words = size_in_words(result.ball.norm, result.ball.epsilon)
        verdict = risk_verdict(gained, campaigns, hands, words, cap)
        if same.interval is not None and same.interval.high < STRANGE_AGREEMENT:
            doubt = f" It gets only {percent(float(result.sibling_right.mean()))} of these images right: is its "
            verdict = verdict.model_copy(update={"sentence": f"{verdict.sentence}{doubt}preprocessing right?"})
        metrics = [*gained, *self._savings(campaigns, context.seed), same]
        metrics += [metric for each in campaigns for metric in attack_metrics(each, cap, context.seed)]
        outcomes = {"agreement": result.sibling_right.astype(np.float64), **attack_outcomes(campaigns, cap)}
        asked = {f"queries_{each.name}": each.result.queries for each in campaigns}
        return Finding(
            metrics=metrics,
            verdict=verdict,
            figures=[risk_table(campaigns, cap), query_curves(campaigns, cap), *_examples(result, context)],
            samples=Samples(result.test.rows, outcomes=outcomes, columns={"label": result.test.labels, **asked}),
        )

    def _images(self, oracle: Oracle, images: Images, runs: int, context: Context) -> Subset:
        """Images that the model classifies correctly, as many as are wanted and the budget bears."""
        wanted, each = self.max_images, runs * self.max_queries
        if oracle.remaining is not None:
            wanted = min(wanted, oracle.remaining // each)
            if wanted == 0:
                raise BudgetError(
                    f"One image may take {each:,} questions in {runs} attacks, and the budget leaves "
                    f"{oracle.remaining:,}: lower max_queries, or name fewer attacks."
                )
        test = drawn(images, 4 * wanted, context.generator("siblings: images"))
        found = oracle.evaluator().ask_all(test, context.progress, "finding images that are classified correctly")
        right = np.flatnonzero(found.labels == test.labels)[:wanted]
        if not len(right):
            raise DataError(f"None of {len(test)} test images is classified correctly; there is nothing to evade.")
        return Subset(images, test.rows[right])

    def _savings(self, campaigns: list[Campaign], seed: int) -> list[Metric]:
        """How many times cheaper than with each other prior, and than with nothing by each attack."""
        cap, having = self.max_queries, costs(using(campaigns, [SIBLING_PRIOR]), self.max_queries)
        metrics = []
        for prior in dict.fromkeys(each.prior for each in campaigns if each.prior != SIBLING_PRIOR):
            told = "nothing" if prior == NOTHING else f"the {prior}"
            name, label = f"saving_over_{prior.replace(' ', '_')}", f"Times cheaper with the sibling than with {told}"
            metrics.append(saving(costs(using(campaigns, [prior]), cap), having, seed, name, label, cap))
        for attack in self.attacks:
            alone = {each.prior: costs([each], cap) for each in campaigns if each.attack == attack}
            if NOTHING in alone:
                label = f"Times cheaper with the sibling than with nothing, {attack} alone"
                metrics.append(saving(alone[NOTHING], alone[SIBLING_PRIOR], seed, f"saving_{attack}", label, cap))
        return metrics


def _examples(result: RiskResult, context: Context) -> list[Figure]:
    """Images that fell with the sibling as the guide."""
    if not len(result.shown):
        return []
    moved = using(result.campaigns, [SIBLING_PRIOR])[0].result.adversarial[result.shown]
    images, labels = result.test.take(result.shown), result.test.labels[result.shown]
    return [gallery(images, moved, labels, result.after, result.ball.epsilon, context)]
