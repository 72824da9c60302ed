"""What to do: publish, fix first, or not enough evidence, by how the model is going to be published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import field_validator

from assay.base.errors import UsageError, nearest
from assay.base.frozen import Frozen
from assay.methods.metric import OPTIONAL, Family
from assay.reports.answers import RANK, Answer, answer
from assay.reports.format import count, metric_text
from assay.reports.wording import CLAUSES, WHETHER, AnswerLevel, listed
from assay.studies.outcome import Outcome

Choice = Literal["publish", "fix first", "not enough evidence"]
Tolerated = Literal["low", "elevated", "high"]
Name = Literal["open-weights", "paid-api", "on-device", "internal"]


CHOICES: tuple[Choice, ...] = ("fix first", "not enough evidence", "publish")
"""What is to be done comes first."""


class Profile(Frozen):
    """A way of publishing a model.

    ``tolerates`` maps each question that matters to the worst level that its answer may have; ``high`` means that the
    answer must be there and is only told. ``network`` says whether attackers have the network in hand: if not, only
    what black-box methods found counts, but for backdoors, which the owner looks for.
    """

    name: str
    title: str
    about: str
    network: bool
    tolerates: dict[Family, Tolerated]

    def counts(self, outcome: Outcome) -> bool:
        """Whether an outcome was found with access that an attacker has in this profile."""
        return self.network or bool(outcome.serving) or outcome.method.family == "backdoor"


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="open-weights",
            title="open weights",
            about="Anyone can download the weights. A copy is no loss; evasion is told to those who use the model.",
            network=True,
            tolerates={"membership": "elevated", "backdoor": "low", "evasion": "high"},
        ),
        Profile(
            name="paid-api",
            title="a paid API",
            about="Customers get answers and never the weights. A copy takes their business away.",
            network=False,
            tolerates={
                "stealing": "elevated",
                "membership": "elevated",
                "backdoor": "low",
                "evasion": "elevated",
                "siblings": "elevated",
            },
        ),
        Profile(
            name="on-device",
            title="on-device use",
            about="The weights ship inside a product, and whoever wants can take them out.",
            network=True,
            tolerates={"membership": "elevated", "backdoor": "low", "evasion": "elevated"},
        ),
        Profile(
            name="internal",
            title="internal use",
            about="Only colleagues and systems of the owner ask it.",
            network=False,
            tolerates={"membership": "high", "backdoor": "low"},
        ),
    )
}
DEFAULT = "open-weights"


class Decision(Frozen):
    """What a profile makes of the answers, and the one reason; ``family`` is the question that the reason is about."""

    profile: str
    choice: Choice
    reason: str
    family: Family | None = None

    @field_validator("profile")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROFILES:
            raise ValueError(f"there is no such profile; {nearest(name, PROFILES)}")
        return name


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: if there is none; the message names the nearest.
    """
    if name not in PROFILES:
        raise UsageError(f"There is no profile {name!r}: {nearest(name, PROFILES)}")
    return PROFILES[name]


def decide(outcomes: Sequence[Outcome], profile: Profile) -> Decision:
    """What to do with a model, by its outcomes.

    *Fix first* if an answer is worse than the profile tolerates, with the worst as the reason. Else *not enough
    evidence* if one is missing, or undecided or short of a method that failed where not every level is tolerated. Else
    *publish*. Questions of `OPTIONAL` families count only where one of their methods was run.
    """
    found: dict[Family, Answer] = {}
    for family in profile.tolerates:
        ran = [one for one in outcomes if one.method.family == family]
        if ran or family not in OPTIONAL:
            found[family] = answer(family, [one for one in ran if profile.counts(one)])
    beyond = [one for family, one in found.items() if _beyond(one.level, profile.tolerates[family])]
    if beyond:
        worst = max(beyond, key=_risk)
        reason = f"It {CLAUSES[worst.family][worst.level]}{_number(worst)}."
        return _decision(profile, "fix first", reason, worst.family)
    for family, one in found.items():
        if missing := _missing(one, profile):
            return _decision(profile, "not enough evidence", missing, family)
    told = [f"it {CLAUSES[family]['high']}" for family, one in found.items() if one.level == "high"]
    note = f" Tell those who use it that {listed(told)}." if told else ""
    return _decision(profile, "publish", f"No answer that counts here is worse than it may be.{note}")


def concern(answers: Sequence[Answer], decision: Decision) -> list[Answer]:
    """Answers in order of concern: what the decision rests on, then questions that count, by level and number."""
    counting = PROFILES[decision.profile].tolerates

    def key(one: Answer) -> tuple[bool, bool, int, float]:
        return one.family == decision.family, one.family in counting, *_risk(one)

    return sorted(answers, key=key, reverse=True)


def _missing(one: Answer, profile: Profile) -> str:
    """Why an answer is not evidence enough, in a sentence; empty if it is."""
    whether = WHETHER[one.family][0].upper() + WHETHER[one.family][1:]
    if one.level == "not assessed":
        access = "" if profile.network or one.family == "backdoor" else " without the network in hand"
        return f"{whether} was not assessed{access}. {one.sentence}"
    if profile.tolerates[one.family] == "high":
        return ""
    if one.level == "undecided":
        return f"{whether} is undecided{_number(one)}."
    return f"{count(one.failed, 'method')} failed to tell {WHETHER[one.family]}." if one.failed else ""


def _risk(one: Answer) -> tuple[int, float]:
    return RANK.get(one.level, -1), one.metric.position if one.metric else float("-inf")


def _number(one: Answer) -> str:
    return f": {one.metric.label}, {metric_text(one.metric)}" if one.metric and one.metric.value is not None else ""


def _beyond(level: AnswerLevel, tolerated: Tolerated) -> bool:
    return level in ("elevated", "high") and RANK[level] > RANK[tolerated]


def _decision(profile: Profile, choice: Choice, reason: str, family: Family | None = None) -> Decision:
    return Decision(profile=profile.name, choice=choice, reason=reason, family=family)
