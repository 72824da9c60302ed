"""The composed theft: a strategy, a learner, a surrogate and an optimiser, in any combination."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from assay.access import Oracle
from assay.base.errors import AccessError, BudgetError, DataError, UsageError
from assay.data.images import Images, drawn, shape_text
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding
from assay.methods.method import Context, Need, OracleMethod, method
from assay.methods.stealing.copies import Copy, carry_out, copied, validation_hits
from assay.methods.stealing.costs import Point, Questions
from assay.methods.stealing.fidelity import ask_adversarial
from assay.methods.stealing.learners import Learner, parse_learner
from assay.methods.stealing.public_start import Start, before
from assay.methods.stealing.results import Compared
from assay.methods.stealing.stolen import Stolen, account
from assay.methods.stealing.strategies import Strategy, parse_strategy
from assay.methods.stealing.surrogate import DESCRIPTION, WEIGHTS, Surrogate, reduced, save_surrogate
from assay.methods.stealing.surrogates.prepare import Adaptation
from assay.methods.stealing.thief import Thief
from assay.methods.stealing.workshop import Workshop
from assay.methods.work import Sizes, Work
from assay.targets.target import Modality
from assay.training import Recipe, predict

NO_PICTURE: dict[str, Any] = {
    "initialisation": "random",
    "resized_to": None,
    "shift": 0,
    "flip": False,
    "rotate": 0.0,
    "crop": 1.0,
    "auto_augment": False,
    "cutout": 0,
    "mirrored": False,
    "adversarial_images": 0,
}
"""Options of images, switched off where the target reads something else."""


@method
class Theft(OracleMethod[Stolen]):
    """A copy of the target, made from its answers alone, within an exact number of questions.

    Four independent choices make an attack: the strategy (which images to ask about), the learner (how to learn from
    the answers), the surrogate (architecture, initialisation, adaptation) and the optimiser with its schedule. The true
    labels of the auxiliary set are never seen. One question is one image; those held out for validation count. At each
    of ``checkpoints`` a copy is trained anew on what so many questions brought, so that one theft gives a whole budget
    curve; a strategy that plans for its budget may do better with less when it is told so beforehand.

    A protocol is a subclass that names other ``defaults``, and nothing else.

    Agreement is measured on images that the target was not trained on; these questions are the evaluator's, and are
    charged to nobody.
    """

    name = "stealing.theft"
    about = About(
        "Model stealing, composed",
        "Steals with any strategy, learner, surrogate and optimiser, within an exact budget.",
        "Zhang et al., SecurityNet, 2024; Model Extraction Attacks Revisited, AsiaCCS 2024; Examining the Threat "
        "Landscape: Foundation Models and Model Stealing, BMVC 2024; and those that each part names",
    )
    needs: ClassVar[Need] = "label"
    version = 2
    parts = ("non_members", "auxiliary")
    modalities = ("image", "text", "vector")
    suited = {
        "text": {"architecture": "text:cnn", **NO_PICTURE},
        "vector": {"architecture": "vector:mlp", "adaptation": "full", "epochs": 100, **NO_PICTURE},
    }
    defaults: ClassVar[dict[str, Any]] = {}

    strategy: str = Field(
        default="random", description="Which images to ask about; options as in margin:rounds=5,seed_share=0.2."
    )
    learner: str | None = Field(
        default=None, description="How to learn from answers; none: soft where posteriors are answered, else hard."
    )
    architecture: str = Field(default="small-cnn", description="The surrogate's architecture.")
    initialisation: str = Field(
        default="random", description="random, pretrained (public weights), or what to take weights from."
    )
    adaptation: Adaptation = Field(default="full", description="What is trained of the surrogate.")
    resized_to: int | None = Field(
        default=None, ge=1, description="Images are resized to so many pixels a side for the surrogate; none: not so."
    )
    largest_side: int = Field(
        default=64, ge=8, description="Images with a longer side are reduced to it, where resized_to does not say."
    )
    budget: int | None = Field(
        default=None, ge=1, description="Images to ask about, exactly; none: up_to, or as many as there are."
    )
    up_to: int | None = Field(
        default=2_500, ge=1, description="Images to ask about at most where budget is not given; none: all."
    )
    checkpoints: tuple[int, ...] = Field(
        default=(), description="Budgets at which a copy is trained and judged as well; those beyond the end are left."
    )
    validation_share: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of the budget asked for validation, about random images."
    )
    epochs: int = Field(default=20, ge=1, description="Passes over the answers.")
    epoch: Literal["last", "best"] = Field(
        default="last", description="The epoch that is kept: the last, or the best by macro-F1 on validation images."
    )
    batch_size: int = Field(default=64, ge=1, description="Images per training step.")
    optimiser: Literal["sgd", "adam", "adamw", "lion"] = Field(default="adam", description="The optimiser.")
    learning_rate: float = Field(default=0.002, gt=0.0, description="The learning rate to begin with.")
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, description="Of sgd alone.")
    weight_decay: float = Field(default=5e-4, ge=0.0, description="Decoupled for adamw and lion.")
    nesterov: bool = Field(default=False, description="Nesterov's momentum, of sgd alone.")
    schedule: Literal["cosine", "step", "constant", "linear"] = Field(
        default="cosine", description="cosine and linear fall to 0; step divides the rate by 10 at each of step_at."
    )
    step_at: tuple[float, ...] = Field(default=(0.5, 0.75), description="Shares of the epochs, of step alone.")
    warmup: float = Field(default=0.0, ge=0.0, lt=1.0, description="Share of the steps over which the rate rises.")
    ema: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Decay of an average of the weights to end with; 0: the learner's."
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share of an answer spread over all classes, of hard and soft alone.",
    )
    shift: int = Field(default=0, ge=0, description="Pixels by which images are moved at random while training.")
    flip: bool = Field(default=False, description="Mirror images at random while training.")
    rotate: float = Field(default=0.0, ge=0.0, le=180.0, description="Degrees by which images are turned in training.")
    crop: float = Field(
        default=1.0, gt=0.0, le=1.0, description="The smallest share of an image that is enlarged while training."
    )
    auto_augment: bool = Field(default=False, description="AutoAugment's policy for ImageNet while training.")
    cutout: int = Field(default=0, ge=0, description="Side of a grey square that images get while training.")
    mirrored: bool = Field(
        default=False, description="The copy answers with the mean over an image and its mirror image."
    )
    test_images: int = Field(default=10_000, ge=1, description="At most so many images to measure agreement on.")
    adversarial_images: int = Field(
        default=0, ge=0, description="Test images, at most, to measure adversarial fidelity on; 0 leaves it out."
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Give the fields a subclass's defaults."""
        for name, value in cls.defaults.items():
            field = copy(cls.model_fields[name])
            field.default = value
            cls.model_fields[name] = field
        cls.model_rebuild(force=True)

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, text: str) -> str:
        parse_strategy(text)
        return text

    @field_validator("learner")
    @classmethod
    def _known_learner(cls, text: str | None) -> str | None:
        if text is not None:
            parse_learner(text)
        return text

    @field_validator("checkpoints")
    @classmethod
    def _ascending(cls, budgets: tuple[int, ...]) -> tuple[int, ...]:
        if min(budgets, default=1) < 1:
            raise ValueError("checkpoints must be 1 or more")
        return tuple(sorted(set(budgets)))

    @model_validator(mode="after")
    def _best_needs_validation(self) -> Self:
        if self.epoch == "best" and self.validation_share == 0:
            raise ValueError("the best epoch is chosen on validation images: set validation_share above 0")
        return self

    def work(self, sizes: Sizes) -> Work | None:
        """Questions, and training on their answers; strategies that train while they ask are not known beforehand."""
        if self.strategy != "random" or self.learner not in (None, "soft", "hard") or self.resized_to is not None:
            return None
        limits = [each for each in (self.budget, None if self.budget else self.up_to, sizes.auxiliary) if each]
        asked, judged = min(limits), min(self.test_images, sizes.non_members)
        trained = asked + sum(point for point in self.checkpoints if point < asked)
        steps = trained * self.epochs + judged * (1 + len(self.checkpoints)) / 3  # an answer is a third of a step
        return Work(
            non_members=judged,
            auxiliary=asked,
            training=steps,
            trains=self.architecture,
            side=self.largest_side,
            seconds=0.5,
        )

    def files(self) -> tuple[Path, ...]:
        """What the copy starts from."""
        start = Path(self.initialisation).expanduser()
        return (start, start / WEIGHTS, start / DESCRIPTION)

    def measure(self, access: Oracle, data: Splits, context: Context) -> Stolen:
        """Ask, train the copies, and compare them with the target; the last copy is saved among the artefacts.

        Raises:
            DataError: if a needed part of the data is missing or does not fit, or the pool is smaller than the budget.
            BudgetError: if the oracle does not allow the budget.
            AccessError: if strategy or learner need posteriors and only labels are answered, or the target keeps
                failing.
        """
        if data.non_members is None:
            raise DataError("Stealing needs test images (non-members) to judge the copy by.")
        strategy, learner = parse_strategy(self.strategy), self._learner(access, data.auxiliary)
        _check(strategy, learner, access, data.auxiliary)
        self._check_modality(access.modality, learner)
        budget = self._affordable(access, data.auxiliary if strategy.needs_pool else None)
        workshop = self._workshop(access, learner, context)
        with context.progress.step("asking the target", budget) as step:
            thief = Thief(access, data.auxiliary, budget, workshop, context, step)
            least = 1 if self.validation_share else 0
            held_out = min(max(least, round(self.validation_share * budget)), budget - 1)
            validation = thief.hold_out(held_out) if held_out else None
            thief.stops = tuple(stop - held_out for stop in self.checkpoints)
            start = None if strategy.trains_itself else self._start(thief, context)
            carry_out(strategy, thief, exactly=self.budget is not None)
        if start is not None:
            workshop = self._from(start, access, context)
        chosen_by = validation if self.epoch == "best" else None
        copies = list(copied(strategy, thief, workshop, self.checkpoints, chosen_by))
        stolen = self._compared(access, copies, data.non_members, thief.held_out, context, start)
        workshop.clear()
        self._save(copies[-1], stolen, access, workshop, context)
        if validation is None:
            return stolen
        return stolen._replace(validation=validation_hits(copies[-1].module, validation, context))

    def account(self, result: Stolen, context: Context) -> Finding:
        return account(result, context)

    def _start(self, thief: Thief, context: Context) -> Start | None:
        """The public network that copies start from, chosen by the first questions; None for ``initialisation``."""
        return None

    def _from(self, start: Start, access: Oracle, context: Context) -> Workshop:
        """Where copies of a start are made."""
        learner = Theft._learner(self, access, None)
        return self._workshop(access, learner, context, start)

    def _compared(
        self,
        access: Oracle,
        copies: list[Copy],
        unseen: Images,
        held_out: int,
        context: Context,
        start: Start | None,
    ) -> Stolen:
        """Copies and target on the same test images; what that asks is the evaluator's."""
        spent, evaluator = access.ledger.total(), access.evaluator()
        test = drawn(unseen, self.test_images, context.generator("stealing: test images"))
        truth = evaluator.ask_all(test, context.progress, "comparing with the target").require_posteriors()
        compared = evaluator.ledger.images
        points = tuple(
            Point(
                made.asked,
                Compared(
                    test.labels, truth, predict(made.module, test, context.device, mirrored=self.mirrored).numpy()
                ),
            )
            for made in copies
        )
        module, log, _ = copies[-1]
        fidelity = None
        downloaded = None if start is None else before(start, test, context.device)
        if self.adversarial_images:
            labels, most = points[-1].compared.target_labels, self.adversarial_images
            fidelity = ask_adversarial(module, test, labels, evaluator, most, context)
        questions = Questions(spent, held_out, compared, evaluator.ledger.images - compared)
        return Stolen(test, points, questions, access.complete, log, None, fidelity, downloaded)

    def _save(self, last: Copy, stolen: Stolen, access: Oracle, workshop: Workshop, context: Context) -> None:
        spent = stolen.questions.spent
        surrogate = Surrogate(
            architecture=workshop.architecture,
            num_classes=access.num_classes,
            input_shape=access.input_shape,
            size=workshop.size,
            queries=spent.images,
            price=spent.price,
            agreement=float(stolen.last.same.mean()),
        )
        save_surrogate(last.module, surrogate, context.artefacts)

    def _check_modality(self, modality: Modality, learner: Learner) -> None:
        """Refuse options of images on texts and vectors, and the other way round."""
        prefix = self.architecture.partition(":")[0]
        if modality != (prefix if prefix in self.suited else "image"):
            instead = self.suited.get(modality, {"architecture": "small-cnn"})["architecture"]
            raise UsageError(
                f"The surrogate {self.architecture} cannot take the target's {modality}s: name another architecture, "
                f"such as {instead}."
            )
        free = {"initialisation"} if modality == "text" else set()
        odd = [name for name, value in NO_PICTURE.items() if name not in free and getattr(self, name) != value]
        if modality != "image" and odd:
            raise UsageError(f"The option {odd[0]} is for images, and the target reads {modality}s: leave it out.")
        if modality == "vector" and learner.semi_supervised:
            raise UsageError(f"The learner {learner.name!r} alters images, and the target reads vectors: name another.")

    def _learner(self, oracle: Oracle, pool: Images | None) -> Learner:
        if self.learner is not None:
            return parse_learner(self.learner)
        return parse_learner("hard" if oracle.serving.output == "label" else "soft")

    def _affordable(self, oracle: Oracle, pool: Images | None) -> int:
        if self.budget is None:
            limits = (self.up_to, oracle.remaining, None if pool is None else len(pool))
            known = [limit for limit in limits if limit is not None]
            if not known:
                raise UsageError("Nothing limits this theft: name a budget.")
            return min(known)
        if pool is not None and self.budget > len(pool):
            raise DataError(f"The budget is {self.budget:,} images, and the auxiliary set holds {len(pool):,}.")
        if oracle.remaining is not None and self.budget > oracle.remaining:
            raise BudgetError(f"The budget is {self.budget:,} images, and the target allows {oracle.remaining:,}.")
        return self.budget

    def _workshop(self, oracle: Oracle, learner: Learner, context: Context, start: Start | None = None) -> Workshop:
        whole = oracle.modality != "image"
        size = oracle.input_shape[1:] if whole else reduced(oracle.input_shape, self.largest_side)
        return Workshop(
            self.architecture if start is None else start.architecture,
            self.initialisation if start is None else start.name,
            self.adaptation,
            learner,
            Recipe(
                epochs=self.epochs,
                batch_size=self.batch_size,
                optimiser=self.optimiser,
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov,
                schedule=self.schedule,
                step_at=self.step_at,
                warmup=self.warmup,
                ema=self.ema,
                label_smoothing=self.label_smoothing,
                shift=self.shift,
                flip=self.flip,
                rotate=self.rotate,
                crop=self.crop,
                auto_augment=self.auto_augment,
                cutout=self.cutout,
            ),
            num_classes=oracle.num_classes,
            shape=oracle.input_shape,
            size=size if self.resized_to is None else (self.resized_to, self.resized_to),
            context=context,
            start=None if start is None else start.module,
        )


def _check(strategy: Strategy, learner: Learner, oracle: Oracle, pool: Images | None) -> None:
    """Refuse what cannot work before anything is asked."""
    if oracle.modality not in strategy.modalities:
        raise UsageError(
            f"The strategy {strategy.name!r} is for {strategy.modalities[0]}s, and the target reads {oracle.modality}s."
        )
    if pool is None and (strategy.needs_pool or learner.semi_supervised):
        raise DataError("Stealing needs an auxiliary set to ask about; only strategies that make images do without.")
    if pool is not None and pool.shape != oracle.input_shape:
        raise DataError(
            f"The target takes images of {shape_text(oracle.input_shape)} (channels x height x width), and the pool "
            f"{pool.name} has {shape_text(pool.shape)}; assay.data.images.Fitted makes them fit."
        )
    if oracle.serving.output == "label" and (learner.needs == "posteriors" or strategy.needs_posteriors):
        part = f"learner {learner.name!r}" if learner.needs == "posteriors" else f"strategy {strategy.name!r}"
        raise AccessError(f"The {part} needs posteriors, and the target answers with labels only.")
