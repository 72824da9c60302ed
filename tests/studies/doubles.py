"""A tiny target and tiny methods, so that the frame is tested without any attack."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from assay.access import Answers, Oracle, Serving, WhiteBox
from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.about import About
from assay.methods.finding import Finding, Interval, Metric, Samples, Scale, Verdict
from assay.methods.method import Context, Method, OracleMethod, WhiteBoxMethod
from assay.studies.trial import Trial
from assay.studies.units import Place, Unit
from assay.targets.target import Target


def images(n: int, seed: int) -> ArrayImages:
    random = np.random.default_rng(seed)
    return ArrayImages(random.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8), np.arange(n) % 3, f"random {seed}")


def splits() -> Splits:
    return Splits(images(24, 0), images(12, 1), images(30, 2))


def linear(seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))


def target(name: str = "linear", seed: int = 0) -> Target:
    return Target.from_module(linear(seed), input_shape=(1, 4, 4), num_classes=3, splits=splits(), name=name)


EXACT = Scale(risk="up", chance=0.0, high=1000.0)


class Count(OracleMethod[Answers]):
    """Asks about every non-member and reports how many there were."""

    name = "membership.count"
    family = "membership"
    about = About("Count", "counts", "none")
    needs = "label"
    parts = ("non_members",)

    scale: float = 1.0
    runs: ClassVar[int] = 0

    def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
        type(self).runs += 1
        assert data.non_members is not None
        (context.artefacts / "note.txt").write_text("counted")
        return access.ask_all(data.non_members)

    def account(self, result: Answers, context: Context) -> Finding:
        value = len(result.labels) * self.scale
        metric = Metric(
            name="count",
            label="Count",
            value=value,
            interval=Interval(low=value, high=value, method="exact"),
            n=12,
            scale=EXACT,
        )
        return Finding(
            metrics=[metric],
            verdict=Verdict(level="low", metric="count", sentence="All were counted."),
            samples=Samples(np.arange(len(result.labels)), columns={"label": result.labels}),
        )


class Failing(Count):
    """Fails in a way that the user can mend, until told otherwise."""

    name = "evasion.failing"
    family = "evasion"
    broken: ClassVar[bool] = True

    def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
        if type(self).broken:
            raise DataError("The images are wrong.")
        return super().measure(access, data, context)


class Builds(Count):
    """Builds on Count."""

    name = "stealing.builds"
    family = "stealing"

    def requires(self) -> Method:
        return Count(scale=7.0)

    def measure(self, access: Oracle, data: Splits, context: Context) -> Answers:
        assert context.provided is not None
        assert (context.provided / "note.txt").read_text() == "counted"
        return super().measure(access, data, context)


class Opens(WhiteBoxMethod[int]):
    """Needs the network itself."""

    name = "evasion.opens"
    family = "evasion"
    about = About("Opens", "opens", "none")
    parts = ("non_members",)

    def measure(self, access: WhiteBox, data: Splits, context: Context) -> int:
        assert data.non_members is not None
        return len(access.logits(data.non_members.take(np.arange(4)).float() / 255))

    def account(self, result: int, context: Context) -> Finding:
        metric = Metric(name="opened", label="Opened", value=result, note="exact", scale=EXACT)
        return Finding(metrics=[metric], verdict=Verdict(level="low", metric="opened", sentence="It was opened."))


def trial(method: Method | None = None, **changes: Any) -> Trial:
    fields: dict[str, Any] = {"target": target(), "method": method or Count(), "serving": Serving(), "seed": 0}
    return Trial(**{**fields, **changes})


def unit(name: str, method: str = "membership.metrics", seed: int = 0, reference: str = "starter/digits-cnn") -> Unit:
    return Unit(
        id=name,
        place=Place(reference=reference),
        content="",
        method=method,
        version=1,
        options={},
        serving={},
        seed=seed,
    )
