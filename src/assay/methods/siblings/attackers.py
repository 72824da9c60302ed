"""What an attacker may have in hand besides a sibling, and what he makes of one that he knows to be unpaired."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch

from assay.access import Published, WhiteBox
from assay.data.images import Images
from assay.methods.evasion.prior import stolen_prior
from assay.methods.method import Context
from assay.targets.target import Target
from assay.training import Recipe, fit

NOTHING = "no prior"
"""What the attacker has without any other network."""

STOLEN = "stolen surrogate"

ENSEMBLE = "ensemble"
"""All independent networks together."""

INDEPENDENT = "independent"
"""What the roles of companions begin with that have nothing to do with the target."""


class Averaged(torch.nn.Module):
    """A network whose logits are the mean over noisy copies of the image, so that its gradients are smoothed.

    The noise is the same for every image and call: a mirrored pair of patterns cancels what is odd in them.
    """

    noise: torch.Tensor

    def __init__(
        self, network: torch.nn.Module, shape: tuple[int, ...], draws: int, deviation: float, seed: int
    ) -> None:
        super().__init__()
        self.network = network
        # Drawn once, not in every call: an attack compares successive points, and fresh noise in each would drown the
        # difference.
        half = torch.randn((-(-draws // 2), *shape), generator=torch.Generator().manual_seed(seed))
        self.register_buffer("noise", deviation * torch.cat([half, -half])[:draws])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to logits (n, classes)."""
        many = (images[:, None] + self.noise).flatten(0, 1)
        logits: torch.Tensor = self.network(many).view(len(images), len(self.noise), -1).mean(dim=1)
        return logits


class Ensemble(torch.nn.Module):
    """Several networks whose log-probabilities are averaged, so that none counts more for its larger logits."""

    def __init__(self, networks: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) to log-probabilities (n, classes), but for a constant of each image."""
        return torch.stack([network(images).log_softmax(dim=1) for network in self.networks]).mean(dim=0)


def refitted(
    sibling: torch.nn.Module,
    questions: Images,
    posteriors: torch.Tensor,
    epochs: int,
    seed: int,
    device: torch.device,
) -> torch.nn.Module:
    """A copy of the sibling trained on the target's posteriors (n, classes) to questions, labels unknown."""
    network = copy.deepcopy(sibling).requires_grad_(True)
    recipe = Recipe(epochs=epochs, batch_size=64, learning_rate=0.01)
    fit(network, questions, posteriors, recipe, seed=seed, device=device, label="fine-tuning on the target's answers")
    return network.eval().requires_grad_(False)


def in_hand(network: torch.nn.Module, like: WhiteBox) -> WhiteBox:
    """A network as a white box, for images such as another takes."""
    return WhiteBox(
        Target.from_module(network, input_shape=like.input_shape, num_classes=like.num_classes, device=like.device)
    )


def roles(independent: Sequence[str]) -> dict[str, str]:
    """Roles of independent networks, for `Method.companions`: ``independent``, ``independent 2``, and so on."""
    return {f"{INDEPENDENT} {n}" if n > 1 else INDEPENDENT: text for n, text in enumerate(independent, start=1)}


def alternatives(context: Context, stolen: bool) -> tuple[dict[str, WhiteBox | None], dict[str, str]]:
    """What an attacker may have without the sibling, by prior: nothing, independent networks, a stolen copy.

    Two independent networks or more also count together. The second result has words for each, to follow "with".

    Raises:
        AccessError: if a copy is wanted and none was stolen beforehand.
    """
    priors: dict[str, WhiteBox | None] = {NOTHING: None}
    words = {NOTHING: "nothing"}
    apart: Mapping[str, Published] = {
        role: box for role, box in context.companions.items() if role.startswith(INDEPENDENT)
    }
    for role, box in apart.items():
        priors[role], words[role] = box, f"the independent {box.name}"
    if len(apart) > 1:
        boxes = list(apart.values())
        priors[ENSEMBLE] = in_hand(Ensemble([box.module for box in boxes]), boxes[0])
        words[ENSEMBLE] = f"these {len(apart)} independent networks together"
    if stolen:
        priors[STOLEN], copied = stolen_prior(context)
        words[STOLEN] = f"a copy stolen with {copied.queries:,} questions"
    return priors, words
