"""A slow, obviously right FGSM: one image, one pixel at a time."""

from __future__ import annotations

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
