"""The papers' protocols, and ours: the composed theft with other defaults.

The preset ``full`` is the size that a paper used; by default the surrogate is one that a processor can train.
"""

from __future__ import annotations

from assay.access import Oracle
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.method import Context, method
from assay.methods.stealing.stolen import Stolen
from assay.methods.stealing.theft import Theft

SEMI_SUPERVISED = "fixmatch:threshold=0.9,mu=2,start=0.6"
"""What `BestStealing` learns by where there are images that it did not ask about."""


@method
class SecurityNetStealing(Theft):
    """SecurityNet's theft: the whole auxiliary set (half of the training set there) and a ResNet-18 from scratch.

    Their complex surrogate is ``torchvision:wide_resnet50_2``, their out-of-distribution pool another auxiliary set.
    The paper states SGD at 0.01 for 30 epochs and no momentum; 0.9 is taken here.
    """

    name = "stealing.securitynet"
    needs = "posteriors"
    about = About(
        "Model stealing as in SecurityNet",
        "Asks about the whole auxiliary set for posteriors and trains a ResNet-18 from scratch.",
        "Zhang et al., SecurityNet: Assessing Machine Learning Vulnerabilities on Public Models, USENIX Security 2024",
    )
    presets = {"full": {"largest_side": 224}}
    defaults = {
        "learner": "soft",
        "architecture": "resnet18-cifar",
        "up_to": None,
        "epochs": 30,
        "optimiser": "sgd",
        "learning_rate": 0.01,
    }


@method
class MeBenchStealing(Theft):
    """The protocol of "Model Extraction Attacks Revisited": Lion at 3e-4 and budgets from 1,024 to 8,192.

    Their ways of choosing are the strategies ``random``, ``entropy``, ``k-center`` and ``adversarial``. In their
    released code k-center goes class by class with true labels; here no strategy sees one. Images are cropped and
    enlarged, mirrored and put through AutoAugment's policy, as there, but eight at a time alike. Their other optimisers
    are Adam, AdamW and SGD, the last without momentum (``optimiser=sgd``, ``momentum=0``). At ``full`` size the
    surrogate is a ResNet-50 on images of 224 pixels, trained for 200 epochs.
    """

    name = "stealing.mebench"
    about = About(
        "Model stealing as in Model Extraction Attacks Revisited",
        "Steals with Lion at budgets from 1,024 to 8,192, adversarial fidelity included.",
        "Model Extraction Attacks Revisited (MeBench), AsiaCCS 2024",
    )
    presets = {"full": {"architecture": "torchvision:resnet50", "resized_to": 224, "epochs": 200}}
    defaults = {
        "up_to": 8_192,
        "checkpoints": (1_024, 2_048, 4_096, 8_192),
        "optimiser": "lion",
        "learning_rate": 3e-4,
        "weight_decay": 0.0,
        "flip": True,
        "crop": 0.08,
        "auto_augment": True,
        "adversarial_images": 1_000,
    }


@method
class FoundationStealing(Theft):
    """The protocol of the foundation-model paper: 5,000 hard labels, a tenth of them for validation.

    SGD with momentum 0.9, its rate divided by 10 once, after half of the epochs; images shifted, turned by at most 5
    degrees and mirrored; the epoch with the best macro-F1 on the validation labels. At ``full`` size the thief is a
    ViT-L/16 from public weights on images of 224 pixels, trained at a rate of 0.001 for 100 epochs; their others are
    ResNet-34, ResNet-101, ViT-B/16 and CLIP's. They validate every second epoch, here every one counts; by how much
    their crops shift is not stated in what is known of the code, and 4 pixels of 32 are taken.
    """

    name = "stealing.foundation"
    about = About(
        "Model stealing with foundation models",
        "Asks for 5,000 hard labels, a tenth of them for validation; thieves by backbone.",
        "Examining the Threat Landscape: Foundation Models and Model Stealing, BMVC 2024",
    )
    presets = {
        "full": {
            "architecture": "timm:vit_large_patch16_224.augreg_in21k",
            "initialisation": "pretrained",
            "resized_to": 224,
            "epochs": 100,
            "learning_rate": 0.001,
        }
    }
    defaults = {
        "learner": "hard",
        "up_to": 5_000,
        "validation_share": 0.1,
        "epoch": "best",
        "optimiser": "sgd",
        "learning_rate": 0.01,
        "schedule": "step",
        "step_at": (0.5,),
        "shift": 4,
        "rotate": 5.0,
        "flip": True,
        "adversarial_images": 1_000,
    }


@method
class BestStealing(Theft):
    """The composition that brings the most per question and second, by what the thief has (docs/studies/stealing.md).

    Random questions, and a `fast-cnn` on images that are moved, mirrored and cut while it is trained, at one cycle of
    the rate. Where the pool holds at least as many images again as are asked about, the rest teaches too (FixMatch over
    the last part of training); otherwise images and answers are mixed (mixup). A learner that is named is kept, and so
    is an initialisation: public weights are used only where they are asked for, since they must be fetched. Texts are
    learned by mixup. Where mirrored images mean something else (digits, text), ``flip`` and ``mirrored`` are better
    off.
    """

    name = "stealing.best"
    about = About(
        "Model stealing, the best composition",
        "Steals with the learner, augmentation and optimiser that bring the most per question.",
        "Our composition; the parts name their papers",
    )
    presets = {
        "standard": {"up_to": 10_000, "epochs": 20},
        "full": {"up_to": 25_000, "epochs": 20},
    }
    defaults = {
        "architecture": "fast-cnn",
        "optimiser": "adamw",
        "learning_rate": 0.004,
        "weight_decay": 0.02,
        "schedule": "linear",
        "warmup": 0.1,
        "epochs": 60,
        "shift": 3,
        "flip": True,
        "cutout": 8,
        "mirrored": True,
    }

    def measure(self, access: Oracle, data: Splits, context: Context) -> Stolen:
        """The learner is chosen first."""
        chosen = self.model_copy(update={"learner": self.learner or self._chosen(access, data)})
        return Theft.measure(chosen, access, data, context)

    def _chosen(self, access: Oracle, data: Splits) -> str:
        if access.modality != "image" or data.auxiliary is None:
            return "mixup"
        rest = len(data.auxiliary) - self._affordable(access, data.auxiliary)
        return SEMI_SUPERVISED if rest * 2 >= len(data.auxiliary) else "mixup"
