"""The one training engine that every method uses: `fit` a network by a `Recipe`, then `predict` with it."""

from assay.training.engine import Epoch, Log, Loss, TrainingError, fit, plain_loss, predict, seeded_build
from assay.training.recipe import Recipe

__all__ = ["Epoch", "Log", "Loss", "Recipe", "TrainingError", "fit", "plain_loss", "predict", "seeded_build"]
