"""The basic theft: ask about random images, and train a copy on the answers."""

from __future__ import annotations

from assay.methods.about import About
from assay.methods.method import method
from assay.methods.stealing.theft import Theft


@method
class BasicStealing(Theft):
    """A surrogate trained on the target's answers about images drawn at random from the auxiliary set.

    Every choice is at the default of `Theft`: random questions, cross-entropy with posteriors where they are answered
    and with labels otherwise, a small network from scratch.
    """

    name = "stealing.basic"
    about = About(
        "Model stealing with random questions",
        "Asks about random images of an auxiliary set and trains a surrogate on the answers.",
        "Zhang et al., SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, 2024; "
        "random selection as in Orekondy et al., Knockoff Nets, CVPR 2019",
    )
    presets = {
        "quick": {"epochs": 12},
        "standard": {"up_to": 10_000},
        "full": {
            "up_to": 25_000,
            "architecture": "resnet18-cifar",
            "epochs": 30,
            "optimiser": "sgd",
            "learning_rate": 0.01,
            "largest_side": 224,
        },
    }
