"""What unpairing comes to: metrics, the verdict, and pictures, from what was measured of all siblings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.base.intervals import Floats
from assay.compression.storage import Sibling
from assay.data.images import Subset
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.results import size_in_words
from assay.methods.finding import Finding, Metric, Samples
from assay.methods.measures import resampled
from assay.methods.siblings.campaigns import Campaign
from assay.methods.siblings.comparison import scattered, similarity_metrics, similarity_table
from assay.methods.siblings.risk_report import Hands, query_curves, risk_table, risk_verdict
from assay.methods.siblings.savings import attack_metrics, attack_outcomes, costs, gains, times
from assay.methods.siblings.similarity_measures import Flags
from assay.methods.siblings.tradeoff import Candidate, share_lost, trade_off, transfer_cut

PAIRED = "paired sibling"


class UnpairResult(NamedTuple):
    """All siblings, and what attacks with them took.

    ``attacked`` bool (n,) marks those of the n images of ``test`` that attacks are about, with a cap of questions each.
    ``chosen`` is one of ``candidates``; ``without`` are attacks without any sibling, ``knowing`` those with the chosen
    one by somebody who knows how it was made. ``described`` is the chosen one's description.
    """

    test: Subset
    attacked: Flags
    ball: Ball
    cap: int
    paired: Candidate
    candidates: list[Candidate]
    chosen: Candidate
    hands: Hands
    without: list[Campaign]
    knowing: list[Campaign]
    described: Sibling

    @property
    def campaigns(self) -> list[Campaign]:
        """All of them."""
        siblings = (self.paired, *self.candidates)
        return [*(each for one in siblings for each in one.campaigns), *self.without, *self.knowing]


def unpair_finding(result: UnpairResult, seed: int) -> Finding:
    """Metrics, samples, pictures, and the verdict on publishing the chosen sibling."""
    paired, chosen, cap = result.paired, result.chosen, result.cap
    gained = gains(result.without, [*result.without, *chosen.campaigns, *result.knowing], cap, seed)
    metrics = [*gained, *unpair_metrics(result, seed)]
    size = size_in_words(result.ball.norm, result.ball.epsilon)
    verdict = risk_verdict(gained, result.campaigns, result.hands, size, cap)
    metrics += [metric for each in result.campaigns for metric in attack_metrics(each, cap, seed)]
    siblings = (paired, *result.candidates)
    return Finding(
        metrics=metrics,
        verdict=verdict,
        figures=[
            trade_off(paired, result.candidates, cap),
            similarity_table({one.name: similarity_metrics(one.compared, seed) for one in siblings}),
            risk_table(result.campaigns, cap),
            query_curves([*paired.campaigns, *chosen.campaigns, *result.without, *result.knowing], cap),
        ],
        samples=_samples(result),
    )


def unpair_metrics(result: UnpairResult, seed: int) -> list[Metric]:
    """What unpairing costs the owner, and attackers of all kinds."""
    paired, chosen, cap = result.paired, result.chosen, result.cap
    plain, own = costs(paired.campaigns, cap), costs(chosen.campaigns, cap)
    # Whoever knows of unpairing may still use the sibling as it is.
    smart = np.concatenate([own, costs(result.knowing, cap)], axis=1)
    without = costs(result.without, cap)
    response, before = (np.concatenate([without, with_it], axis=1) for with_it in (smart, plain))
    return [
        resampled("accuracy_lost", "Accuracy lost by unpairing", share_lost, paired.right, chosen.right, seed=seed),
        resampled(
            "transfer_cut", "Transfer undone by unpairing", transfer_cut, paired.carried, chosen.carried, seed=seed
        ),
        times(own, plain, seed, "times_dearer", "Times dearer than with the paired sibling, used as it is", cap),
        times(smart, plain, seed, "times_dearer_knowing", "The same by the strongest use of those tried", cap),
        times(response, before, seed, "times_dearer_best", "The same by the best of everything in hand", cap),
    ]


def _samples(result: UnpairResult) -> Samples:
    attacked = attack_outcomes(result.campaigns, result.cap)
    lost: Floats = result.paired.right.astype(np.float64) - result.chosen.right
    return Samples(
        result.test.rows,
        outcomes={"accuracy_lost": lost, **{name: scattered(result.attacked, of) for name, of in attacked.items()}},
        columns={"label": result.test.labels},
    )
