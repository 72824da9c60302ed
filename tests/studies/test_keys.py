"""Every trial key covers all that a method can see; what it does not cover cannot be reached."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from assay.access import Oracle, Serving, WhiteBox
from assay.base.digests import digest_json
from assay.catalogue.weights import Preprocessing
from assay.data.images import ArrayImages
from assay.data.splits import Splits
from assay.data.vectors import Box
from assay.methods.finding import Finding, Metric, Verdict
from assay.methods.method import Context, Method
from assay.studies import Trial, Workspace, run_trials
from assay.targets.target import Target
from studies.doubles import EXACT, Count, Opens, images, linear, splits, target, trial

UNSEEN_FIELDS = {
    "name": "a name says nothing of the weights",
    "facts": "what reports show; a method is not given them",
    "device": "the same numbers up to rounding; the outcome records it",
    "recorded": "only whether a trial is skipped depends on it",
    "logits": "the weights, which are in the key by their digest",
    "module": "the weights, which are in the key by their digest",
}
"""Fields of a target that the key leaves out, and why."""

SERVED: Any = {"answers": "posteriors", "logits": lambda pixels: torch.full((len(pixels), 3), 1 / 3)}

UNSEEN = {
    "device": "see UNSEEN_FIELDS",
    "artefacts": "an empty folder, named by the key",
    "shared": "what lies there is named by digests of what it depends on",
    "progress": "takes reports, and says nothing",
}
"""Fields of a context that the key leaves out, and why."""


class Looks:
    """What a method sees, digested: everything public of its access, its data and its context."""

    seen: str = ""

    def look(self, access: Any, data: Splits, context: Context) -> int:
        shown = {
            "access": _shown(access),
            "data": {name: _part(part) for name, part in data._asdict().items()},
            "context": {
                field.name: _shown(getattr(context, field.name))
                for field in dataclasses.fields(context)
                if field.name not in UNSEEN
            },
        }
        type(self).seen = digest_json(shown)
        return 1

    def account(self, result: int, context: Context) -> Finding:
        metric = Metric(name="seen", label="Seen", value=result, note="exact", scale=EXACT)
        return Finding(metrics=[metric], verdict=Verdict(level="low", metric="seen", sentence="It was seen."))


def _part(part: Any) -> Any:
    if part is None:
        return None
    pixels = part.take(np.arange(len(part))).numpy()
    return [hashlib.sha256(pixels.tobytes()).hexdigest(), list(pixels.shape), part.labels.tolist()]


def _shown(value: Any) -> Any:
    """A plain form of whatever a method may be shown."""
    if isinstance(value, Oracle):
        answers = value.evaluator().ask(torch.linspace(0, 1, 32).reshape(2, 1, 4, 4))
        asked = value.ask(torch.linspace(0, 1, 32).reshape(2, 1, 4, 4))
        posteriors = None if asked.posteriors is None else asked.posteriors.tolist()
        public = {name: _shown(getattr(value, name)) for name in vars(value) if not name.startswith("_")}
        public.pop("ledger")
        return {**public, "answers": answers.require_posteriors().tolist(), "asked": posteriors}
    if isinstance(value, WhiteBox):
        weights = {name: tensor.tolist() for name, tensor in value.module.state_dict().items()}
        answers = value.logits(torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)).tolist()
        return [value.num_classes, list(value.input_shape), weights, answers]
    if isinstance(value, Serving):
        return value.describe()
    if isinstance(value, Path):
        return {file.name: file.read_text() for file in sorted(value.rglob("*.txt"))}
    if isinstance(value, Mapping):
        return {name: _shown(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return hashlib.sha256(pickle.dumps(value)).hexdigest()


class Asks(Looks, Count):  # type: ignore[misc]
    """Looks at all that a black-box method is given."""

    uses = ("members",)
    beside: ClassVar[dict[str, str]] = {}
    before: ClassVar[Method | None] = None
    named_files: ClassVar[tuple[Path, ...]] = ()

    measure = Looks.look  # type: ignore[assignment]

    def requires(self) -> Method | None:
        return self.before

    def companions(self) -> dict[str, str]:
        return self.beside

    def files(self) -> tuple[Path, ...]:
        return self.named_files


class Builds(Asks):
    """The same on top of another trial; its own options do not say which."""

    before = Count(scale=2.0)


class BuildsOtherwise(Asks):
    """On top of a third."""

    before = Count(scale=3.0)


class Beside(Asks):
    """The same beside another model; its own options do not say which."""

    beside = {"sibling": "int8"}


class BesideAnother(Asks):
    """Beside a third."""

    beside = {"sibling": "int4"}


class Opened(Looks, Opens):  # type: ignore[misc]
    """Looks at all that a white-box method is given."""

    measure = Looks.look  # type: ignore[assignment]


def seen(one: Trial, folder: Path) -> str:
    """What the method of a trial saw, in a workspace of its own."""
    kind: Any = type(one.method)
    kind.seen = ""
    (outcome,) = run_trials([one], Workspace(folder)).outcomes
    assert outcome.status == "done", outcome.reason
    assert kind.seen
    return str(kind.seen)


def named(*names: str) -> Target:
    return replace(target(), class_names=names)


def wider() -> Target:
    """The same weights with another form of input."""
    flat = [ArrayImages(part.take(np.arange(len(part))).numpy().reshape(-1, 1, 2, 8), part.labels, "flat")
            for part in (images(24, 0), images(12, 1))]  # fmt: skip
    return Target.from_module(
        linear(), input_shape=(1, 2, 8), num_classes=3, splits=Splits(*flat), weights_digest=target().weights_digest
    )


CHANGES: dict[str, dict[str, Any]] = {
    "weights": {"target": target(seed=1)},
    "preprocessing": {
        "target": Target.from_module(
            linear(), input_shape=(1, 4, 4), num_classes=3, splits=splits(), preprocessing=Preprocessing(scale=255.0)
        )
    },
    "names of classes": {"target": named("a", "b", "c")},
    "what the answers are": {"target": replace(target(), **SERVED)},
    "a part that it needs": {"target": target().with_splits(splits()._replace(non_members=images(12, 9)))},
    "a part that it uses": {"target": target().with_splits(splits()._replace(members=images(24, 9)))},
    "a part that is gone": {"target": target().with_splits(splits()._replace(members=None))},
    "labels": {
        "target": target().with_splits(
            splits()._replace(non_members=ArrayImages(images(12, 1).images, (np.arange(12) + 1) % 3, "random 1"))
        )
    },
    "seed": {"seed": 1},
    "output": {"serving": Serving(output="top-k", top_k=2)},
    "policy": {"serving": Serving(policies=("rounding=2",))},
    "price": {"serving": Serving(price_per_1000=1.0)},
    "budget": {"serving": Serving(budget=500)},
    "what it builds on": {"method": Builds()},
    "the options of what it builds on": {"method": BuildsOtherwise()},
    "another model": {"method": Beside()},
    "another model, made otherwise": {"method": BesideAnother()},
}  # fmt: skip


def test_whatever_a_method_sees_changes_its_key(tmp_path: Path) -> None:
    known: dict[str, str] = {}
    for number, (what, changes) in enumerate([("nothing", {}), *CHANGES.items()]):
        one = trial(**{"method": Asks(), **changes})
        found = seen(one, tmp_path / str(number))
        if what != "the options of what it builds on":  # the same note, by another trial
            assert found not in known.values(), f"{what} was not seen: this test is blind to it"
        known[one.key] = found
        assert len(known) == number + 1, f"{what} is seen, and not in the key"


def test_whatever_a_white_box_method_sees_changes_its_key(tmp_path: Path) -> None:
    white = {"weights", "preprocessing", "names of classes", "a part that it needs", "labels", "seed"}
    trials = [trial(Opened()), *(trial(Opened(), **CHANGES[what]) for what in sorted(white))]
    found = {one.key: seen(one, tmp_path / one.key) for one in trials}
    assert len(found) == len(set(found.values())) == len(trials)
    assert trial(Opened(), target=wider()).key not in found


def test_what_is_not_in_the_key_is_not_seen(tmp_path: Path) -> None:
    before = seen(trial(Opened()), tmp_path / "a")
    for number, changes in enumerate((
        {"target": target(name="another")},
        {"target": replace(target(), facts={"format": "another"})},
        {"target": target().with_splits(splits()._replace(members=images(5, 7), auxiliary=None))},
        {"serving": Serving(output="label", price_per_1000=1.0)},
    )):  # fmt: skip
        other = trial(Opened(), **changes)  # type: ignore[arg-type]
        assert other.key == trial(Opened()).key
        assert seen(other, tmp_path / str(number)) == before


def test_files_that_options_name_are_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asks, "named_files", (tmp_path / "f",))
    file = tmp_path / "f"
    keys = set()
    for content in ("one", "two"):
        file.write_text(content)
        keys.add(trial(Asks()).key)
    file.unlink()
    keys.add(trial(Asks()).key)
    assert len(keys) == 3


def test_every_field_of_a_target_is_in_the_key_or_said_not_to_be() -> None:
    """A field that is new fails here until somebody decides."""
    others: dict[str, Any] = {
        "weights_digest": "f" * 64,
        "input_shape": (1, 2, 8),
        "num_classes": 4,
        "answers": "posteriors",
        "splits": splits()._replace(non_members=images(12, 9)),
        "preprocessing": Preprocessing(scale=255.0),
        "class_names": ("a", "b", "c"),
        "modality": "text",
        "box": Box(np.zeros(3), np.ones(3)),
        "serving": {"output": "label"},
    }
    assert {field.name for field in dataclasses.fields(Target)} == others.keys() | UNSEEN_FIELDS.keys()
    for name, value in others.items():
        changed = replace(target(), **{name: value})
        assert trial(target=changed, serving=Serving.of(changed)).key != trial().key, name


def test_every_field_of_a_context_is_in_the_key_or_said_not_to_be() -> None:
    covered = {"seed", "provided", "class_names", "modality", "companions", "weights"}
    assert {field.name for field in dataclasses.fields(Context)} == covered | UNSEEN.keys()
