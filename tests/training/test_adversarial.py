import torch
from torch import nn
from torch.nn.functional import cross_entropy

from assay.training.adversarial import adversarial_loss


class Spy(nn.Module):
    """A linear network that remembers what it was shown, and in which mode."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 3)
        self.seen = []

    def forward(self, images):
        self.seen.append((images.detach().clone(), self.training))
        return self.linear(images.flatten(1))


def spied(epsilon, steps):
    torch.manual_seed(0)
    module = Spy().train()
    images, labels = torch.rand(20, 1, 4, 4), torch.randint(0, 3, (20,))
    value, logits = adversarial_loss(epsilon, steps)(module, images, labels)
    return module, images, labels, value, logits


def test_the_images_trained_on_stay_near_and_in_range_and_are_worse():
    module, images, labels, value, logits = spied(0.2, 5)
    *searched, (final, training) = module.seen
    assert len(searched) == 5
    assert training
    assert not any(mode for _, mode in searched)
    assert (final - images).abs().max() <= 0.2 + 1e-6
    assert final.min() >= 0
    assert final.max() <= 1
    torch.testing.assert_close(value, cross_entropy(logits, labels))
    assert value > 1.1 * cross_entropy(module(images), labels)


def test_a_linear_network_is_attacked_as_well_as_can_be():
    """For two classes the worst point of the ball is known: every pixel moves by epsilon against the margin."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    images, labels = 0.3 + 0.4 * torch.rand(30, 1, 4, 4), torch.randint(0, 2, (30,))
    value, _ = adversarial_loss(0.1, 7)(module, images, labels)
    weight = module[1].weight
    towards = (weight[1 - labels] - weight[labels]).sign().view(-1, 1, 4, 4)
    torch.testing.assert_close(value, cross_entropy(module(images + 0.1 * towards), labels))


def test_gradients_of_the_search_do_not_reach_the_parameters():
    module, _, _, value, _ = spied(0.1, 3)
    assert all(p.grad is None for p in module.parameters())
    value.backward()
    assert all(p.grad is not None for p in module.parameters())
