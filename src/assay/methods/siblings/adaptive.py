"""What an attacker does who knows that a sibling was unpaired."""

from __future__ import annotations

import copy

import torch

from assay.access import WhiteBox
from assay.data.images import Images
from assay.targets.target import Target
from assay.training import Recipe, fit


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
