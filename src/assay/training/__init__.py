"""The one training engine that every method uses: `fit` a network by a `Recipe`, then `predict` with it."""

from assay.training.checkpoints import Epoch, Log
from assay.training.engine import TrainingError, fit, predict, seeded_build
from assay.training.recipe import Recipe
from assay.training.steps import Steps, plain_loss
from assay.training.unlabelled import Done, Loss, SemiSupervised

__all__ = [
    "Done",
    "Epoch",
    "Log",
    "Loss",
    "Recipe",
    "SemiSupervised",
    "Steps",
    "TrainingError",
    "fit",
    "plain_loss",
    "predict",
    "seeded_build",
]
