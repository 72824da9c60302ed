"""A slow, obviously right FGSM: one image, one pixel at a time."""

from __future__ import annotations

import math

import torch


def fgsm(module, image, label, epsilon):
    """The adversarial image (c, h, w) of one image in [0, 1] and its label, by its own backward pass."""
    pixels = image.clone().requires_grad_(True)
    logits = module(pixels[None])[0]
    loss = torch.logsumexp(logits, dim=0) - logits[label]
    loss.backward()
    changed = image.clone()
    for c in range(image.shape[0]):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                slope = float(pixels.grad[c, y, x])
                if slope > 0:
                    changed[c, y, x] = min(float(image[c, y, x]) + epsilon, 1.0)
                elif slope < 0:
                    changed[c, y, x] = max(float(image[c, y, x]) - epsilon, 0.0)
    return changed


def success_rate(module, images, labels, epsilon):
    """The share of correctly classified images that the attack makes wrong."""
    fooled = []
    for image, label in zip(images, labels, strict=True):
        if int(module(image[None])[0].argmax()) == label:
            fooled.append(int(module(fgsm(module, image, label, epsilon)[None])[0].argmax()) != label)
    return sum(fooled) / len(fooled)


def gradient_of(module, image, label, loss):
    """Gradient (c, h, w), loss and predicted label of one image."""
    pixels = image.clone().requires_grad_(True)
    logits = module(pixels[None])
    value = loss(logits, torch.tensor([label]))[0]
    value.backward()
    return pixels.grad, float(value.detach()), int(logits.argmax())


def inside(point, centre, norm, epsilon):
    """One image brought back into the ball around another, pixel by pixel, then into [0, 1]."""
    change = (point - centre).flatten().tolist()
    if norm == "linf":
        change = [min(max(entry, -epsilon), epsilon) for entry in change]
    else:
        length = sum(entry**2 for entry in change) ** 0.5
        change = [entry * min(1.0, epsilon / max(length, 1e-12)) for entry in change]
    return (centre + torch.tensor(change).view(centre.shape)).clamp(0, 1)


def ascent(gradient, norm):
    """The direction of norm 1 that raises the loss most."""
    if norm == "linf":
        return torch.sign(gradient)
    length = float((gradient**2).sum()) ** 0.5
    return gradient / length if length else gradient


def slow_pgd(module, image, label, size, start, steps, step, loss):
    """PGD on one image, and the gradients it took."""
    norm, epsilon = size
    point = start.clone()
    for spent in range(1, steps + 1):
        gradient, _, predicted = gradient_of(module, point, label, loss)
        if predicted != label:
            return point, spent
        point = inside(point + step * epsilon * ascent(gradient, norm), image, norm, epsilon)
    return point, steps


def slow_apgd(module, image, label, ball, start, steps, loss):
    """Algorithm 1 of Croce and Hein on one image, until it errs."""
    norm, epsilon = ball
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    reviews = [review for share in shares if (review := math.ceil(round(share * steps, 6))) < steps]
    eta = 2 * epsilon
    points, values = [start], []
    gradient, value, predicted = gradient_of(module, start, label, loss)
    values.append(value)
    best, best_value, best_gradient = start, value, gradient
    eta_at, best_at, rises = eta, -float("inf"), 0
    previous = start
    for k in range(steps + 1):
        if predicted != label:
            return points[-1]
        if k == steps:
            return best
        here = points[-1]
        if k in reviews[1:]:
            window = k - reviews[reviews.index(k) - 1]
            condition = rises < 0.75 * window or (eta == eta_at and best_value == best_at)
            eta_at, best_at, rises = eta, best_value, 0
            if condition:
                eta /= 2
                here, gradient = best, best_gradient
        z = inside(here + eta * ascent(gradient, norm), image, norm, epsilon)
        weight = 0.75 if k else 1.0
        following = inside(here + weight * (z - here) + (1 - weight) * (here - previous), image, norm, epsilon)
        previous = here
        points.append(following)
        gradient, value, predicted = gradient_of(module, following, label, loss)
        rises += value > values[-1]
        values.append(value)
        if value > best_value:
            best, best_value, best_gradient = following, value, gradient
    return best


def slow_onto_plane(point, normal, gap, norm):
    """The least change of a point in the unit cube with <normal, change> = gap, by bisecting its size."""
    point, normal = [float(x) for x in point], [float(w) for w in normal]

    def change(size):
        moved = []
        for x, w in zip(point, normal, strict=True):
            direction = (w > 0) - (w < 0) if gap > 0 else (w < 0) - (w > 0)
            length = size if norm == "linf" else size * abs(w)
            moved.append(min(max(x + direction * length, 0.0), 1.0) - x)
        return moved

    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        brought = abs(sum(w * c for w, c in zip(normal, change(middle), strict=True)))
        low, high = (middle, high) if brought < abs(gap) else (low, middle)
    return change(high)


def slow_fab(module, image, label, target, norm, steps):
    """FAB towards one class on one image: the nearest misclassified point, and its distance."""
    point, best, least = image.clone(), image.clone(), math.inf

    def size(change):
        flat = [abs(float(c)) for c in change.flatten()]
        return max(flat) if norm == "linf" else sum(c * c for c in flat) ** 0.5

    for _ in range(steps):
        pixels = point.clone().requires_grad_(True)
        logits = module(pixels[None])[0]
        difference = logits[target] - logits[label]
        difference.backward()
        slope, gap = pixels.grad, -float(difference.detach())
        from_image = gap + float((slope * (point - image)).sum())
        ways = []
        for start, wanted in ((point, gap), (image, from_image)):
            way = slow_onto_plane(start.flatten(), slope.flatten(), wanted, norm)
            ways.append(torch.tensor(way).view(image.shape))
        first, second = (max(size(way), 1e-8) for way in ways)
        lean = min(first / (first + second), 0.1)
        point = ((point + 1.05 * ways[0]) * (1 - lean) + (image + 1.05 * ways[1]) * lean).clamp(0, 1)
        if int(module(point[None])[0].argmax()) != label:
            if size(point - image) < least:
                best, least = point, size(point - image)
            point = image + 0.9 * (point - image)
    return best, least
