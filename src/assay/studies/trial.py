"""A trial: one method, one target, one seed; and its identity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from assay.access import Serving
from assay.access.serving import OUTPUT_ORDER
from assay.base.digests import digest_file, digest_json
from assay.methods.method import METHODS, OUTPUT_OF_NEED, Method
from assay.studies.extra_models import Companion
from assay.studies.outcome import SCHEMA_VERSION, MethodFacts, PartFacts, TargetFacts
from assay.studies.sanity import Sanity
from assay.studies.units import Unit
from assay.targets.recorded_answers import LABEL_ARRAYS
from assay.targets.target import Target


@dataclass(frozen=True)
class Trial:
    """What is to be run. Two trials with one `key` have one outcome.

    The method takes the options that suit what the target reads (`Method.on`). Where the model is in doubt
    (``sanity``), no verdict is low.
    """

    target: Target
    method: Method
    serving: Serving
    seed: int
    sanity: Sanity | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", self.method.on(self.target.modality))

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical JSON of everything that the numbers depend on.

        That is: schema version; weights digest (never a name), preprocessing, names of classes, form of the input and
        of the answers; digests of the parts of the data that the method declares, which are all that it is given;
        method name, version and resolved options; access and, for black-box access, the serving; the key of the trial
        it builds on; the other models that it is given and the files that its options name, if there are any; why the
        model is in doubt, if it is; seed. A test freezes the keys, and another holds them against all that a method can
        see.
        """
        required = self.required
        used = self.method.parts + self.method.uses
        beside = {companion.role: companion.identity for companion in self.companions}
        files = [digest_file(file) for file in self.method.files() if file.is_file()]
        return digest_json(
            {
                "schema": SCHEMA_VERSION,
                "weights": self.target.weights_digest,
                "preprocessing": self.target.preprocessing.model_dump(mode="json"),
                "class_names": self.target.class_names,
                "input": [self.target.modality, *self.target.input_shape],
                **({} if self.target.box is None else {"box": self.target.box.digest}),
                "answers": [self.target.answers, self.target.num_classes],
                "data": {name: d for name, d in self.target.splits.digests().items() if name in used},
                "method": self.method.name,
                "version": self.method.version,
                "options": self.method.model_dump(mode="json"),
                "access": self.access,
                "serving": self.resolved_serving,
                "builds_on": required.key if required else None,
                "seed": self.seed,
                **({"companions": beside} if beside else {}),
                **({"files": files} if files else {}),
                **({"doubt": self.sanity.cause} if self.sanity and self.sanity.doubt else {}),
            }
        )

    @cached_property
    def companions(self) -> tuple[Companion, ...]:
        """The other models that the method is given; of the public ones those that can be."""
        named, public = self.method.companions(), self.method.public_companions(self.target)
        found = [Companion(role, text, self.target, self.seed) for role, text in {**named, **public}.items()]
        return tuple(each for each in found if each.role in named or each.stands_apart)

    @property
    def required(self) -> Trial | None:
        """The trial whose artefacts this one builds on."""
        method = self.method.requires()
        return None if method is None else Trial(self.target, method, self.serving, self.seed, self.sanity)

    @property
    def access(self) -> str:
        """The access in words: ``white-box``, or ``black-box`` and what is answered."""
        shown = "white-box" if self.method.needs == "white-box" else f"black-box, {self.serving.output}"
        roles = [companion.role for companion in self.companions if companion.role in self.method.companions()]
        if (public := len(self.companions) - len(roles)) > 0:
            roles.append(f"{public} public network{'s' if public > 1 else ''}")
        return shown + "".join(f", {role} in hand" for role in roles)

    @property
    def resolved_serving(self) -> dict[str, Any]:
        """The serving, where the method meets it."""
        return {} if self.method.needs == "white-box" else self.serving.describe()

    def why_not(self) -> str:
        """Why this method cannot apply to this target; empty if it can."""
        target, method = self.target, self.method
        if target.modality not in method.modalities:
            return f"It works on {method.modalities[0]}s, and {target.name} reads {target.modality}s."
        if method.needs == "white-box" and target.module is None:
            return f"It needs white-box access, and {target.name} cannot be differentiated."
        if target.recorded and method.novel_inputs:
            return "It must ask about new images, and this target holds recorded answers only."
        if method.true_labels and not target.labelled:
            return (
                f"It needs the true labels of samples, and {target.name} was recorded without: add them as "
                f"{' and '.join(LABEL_ARRAYS)}."
            )
        output = OUTPUT_OF_NEED[method.needs]
        if output is not None and OUTPUT_ORDER.index(self.serving.output) < OUTPUT_ORDER.index(output):
            return f"It needs {output}, and the target answers with {self.serving.output} only."
        missing = [part for part in method.parts if getattr(target.splits, part) is None]
        if missing:
            return f"It needs data that the target does not have: {', '.join(missing).replace('_', '-')}."
        unfit = next((companion.why_not for companion in self.companions if companion.why_not), "")
        return unfit or method.why_not([companion.role for companion in self.companions])

    def target_facts(self) -> TargetFacts:
        """The target as its outcome remembers it."""
        target = self.target
        return TargetFacts(
            name=target.name,
            digest=target.digest,
            weights_digest=target.weights_digest,
            input_shape=target.input_shape,
            num_classes=target.num_classes,
            class_names=target.class_names,
            preprocessing=target.preprocessing.model_dump(mode="json"),
            data={
                name: PartFacts(name=part.name, size=len(part), digest=part.digest)
                for name, part in target.splits._asdict().items()
                if part is not None
            },
            facts=target.facts,
            sanity=self.sanity,
        )

    def method_facts(self) -> MethodFacts:
        """The method as its outcome remembers it."""
        method = self.method
        return MethodFacts(
            name=method.name,
            version=method.version,
            family=method.family,
            title=method.about.title,
            threat_model=method.about.threat_model,
            access=self.access,
            paper=method.about.paper,
            atlas=method.about.atlas,
            options=method.model_dump(mode="json"),
        )


def plan_trials(target: Target, units: Iterable[Unit], sanity: Sanity | None = None) -> list[Trial]:
    """The trials of an opened target, in the order of its units; ``sanity`` is what it gets right.

    Raises:
        UsageError: if a serving is not valid, or a service gives less than it promises.
    """
    return [
        Trial(
            target,
            METHODS.get(unit.method).model_validate(unit.options),
            Serving.of(target, unit.serving).within(target),
            unit.seed,
            sanity,
        )
        for unit in units
    ]
