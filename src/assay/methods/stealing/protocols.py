"""The papers' protocols, and ours: the composed theft with other defaults.

The preset ``full`` is the size that a paper used; by default the surrogate is one that a processor can train.
"""

from __future__ import annotations

from pydantic import Field

from assay.access import Oracle
from assay.data.images import Images
from assay.methods.about import About
from assay.methods.method import Context, method
from assay.methods.stealing.learners import Learner, parse_learner
from assay.methods.stealing.public_start import MOST_TO_CHOOSE, Start, ask_blends, candidates, chosen
from assay.methods.stealing.theft import Theft
from assay.methods.stealing.thief import Thief
from assay.methods.stealing.workshop import Workshop
from assay.methods.work import Sizes, Work
from assay.targets.target import Target

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

    Whoever has a public network of the target's own task starts from it: of the catalogue's for the data set, of an
    accuracy of 60 % at least, never the target itself (by name and by weights), the one that gives most of the first
    answers. It is trained on the answers for ``public_epochs`` at a small rate, and the report says what it agreed on
    before. Questions are about blends of two images of the pool then: a public network may have been trained on the
    pool itself, where it is always right, and neither a choice nor a lesson lies in such answers.
    Generic public weights (``initialisation=pretrained``) are used where they are asked for, since they must be
    fetched.

    Without such a network: random questions, and a `fast-cnn` on images that are moved, mirrored and cut while it is
    trained, at one cycle of the rate. Where the pool holds at least as many images again as are asked about, the rest
    teaches too (FixMatch over the last part of training); otherwise images and answers are mixed (mixup). A learner, an
    architecture or an initialisation that is named is kept, the last two without a public network. Texts are learned by
    mixup. Where mirrored images mean something else (digits, text), ``flip`` and ``mirrored`` are better off.
    """

    name = "stealing.best"
    version = 3
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

    public_networks: int = Field(
        default=20, ge=0, description="Public networks of the same data set in hand at most; 0: none is used."
    )
    blended: float = Field(
        default=1.0, ge=0.0, le=1.0, description="Share of questions about blends, where a public network is trained."
    )
    public_epochs: int = Field(
        default=6, ge=1, description="Passes over the answers where a public network is trained."
    )
    public_rate: float = Field(default=5e-4, gt=0.0, description="The learning rate that trains a public network.")

    def public_companions(self, target: Target) -> dict[str, str]:
        """What a copy may start from; nothing where an architecture or an initialisation is named."""
        usual = (self.defaults["architecture"], "random")
        named = (self.architecture, self.initialisation) != usual
        return {} if named else candidates(target, self.public_networks)

    def work(self, sizes: Sizes) -> Work | None:
        """Not known: it depends on the public networks and on the rest of the pool."""
        return None

    def _start(self, thief: Thief, context: Context) -> Start | None:
        first = min((*self.checkpoints, thief.budget))
        start = chosen(context.companions, thief, min(MOST_TO_CHOOSE, first // 4), context)
        if start is not None:
            ask_blends(thief, round(self.blended * thief.budget) - thief.spent)
        return start

    def _from(self, start: Start, access: Oracle, context: Context) -> Workshop:
        gently = {"epochs": self.public_epochs, "learning_rate": self.public_rate, "cutout": 0}
        return Theft._from(self.model_copy(update=gently), start, access, context)

    def _learner(self, oracle: Oracle, pool: Images | None) -> Learner:
        if self.learner is not None:
            return Theft._learner(self, oracle, pool)
        if oracle.modality != "image" or pool is None:
            return parse_learner("mixup")
        rest = len(pool) - self._affordable(oracle, pool)
        return parse_learner(SEMI_SUPERVISED if rest * 2 >= len(pool) else "mixup")
