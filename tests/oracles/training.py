"""Slow, obviously right versions of what the training engine does."""

from __future__ import annotations

import math

import numpy as np


def lion_step(p, m, g, lr, wd, beta1, beta2):
    """One Lion update of lists of numbers; returns new parameters and momenta."""
    new_p, new_m = [], []
    for pi, mi, gi in zip(p, m, g, strict=True):
        update = beta1 * mi + (1 - beta1) * gi
        sign = 0.0 if update == 0 else math.copysign(1.0, update)
        decayed = pi * (1 - lr * wd)
        new_p.append(decayed - lr * sign)
        new_m.append(beta2 * mi + (1 - beta2) * gi)
    return new_p, new_m


def moved(image, down, right, mirror, shift):
    """An image (c, h, w) padded with black, cropped with its corner at (down, right), perhaps mirrored."""
    channels, height, width = image.shape
    out = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                column = width - 1 - j if mirror else j
                y, x = i + down - shift, column + right - shift
                if 0 <= y < height and 0 <= x < width:
                    out[c, i, j] = image[c, y, x]
    return out


def rates(recipe, epochs, per_epoch):
    """Every step's learning rate, from the recipe's description."""
    steps = epochs * per_epoch
    warm = round(recipe.warmup * steps)
    out = []
    for step in range(steps):
        if step < warm:
            out.append(recipe.learning_rate * (step + 1) / warm)
        elif recipe.schedule == "linear":
            out.append(recipe.learning_rate * (steps - step) / (steps - warm))
        elif recipe.schedule == "constant":
            out.append(recipe.learning_rate)
        elif recipe.schedule == "step":
            rate = recipe.learning_rate
            for at in recipe.step_at:
                if step >= at * steps - 1e-9:
                    rate *= recipe.step_factor
            out.append(rate)
        else:
            out.append(recipe.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2)
    return out


def averaged(values, decay):
    """The moving average of a number, from its first value on."""
    mean = values[0]
    for step, value in enumerate(values[1:], start=1):
        kept = min(decay, step / (step + 9))
        mean = kept * mean + (1 - kept) * value
    return mean


def holed(image, down, right, side):
    """An image (c, h, w) with the square around (down, right), as shares of height and width, set to grey."""
    channels, height, width = image.shape
    out = image.copy()
    top, left = int(down * height) - side // 2, int(right * width) - side // 2
    for i in range(height):
        for j in range(width):
            if top <= i < top + side and left <= j < left + side:
                for c in range(channels):
                    out[c, i, j] = 0.5
    return out
