"""How far an image is from a network's decision boundary."""

from __future__ import annotations

from typing import Literal

import torch


def deepfool_distances(
    module: torch.nn.Module,
    images: torch.Tensor,
    device: torch.device,
    *,
    classes: int = 5,
    steps: int = 10,
    overshoot: float = 0.02,
) -> torch.Tensor:
    """The Euclidean length (n,) of DeepFool's perturbation of images (n, c, h, w), in pixels of [0, 1].

    Moosavi-Dezfooli et al., DeepFool, CVPR 2016, Algorithm 2. At every step the network is taken as linear, and the
    image is moved to the nearest boundary between its label and one of the ``classes`` most probable others; it ends
    when the label changes, with ``overshoot`` beyond the boundary (which the length leaves out). Pixels are not
    clipped. Infinite where ``steps`` do not suffice; exact after one step where the network is linear and its nearest
    boundary among those classes.
    """
    module.to(device).eval()
    start = images.to(device)
    with torch.no_grad():
        order = module(start).argsort(dim=1, descending=True)[:, : classes + 1]
    moved = torch.zeros_like(start)
    active = torch.arange(len(start), device=device)
    for step in range(steps + 1):
        inputs = (start[active] + (1 + overshoot) * moved[active]).requires_grad_(True)
        logits = module(inputs)
        still = logits.argmax(dim=1) == order[active, 0]
        if step == steps or not bool(still.any()):
            active = active[still]
            break
        ranked = logits.gather(1, order[active])
        move = to_nearest(_slopes(inputs, ranked), ranked.detach())
        moved[active[still]] += move[still]
        active = active[still]
    distances: torch.Tensor = moved.flatten(1).norm(dim=1)
    distances[active] = torch.inf
    return distances.cpu()


def to_nearest(
    slopes: torch.Tensor, logits: torch.Tensor, norm: Literal["linf", "l2"] = "l2", beyond: float = 0.0
) -> torch.Tensor:
    """The step (n, c, h, w) to the nearest of the linearised boundaries between the first class and each other.

    ``slopes`` (n, k, c, h, w) are the gradients of ``logits`` (n, k), the label's first. In Linf the distance is in the
    dual norm, L1 (section 3.3). The step goes ``beyond`` it. No step where the network's slope vanishes.
    """
    normals = slopes[:, 1:] - slopes[:, :1]
    flat = normals.flatten(2)
    dual = flat.norm(dim=2) if norm == "l2" else flat.abs().sum(dim=2)
    gaps = logits[:, :1] - logits[:, 1:]
    nearest = (gaps / dual).nan_to_num(nan=torch.inf).argmin(dim=1)
    each = torch.arange(len(slopes), device=slopes.device)
    direction = normals[each, nearest] if norm == "l2" else normals[each, nearest].sign()
    far = gaps[each, nearest] / dual[each, nearest] + beyond
    scale = (far / dual[each, nearest] if norm == "l2" else far).nan_to_num(nan=0.0, posinf=0.0)
    move: torch.Tensor = scale[:, None, None, None] * direction
    return move


def _slopes(inputs: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Gradients (n, k, c, h, w) of logits (n, k) by images (n, c, h, w)."""
    classes = range(logits.shape[1])
    return torch.stack(
        [torch.autograd.grad(logits[:, k].sum(), inputs, retain_graph=k != classes[-1])[0] for k in classes], dim=1
    )
