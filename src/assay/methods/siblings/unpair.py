"""A sibling that gives less away: the trade-off between accuracy and questions, and an attacker who knows of it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import AfterValidator, Field

from assay.access import WhiteBox
from assay.base.errors import DataError
from assay.compression.compression import Workshop, compress, is_compression, parse
from assay.compression.storage import Sibling, preprocessing_of, save_sibling
from assay.data.images import Images, Subset, drawn
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.evasion.queries import QueryOptions
from assay.methods.finding import Finding
from assay.methods.method import Context, Method, WhiteBoxMethod, method
from assay.methods.siblings.attackers import INDEPENDENT as APART
from assay.methods.siblings.attackers import Averaged, Ensemble, alternatives, in_hand, refitted, roles
from assay.methods.siblings.campaigns import Campaign, run_campaigns
from assay.methods.siblings.comparison import Pair, compare, scattered
from assay.methods.siblings.options import ATTACKS, INDEPENDENT, SIBLING, Attacks, Networks, SiblingText
from assay.methods.siblings.risk_report import Hands
from assay.methods.siblings.tradeoff import Candidate, best
from assay.methods.siblings.unpair_report import PAIRED, UnpairResult, unpair_finding
from assay.methods.siblings.unpairing import Unpairing, unpaired
from assay.methods.stealing.basic import BasicStealing
from assay.training import predict

COMPARED = 500
"""Test images at most on which gradients are compared."""


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
class Unpair(WhiteBoxMethod[UnpairResult]):
    """Siblings trained to be as accurate as the model while their input gradients leave its own, at several weights.

    Chosen is the one that costs an attacker most among those that lose no more accuracy than allowed. Against it stand
    attackers who know: gradients averaged over noise, the sibling fine-tuned on the model's answers, both, and the
    fine-tuned one together with independent networks. What counts is the strongest of all, beside the best that an
    attacker can do without the sibling.
    """

    name = "siblings.unpair"
    about = About(
        title="Unpairing a sibling",
        summary="Trains a sibling whose gradients say little about the model's, and attacks it knowingly.",
        paper="After Publishing Efficient On-device Models Increases Adversarial Vulnerability, SaTML 2023 (arXiv "
        "2212.13700), similarity-unpairing; its loss and hyper-parameters are not known here, and these are Assay's "
        "own",
        threat_model="The owner's side. Whoever attacks has the unpaired sibling in hand, any independent network and "
        "a stolen copy, and asks the model for posteriors; some know how the sibling was made.",
        atlas=("AML.T0043.001", "AML.T0043.002"),
    )
    parts = ("members", "non_members", "auxiliary")
    version = 4

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
    independent: Networks = INDEPENDENT
    surrogate: BasicStealing | None = Field(
        default=BasicStealing(), description="How a surrogate is stolen beforehand, to compare with; none: not at all."
    )
    attacks: Attacks = ATTACKS
    max_queries: int = Field(default=1000, ge=1, description="The most questions about one image.")
    max_images: int = Field(
        default=50, ge=1, description="Images attacked at most, which the model classifies correctly."
    )
    test_images: int = Field(default=2000, ge=1, description="At most so many images to measure accuracy on.")

    def requires(self) -> Method | None:
        """The theft."""
        return self.surrogate

    def companions(self) -> dict[str, str]:
        """Independent networks."""
        return roles(self.independent)

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> UnpairResult:
        """Train siblings at every weight, attack the model with each, and with the best once more knowingly.

        Raises:
            DataError: if a part of the data is missing, or no test image is classified correctly.
            AccessError: if a surrogate is wanted and none was stolen beforehand.
        """
        if data.members is None or data.non_members is None or data.auxiliary is None:
            raise DataError("Unpairing needs training images, test images, and an auxiliary set for the attacker.")
        bench = self._bench(access, data.non_members, context)
        train = drawn(data.members, self.train_images, context.generator("unpair: training images"))
        shape, classes = access.input_shape, access.num_classes
        workshop = Workshop(shape, classes, train, context.seed, context.device, context.progress)
        steps = parse(self.sibling)

        paired = self._candidate(PAIRED, compress(access.module, steps, workshop), bench, context)
        candidates = [
            self._candidate(
                f"unpaired, weight {weight:g}",
                unpaired(access.module, steps, weight, self.unpairing, workshop),
                bench,
                context,
            )
            for weight in self.weights
        ]
        chosen = best(paired, candidates, self.allowed_loss, self.max_queries)
        knowing = self._knowing(chosen.network, access, data.auxiliary, context)
        priors, words = alternatives(context, self.surrogate is not None)
        independent = any(prior.startswith(APART) for prior in priors)
        note = f"{chosen.name}, {self.unpairing.order}"
        return UnpairResult(
            test=bench.test,
            attacked=np.isin(bench.test.rows, bench.attacked.rows),
            ball=bench.options.ball(shape),
            cap=self.max_queries,
            paired=paired,
            candidates=candidates,
            chosen=chosen,
            hands=Hands(words, [chosen.name, *knowing], f"the {chosen.name}", independent),
            without=self._campaigns(priors, bench, context),
            knowing=self._campaigns(knowing, bench, context),
            described=Sibling.of(steps, workshop, preprocessing_of(access.module), None, note=note),
        )

    def account(self, result: UnpairResult, context: Context) -> Finding:
        """What unpairing costs whom; the chosen sibling is kept in the folder ``sibling``."""
        save_sibling(result.chosen.network, result.described, context.artefacts / "sibling")
        return unpair_finding(result, context.seed)

    def _bench(self, box: WhiteBox, images: Images, context: Context) -> _Bench:
        test = drawn(images, self.test_images, context.generator("unpair: test images"))
        right = np.flatnonzero(predict(box.module, test, context.device).argmax(dim=1).numpy() == test.labels)
        if not len(right):
            raise DataError(f"None of {len(test)} test images is classified correctly; there is nothing to evade.")
        attacked = Subset(images, test.rows[right[: self.max_images]])
        return _Bench(box, test, attacked, QueryOptions(max_queries=self.max_queries))

    def _candidate(self, name: str, network: torch.nn.Module, bench: _Bench, context: Context) -> Candidate:
        sibling = in_hand(network, bench.box)
        images = bench.test.take(np.arange(min(len(bench.test), COMPARED)))
        labels = torch.from_numpy(bench.test.labels[:COMPARED])
        ball = bench.options.ball(bench.box.input_shape)
        compared = compare(Pair(bench.box, sibling, images, labels), ball)
        right = predict(network, bench.test, context.device).argmax(1).numpy() == bench.test.labels
        carried = scattered(compared.both, compared.to_target)
        return Candidate(name, network, right, compared, carried, self._campaigns({name: sibling}, bench, context))

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
        shape, seed = box.input_shape, context.seed
        uses: dict[str, torch.nn.Module] = {
            "averaged gradients": Averaged(network, shape, self.draws, self.deviation, seed),
            "fine-tuned on answers": fitted,
            "fine-tuned, averaged": Averaged(fitted, shape, self.draws, self.deviation, seed),
        }
        if context.companions:
            apart = [companion.module for companion in context.companions.values()]
            uses["fine-tuned, with independent networks"] = Ensemble([fitted, *apart])
        return {name: in_hand(module, box) for name, module in uses.items()}
