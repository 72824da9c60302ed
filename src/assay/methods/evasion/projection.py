"""The smallest change inside the pixels' range that takes images onto a hyperplane."""

from __future__ import annotations

import torch

from assay.methods.evasion.ball import AnyNorm


def to_hyperplane(points: torch.Tensor, normals: torch.Tensor, gaps: torch.Tensor, norm: AnyNorm) -> torch.Tensor:
    """Changes (n, d) of points (n, d) in [0, 1] that solve <normal, change> = gap with the least norm.

    ``normals`` (n, d), ``gaps`` (n,). Where the hyperplane misses [0, 1], the change goes as far as it can.

    Each pixel moves in the direction that helps by min(s u, room), where u is 1 in Linf and the normal's size in L2 and
    room is what its range leaves. What that brings, sum |w| min(s u, room), grows piecewise linearly in s, so the
    smallest s that brings the gap is found between two of the breakpoints room / u, sorted. Croce and Hein, "Minimally
    distorted adversarial examples with a fast adaptive boundary attack", ICML 2020, appendix A. In L1 the pixels of the
    largest weights move, each to its range's end before the next.
    """
    weight = normals.abs()
    upwards = (normals * gaps.sign()[:, None]) > 0
    room = torch.where(upwards, 1.0 - points, points).clamp_min(0.0)
    if norm == "l1":
        return _by_pixels(weight, room, gaps.abs()) * torch.where(upwards, 1.0, -1.0)
    unit = torch.ones_like(weight) if norm == "linf" else weight
    breaks = torch.where(weight > 0, room / unit.clamp_min(torch.finfo(unit.dtype).tiny), torch.inf)
    ordered, order = breaks.sort(dim=1)
    full = (weight * room).gather(1, order).cumsum(dim=1)  # brought by pixels that are at the end of their room
    rates = (weight * unit).gather(1, order)
    slope = rates.flip(1).cumsum(dim=1).flip(1)  # brought for each unit of s by this pixel and all after it
    before = torch.nn.functional.pad(full[:, :-1], (1, 0))
    finite = ordered.masked_fill(torch.isinf(ordered), 0.0)
    reached = before + finite * slope  # what s at a breakpoint brings
    wanted = gaps.abs()[:, None]
    place = ((reached < wanted) & torch.isfinite(ordered)).sum(dim=1, keepdim=True).clamp_max(points.shape[1] - 1)
    size = (wanted - before.gather(1, place)) / slope.gather(1, place).clamp_min(torch.finfo(slope.dtype).tiny)
    moved = torch.minimum(size.clamp_min(0.0) * unit, room)
    return torch.where(weight > 0, torch.where(upwards, moved, -moved), 0.0)


def _by_pixels(weight: torch.Tensor, room: torch.Tensor, gaps: torch.Tensor) -> torch.Tensor:
    """How far pixels move (n, d) if those of the largest weights (n, d) close gaps (n,) within their room (n, d)."""
    ordered, order = weight.sort(dim=1, descending=True)
    there = room.gather(1, order)
    brought = (ordered * there).cumsum(dim=1)
    missing = gaps[:, None] - torch.nn.functional.pad(brought[:, :-1], (1, 0))
    moved = torch.minimum((missing / ordered.clamp_min(torch.finfo(ordered.dtype).tiny)).clamp_min(0.0), there)
    return torch.zeros_like(weight).scatter(1, order, torch.where(ordered > 0, moved, 0.0))
