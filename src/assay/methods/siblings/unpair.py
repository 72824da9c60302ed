"""A sibling that gives less away: the trade-off between accuracy and questions, and an attacker who knows of it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.compression.compression import Workshop, compress, is_compression, parse
from assay.compression.storage import Sibling, preprocessing_of, save_sibling
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.evasion.queries import QueryOptions
from assay.methods.evasion.results import size_in_words
from assay.methods.finding import Family, Finding, Metric
from assay.methods.measures import resampled
from assay.methods.method import Context, Method, Need, method, require_white_box
from assay.methods.siblings.adaptive import Averaged, in_hand, refitted
from assay.methods.siblings.campaigns import NOTHING, Campaign, run_campaigns
from assay.methods.siblings.comparison import Pair, similarity_metrics, similarity_table
from assay.methods.siblings.options import SIBLING, SiblingText
from assay.methods.siblings.risk import Attacks
from assay.methods.siblings.savings import attack_metrics, costs, query_curves, risk_table, risk_verdict, saving
from assay.methods.siblings.tradeoff import Candidate, best, share_lost, trade_off, transfer_cut
from assay.methods.siblings.unpairing import Unpairing, unpaired
from assay.training import predict

PAIRED = "paired sibling"


def _compression(text: str) -> str:
    if not is_compression(text):
        raise ValueError("only a sibling that is made here can be unpaired: name a compression, such as int8")
    return text


Weights = Annotated[
    tuple[Annotated[float, Field(ge=0.0, allow_inf_nan=False)], ...],
    Field(min_length=1),
    AfterValidator(lambda weights: tuple(sorted(set(weights)))),
]


class _Bench(NamedTuple):
    """Everything that candidates are judged on: test images, and those among them that are attacked."""

    box: WhiteBox
    test: Subset
    attacked: Subset
    options: QueryOptions


@method
class Unpair(Method):
    """Siblings trained to be as accurate as the model while their input gradients leave its own, at several weights.

    Chosen is the one that costs an attacker most among those that lose no more accuracy than allowed. Against it stands
    an attacker who knows: gradients averaged over noise, the sibling fine-tuned on the model's answers, and both.
    """

    name: ClassVar[str] = "siblings.unpair"
    family: ClassVar[Family] = "siblings"
    needs: ClassVar[Need] = "white-box"
    title: ClassVar[str] = "Unpairing a sibling"
    summary: ClassVar[str] = "Trains a sibling whose gradients say little about the model's, and attacks it knowingly."
    threat_model: ClassVar[str] = (
        "The owner's side. Whoever attacks has the unpaired sibling in hand and asks the model for posteriors; the "
        "second one knows how it was made."
    )
    paper: ClassVar[str] = (
        "After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), similarity-unpairing; its loss and hyper-parameters are not known here, and these are Assay's own"
    )
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0043.001", "AML.T0043.002")
    parts: ClassVar[tuple[str, ...]] = ("members", "non_members", "auxiliary")
    version: ClassVar[int] = 3

    sibling: Annotated[SiblingText, AfterValidator(_compression)] = SIBLING
    weights: Weights = Field(default=(3.0, 10.0, 30.0), description="Weights of the squared cosine that are tried.")
    unpairing: Unpairing = Field(default=Unpairing(), description="How the sibling is trained.")
    train_images: int = Field(default=10_000, ge=1, description="Training images at most.")
    allowed_loss: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="The share of images that the sibling may get wrong beyond the paired one.",
    )
    refit_questions: int = Field(
        default=1000,
        ge=1,
        description="Images that the knowing attacker asks about beforehand to fine-tune the sibling.",
    )
    refit_epochs: int = Field(default=5, ge=1, description="Passes over these.")
    draws: int = Field(default=8, ge=2, description="Noisy copies over which the knowing attacker averages gradients.")
    deviation: float = Field(default=0.05, gt=0.0, le=1.0, description="Standard deviation of that noise, on pixels.")
    attacks: Attacks = Field(default=("p-rgf",), description="Attacks that are guided: p-rgf, gfcs.")
    max_queries: int = Field(default=1000, ge=1, description="The most questions about one image.")
    max_images: int = Field(
        default=50, ge=1, description="Images attacked at most, which the model classifies correctly."
    )
    test_images: int = Field(default=2000, ge=1, description="At most so many images to measure accuracy on.")

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        """See `Method.run`.

        Raises:
            DataError: if a part of the data is missing, or no test image is classified correctly.
        """
        box = require_white_box(access)
        if data.members is None or data.non_members is None or data.auxiliary is None:
            raise DataError("Unpairing needs training images, test images, and an auxiliary set for the attacker.")
        bench = self._bench(box, data.non_members, context)
        train = drawn(data.members, self.train_images, context.generator("unpair: training images"))
        workshop = Workshop(box.input_shape, box.num_classes, train, context.seed, context.device, context.progress)
        steps = parse(self.sibling)

        paired = self._candidate(PAIRED, compress(box.module, steps, workshop), bench, context)
        candidates = [
            self._candidate(
                f"unpaired, weight {weight:g}",
                unpaired(box.module, steps, weight, self.unpairing, workshop),
                bench,
                context,
            )
            for weight in self.weights
        ]
        chosen = best(paired, candidates, self.allowed_loss, self.max_queries)
        priors: dict[str, WhiteBox | None] = {
            NOTHING: None,
            **self._knowing(chosen.network, box, data.auxiliary, context),
        }
        knowing = self._campaigns(priors, bench, context)

        described = Sibling.of(
            steps, workshop, preprocessing_of(box.module), None, note=f"{chosen.name}, {self.unpairing.order}"
        )
        campaigns = [*paired.campaigns, *(each for one in candidates for each in one.campaigns), *knowing]
        metrics = self._metrics(paired, chosen, knowing, context.seed)
        attackers = [prior for prior in priors if prior != NOTHING]
        medians = [float(np.median(self._least(knowing, names), axis=0).min()) for names in ([NOTHING], attackers)]
        ball = bench.options.ball(box.input_shape)
        verdict = risk_verdict(
            metrics[:1], f"the {chosen.name}", (medians[0], medians[1]), size_in_words(ball.norm, ball.epsilon)
        )
        save_sibling(chosen.network, described, context.artefacts / "sibling")
        return Finding(
            metrics=[
                *metrics,
                *(metric for each in campaigns for metric in attack_metrics(each, self.max_queries, context.seed)),
            ],
            verdict=verdict,
            figures=[
                trade_off(paired, candidates, self.max_queries),
                similarity_table({one.name: one.similarity for one in (paired, *candidates)}),
                risk_table(campaigns, self.max_queries),
                query_curves([*paired.campaigns, *chosen.campaigns, *knowing], self.max_queries),
            ],
            samples={"row": bench.attacked.rows, **self._columns(campaigns)},
        )

    def _bench(self, box: WhiteBox, images: Images, context: Context) -> _Bench:
        test = drawn(images, self.test_images, context.generator("unpair: test images"))
        right = np.flatnonzero(predict(box.module, test, context.device).argmax(dim=1).numpy() == test.labels)
        if not len(right):
            raise DataError(f"None of {len(test)} test images is classified correctly; there is nothing to evade.")
        return _Bench(box, test, Subset(test, right[: self.max_images]), QueryOptions(max_queries=self.max_queries))

    def _candidate(self, name: str, network: torch.nn.Module, bench: _Bench, context: Context) -> Candidate:
        sibling = in_hand(network, bench.box)
        images = bench.test.take(np.arange(min(len(bench.test), 500)))
        labels = torch.from_numpy(bench.test.labels[:500])
        ball = bench.options.ball(bench.box.input_shape)
        similarity, columns = similarity_metrics(Pair(bench.box, sibling, images, labels), ball, context.seed)
        right: NDArray[np.bool_] = predict(network, bench.test, context.device).argmax(1).numpy() == bench.test.labels
        campaigns = self._campaigns({name: sibling}, bench, context)
        return Candidate(name, network, right, similarity, columns["transfer_to_target"], campaigns)

    def _campaigns(self, priors: dict[str, WhiteBox | None], bench: _Bench, context: Context) -> list[Campaign]:
        images = bench.attacked.take(np.arange(len(bench.attacked)))
        labels = torch.from_numpy(bench.attacked.labels)
        return run_campaigns(bench.box.logits, images, labels, priors, self.attacks, bench.options, context)

    def _knowing(
        self, network: torch.nn.Module, box: WhiteBox, auxiliary: Images, context: Context
    ) -> dict[str, WhiteBox | None]:
        """The unpaired sibling in the hands of somebody who knows that it is one."""
        questions = drawn(auxiliary, self.refit_questions, context.generator("unpair: questions"))
        posteriors = predict(box.module, questions, context.device).softmax(dim=1)
        fitted = refitted(network, questions, posteriors, self.refit_epochs, context.seed, context.device)
        shape = box.input_shape
        return {
            "averaged gradients": in_hand(Averaged(network, shape, self.draws, self.deviation, context.seed), box),
            "fine-tuned on answers": in_hand(fitted, box),
            "fine-tuned, averaged": in_hand(Averaged(fitted, shape, self.draws, self.deviation, context.seed), box),
        }

    def _metrics(self, paired: Candidate, chosen: Candidate, knowing: list[Campaign], seed: int) -> list[Metric]:
        cap = self.max_queries
        attackers = list(dict.fromkeys(each.prior for each in knowing if each.prior != NOTHING))
        plain, own = costs(paired.campaigns, paired.name, cap), costs(chosen.campaigns, chosen.name, cap)
        smart = np.concatenate([self._least(knowing, attackers), own], axis=1)
        return [
            saving(
                self._least(knowing, [NOTHING]), smart, seed, "saving", "Times cheaper with the unpaired sibling", cap
            ),
            resampled("accuracy_lost", "Accuracy lost by unpairing", share_lost, paired.right, chosen.right, seed=seed),
            resampled(
                "transfer_cut", "Transfer undone by unpairing", transfer_cut, paired.carried, chosen.carried, seed=seed
            ),
            saving(own, plain, seed, "times_dearer", "Times dearer than with the paired sibling", cap),
            saving(smart, plain, seed, "times_dearer_knowing", "The same for an attacker who knows", cap),
        ]

    def _least(self, campaigns: list[Campaign], priors: list[str]) -> NDArray[np.int64]:
        return np.concatenate([costs(campaigns, prior, self.max_queries) for prior in priors], axis=1)

    @staticmethod
    def _columns(campaigns: list[Campaign]) -> dict[str, NDArray[Any]]:
        return {f"queries_{each.attack}_{each.prior}": each.result.queries for each in campaigns}
