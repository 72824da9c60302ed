"""What unpairing comes to: metrics, the verdict, and pictures, from what was measured of all siblings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.base.intervals import Floats
from assay.compression.storage import Sibling
from assay.data.images import Subset
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.results import size_in_words
from assay.methods.finding import Finding, Metric, Samples
from assay.methods.measures import resampled
from assay.methods.siblings.campaigns import NOTHING, Campaign
from assay.methods.siblings.comparison import scattered, similarity_metrics, similarity_table
from assay.methods.siblings.risk_report import query_curves, risk_table, risk_verdict
from assay.methods.siblings.savings import (
    Counts,
    attack_metrics,
    attack_outcomes,
    costs,
    least_median,
    saving,
)
from assay.methods.siblings.scales import SAVING
from assay.methods.siblings.similarity_measures import Flags
from assay.methods.siblings.tradeoff import Candidate, share_lost, trade_off, transfer_cut

PAIRED = "paired sibling"


class UnpairResult(NamedTuple):
    """All siblings, and what attacks with them took.

    ``attacked`` bool (n,) marks those of the n images of ``test`` that attacks are about, with a cap of questions each.
    ``chosen`` is one of ``candidates``; ``knowing`` are attacks with nothing in hand, and with the chosen sibling by
    somebody who knows how it was made. ``described`` is the chosen one's description.
    """

    test: Subset
    attacked: Flags
    ball: Ball
    cap: int
    paired: Candidate
    candidates: list[Candidate]
    chosen: Candidate
    knowing: list[Campaign]
    described: Sibling

    @property
    def campaigns(self) -> list[Campaign]:
        """All of them."""
        siblings = (self.paired, *self.candidates)
        return [*(each for one in siblings for each in one.campaigns), *self.knowing]

    @property
    def attackers(self) -> list[str]:
        """What those who know have in hand."""
        return list(dict.fromkeys(each.prior for each in self.knowing if each.prior != NOTHING))


def unpair_finding(result: UnpairResult, seed: int) -> Finding:
    """Metrics, samples, pictures, and the verdict on publishing the chosen sibling."""
    paired, chosen, cap = result.paired, result.chosen, result.cap
    metrics = unpair_metrics(result, seed)
    without, knowing = (least_median(_of(result.knowing, names, cap)) for names in ([NOTHING], result.attackers))
    size = size_in_words(result.ball.norm, result.ball.epsilon)
    verdict = risk_verdict(metrics[:1], f"the {chosen.name}", (without, knowing), size)
    metrics += [metric for each in result.campaigns for metric in attack_metrics(each, cap, seed)]
    siblings = (paired, *result.candidates)
    return Finding(
        metrics=metrics,
        verdict=verdict,
        figures=[
            trade_off(paired, result.candidates, cap),
            similarity_table({one.name: similarity_metrics(one.compared, seed) for one in siblings}),
            risk_table(result.campaigns, cap),
            query_curves([*paired.campaigns, *chosen.campaigns, *result.knowing], cap),
        ],
        samples=_samples(result),
    )


def unpair_metrics(result: UnpairResult, seed: int) -> list[Metric]:
    """What the sibling saves an attacker who knows, then what unpairing costs the owner and attackers of both kinds."""
    paired, chosen, cap = result.paired, result.chosen, result.cap
    plain, own = costs(paired.campaigns, paired.name, cap), costs(chosen.campaigns, chosen.name, cap)
    # Whoever knows of unpairing may still use the sibling as it is.
    smart = np.concatenate([_of(result.knowing, result.attackers, cap), own], axis=1)
    without = _of(result.knowing, [NOTHING], cap)
    return [
        saving(without, smart, seed, "saving", "Times cheaper with the unpaired sibling", cap).judged_by(SAVING),
        resampled("accuracy_lost", "Accuracy lost by unpairing", share_lost, paired.right, chosen.right, seed=seed),
        resampled(
            "transfer_cut", "Transfer undone by unpairing", transfer_cut, paired.carried, chosen.carried, seed=seed
        ),
        saving(own, plain, seed, "times_dearer", "Times dearer than with the paired sibling", cap),
        saving(smart, plain, seed, "times_dearer_knowing", "The same for an attacker who knows", cap),
    ]


def _of(campaigns: Sequence[Campaign], priors: Sequence[str], cap: int) -> Counts:
    return np.concatenate([costs(campaigns, prior, cap) for prior in priors], axis=1)


def _samples(result: UnpairResult) -> Samples:
    attacked = attack_outcomes(result.campaigns, result.cap)
    lost: Floats = result.paired.right.astype(np.float64) - result.chosen.right
    return Samples(
        result.test.rows,
        outcomes={"accuracy_lost": lost, **{name: scattered(result.attacked, of) for name, of in attacked.items()}},
        columns={"label": result.test.labels},
    )
