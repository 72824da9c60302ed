"""A stolen surrogate as an attacker's own network, and the base of attacks by questions that it guides."""

from __future__ import annotations

from pydantic import Field

from assay.access import WhiteBox
from assay.base.errors import AccessError
from assay.methods.evasion.query_method import QueryMethod
from assay.methods.method import Context, Method
from assay.methods.stealing.basic import BasicStealing
from assay.methods.stealing.surrogate import Surrogate, load_surrogate
from assay.targets.target import Target

PRIOR_THREAT = (
    "Black box, posteriors. The attacker has stolen a surrogate by asking the service, and lets its gradients say "
    "which changes of an image to ask about next, until the image is misclassified."
)
"""The threat model of these attacks."""


def stolen_prior(context: Context) -> tuple[WhiteBox, Surrogate]:
    """The surrogate that the method named by `Method.requires` has stolen, and what it is.

    Raises:
        AccessError: if none was stolen beforehand.
        LoadError: if its files are damaged.
    """
    if context.provided is None:
        raise AccessError("This attack needs a stolen surrogate; run stealing.basic before it.")
    module, stolen = load_surrogate(context.provided)
    target = Target.from_module(
        module, input_shape=stolen.input_shape, num_classes=stolen.num_classes, device=context.device
    )
    return WhiteBox(target), stolen


class PriorMethod(QueryMethod):
    """An attack by questions that a stolen surrogate guides."""

    surrogate: BasicStealing = Field(default=BasicStealing(), description="How the surrogate is stolen beforehand.")

    def requires(self) -> Method:
        """The theft."""
        return self.surrogate

    def prior(self, context: Context) -> tuple[WhiteBox | None, str]:
        """The stolen surrogate, and words for the attack."""
        box, stolen = stolen_prior(context)
        return box, f"An attack guided by a copy stolen with {stolen.queries:,} questions"
