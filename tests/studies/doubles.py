"""A tiny target and tiny methods, so that the frame is tested without any attack."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from assay.access import Serving
from assay.base.errors import DataError
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.methods.finding import Finding, Interval, Metric, Verdict
from assay.methods.method import Context, Method, require_oracle
from assay.studies.trial import Trial
from assay.studies.units import Unit
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


class Count(Method):
    """Asks about every non-member and reports how many there were."""

    name: ClassVar[str] = "membership.count"
    family: ClassVar[Any] = "membership"
    needs: ClassVar[Any] = "label"
    title: ClassVar[str] = "Count"
    summary: ClassVar[str] = "counts"
    threat_model: ClassVar[str] = "asks"
    paper: ClassVar[str] = "none"
    parts: ClassVar[tuple[str, ...]] = ("non_members",)

    scale: float = 1.0
    runs: ClassVar[int] = 0

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        type(self).runs += 1
        assert data.non_members is not None
        answers = require_oracle(access).ask_all(data.non_members)
        (context.artefacts / "note.txt").write_text("counted")
        value = len(answers.labels) * self.scale
        metric = Metric(
            name="count", label="Count", value=value, interval=Interval(low=value, high=value, method="exact"), n=12
        )
        return Finding(
            metrics=[metric],
            verdict=Verdict(level="low", metric="count", sentence="All were counted."),
            samples={"label": answers.labels},
        )


class Failing(Count):
    """Fails in a way that the user can mend, until told otherwise."""

    name: ClassVar[str] = "evasion.failing"
    family: ClassVar[Any] = "evasion"
    broken: ClassVar[bool] = True

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        if type(self).broken:
            raise DataError("The images are wrong.")
        return super().run(access, data, context)


class Builds(Count):
    """Builds on Count."""

    name: ClassVar[str] = "stealing.builds"
    family: ClassVar[Any] = "stealing"

    def requires(self) -> Method:
        return Count(scale=7.0)

    def run(self, access: Any, data: Splits, context: Context) -> Finding:
        assert context.provided is not None
        assert (context.provided / "note.txt").read_text() == "counted"
        return super().run(access, data, context)


class Opens(Count):
    """Needs the network itself."""

    name: ClassVar[str] = "evasion.opens"
    needs: ClassVar[Any] = "white-box"


def trial(method: Method | None = None, **changes: Any) -> Trial:
    fields: dict[str, Any] = {"target": target(), "method": method or Count(), "serving": Serving(), "seed": 0}
    return Trial(**{**fields, **changes})


def unit(name: str, method: str = "membership.metrics", seed: int = 0, reference: str = "starter/digits-cnn") -> Unit:
    return Unit(
        id=name,
        reference=reference,
        data=None,
        suspects=None,
        content="",
        method=method,
        version=1,
        options={},
        serving={},
        seed=seed,
    )
