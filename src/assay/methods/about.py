"""What a method says of itself, with what its family says where it is silent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assay.methods.metric import Family


@dataclass(frozen=True)
class About:
    """A method in words.

    ``summary`` is a sentence on what it does, ``paper`` where it is from. ``threat_model`` is what an attacker is taken
    to have, in a sentence that a release manager understands; ``atlas`` are techniques of MITRE ATLAS. Both default to
    the family's.
    """

    title: str
    summary: str
    paper: str
    threat_model: str = ""
    atlas: tuple[str, ...] = ()

    def of(self, family: Family, white_box: bool) -> About:
        """The same, completed by what holds for all methods of the family with such access."""
        threat_model, atlas = USUAL[family, white_box]
        return replace(self, threat_model=self.threat_model or threat_model, atlas=self.atlas or atlas)


USUAL: dict[tuple[Family, bool], tuple[str, tuple[str, ...]]] = {
    ("stealing", False): (
        "Black box. The attacker may ask the service about images, has unlabelled images of the same kind or of others "
        "(the auxiliary set), and knows neither the architecture nor the weights.",
        ("AML.T0024.002", "AML.T0005.001"),
    ),
    ("stealing", True): (
        "White box. The owner holds both the model and the suspected copy.",
        ("AML.T0024.002",),
    ),
    ("membership", False): (
        "Black box. The attacker has a sample with its true label, and asks the service about it.",
        ("AML.T0024.000",),
    ),
    ("membership", True): (
        "White box. The attacker has the network and a sample with its true label.",
        ("AML.T0024.000",),
    ),
    ("backdoor", False): (
        "Black box. The defender asks the model about images and has no other access.",
        ("AML.T0018.000",),
    ),
    ("backdoor", True): (
        "White box. The defender has the network and a few clean images, and does not know whether it was trained by "
        "an attacker.",
        ("AML.T0018.000",),
    ),
    ("evasion", False): (
        "Black box. The attacker asks the service about changed images until one is misclassified.",
        ("AML.T0015", "AML.T0043.001"),
    ),
    ("evasion", True): (
        "White box. The attacker has the network (it runs on a device, say, or is public) and changes an image a "
        "little, step by step, so that it is misclassified, whatever the wrong class.",
        ("AML.T0015", "AML.T0043.000"),
    ),
    ("siblings", False): (
        "Black box, with a published sibling of the model in hand.",
        ("AML.T0015", "AML.T0043.002"),
    ),
    ("siblings", True): (
        "The owner holds the model and its sibling; the attacker gets the sibling.",
        ("AML.T0015", "AML.T0043.002"),
    ),
}
