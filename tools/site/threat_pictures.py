"""The pictures of the threat models: who holds what, and what passes between them; in the site's own colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

WIDTH, HEIGHT, BOX, TALL = 680, 110, 150, 76


class Box(NamedTuple):
    """Somebody or something at a place of the row (0, 1 or 2), with a second line of text; ``kind`` colours it."""

    place: int
    name: str
    what: str
    kind: str


class Arrow(NamedTuple):
    """What passes between neighbouring places: above the middle from left to right, below it from right to left."""

    left: int
    text: str
    back: bool = False
    dashed: bool = False


Scene = tuple[str, list[Box], list[Arrow]]

SCENES: dict[str, Scene] = {
    "black-box": (
        "An attacker sends images to a service and gets posteriors, top-k or labels; the network stays behind it.",
        [Box(0, "Attacker", "counts questions", "bad"), Box(1, "Service", "policies, budget", "ours"),
         Box(2, "Network", "out of sight", "kept")],
        [Arrow(0, "images"), Arrow(0, "answers", back=True), Arrow(1, "", dashed=True)],
    ),
    "white-box": (
        "An attacker has the network itself, with weights and gradients.",
        [Box(0, "Owner", "publishes", "ours"), Box(1, "Network", "weights, gradients", "ours"),
         Box(2, "Attacker", "holds all of it", "bad")],
        [Arrow(0, "weights"), Arrow(1, "opened")],
    ),
    "surrogate": (
        "An attacker steals a copy by questions, and works on the copy with gradients.",
        [Box(0, "Service", "answers questions", "ours"), Box(1, "Attacker", "trains on answers", "bad"),
         Box(2, "Surrogate", "gradients", "bad")],
        [Arrow(0, "answers"), Arrow(0, "images", back=True), Arrow(1, "trains"), Arrow(1, "gradients", back=True)],
    ),
    "sibling": (
        "The owner publishes a small sibling on devices; an attacker opens it and attacks the service with it.",
        [Box(0, "Service", "the full network", "ours"), Box(1, "Attacker", "few questions", "bad"),
         Box(2, "Sibling", "int8, on a device", "ours")],
        [Arrow(0, "answers"), Arrow(0, "images", back=True), Arrow(1, "gradients", back=True)],
    ),
    "membership": (
        "An attacker holds a record and its label, asks the service about it, and infers whether it was trained on.",
        [Box(0, "Training set", "members", "kept"), Box(1, "Service", "trained on it", "ours"),
         Box(2, "Attacker", "holds a record", "bad")],
        [Arrow(0, "training", dashed=True), Arrow(1, "posteriors"), Arrow(1, "the record", back=True)],
    ),
    "backdoor": (
        "Somebody poisons the training; an examiner has the network, clean images and perhaps suspicious ones.",
        [Box(0, "Trainer", "plants a trigger", "bad"), Box(1, "Network", "behaves well", "kept"),
         Box(2, "Examiner", "clean images", "ours")],
        [Arrow(0, "poison", dashed=True), Arrow(1, "answers"), Arrow(1, "images", back=True)],
    ),
}  # fmt: skip
"""Every threat model: what a screen reader says, and what is drawn."""


TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


def svg(name: str) -> str:
    """A picture as an ``<svg>`` element on one line, so that Markdown leaves it alone."""
    told, boxes, arrows = SCENES[name]
    return TEMPLATES.get_template("threat.svg").render(
        told=told,
        boxes=[{**box._asdict(), "x": _left(box.place), "y": (HEIGHT - TALL) // 2} for box in boxes],
        arrows=[_arrow(arrow) for arrow in arrows],
        width=WIDTH,
        height=HEIGHT,
        box_width=BOX,
        box_height=TALL,
    )


def _left(place: int) -> int:
    return 10 + place * (WIDTH - 20 - BOX) // 2


def _arrow(arrow: Arrow) -> dict[str, Any]:
    start, end = _left(arrow.left) + BOX + 6, _left(arrow.left + 1) - 6
    tail, tip = (end, start) if arrow.back else (start, end)
    y = HEIGHT // 2 + (18 if arrow.back else -18)
    return {
        "tail": tail,
        "tip": tip,
        "barb": tip + (8 if arrow.back else -8),
        "y": y,
        "middle": (start + end) // 2,
        "baseline": y + (20 if arrow.back else -9),
        "text": arrow.text,
        "dashed": arrow.dashed,
    }
