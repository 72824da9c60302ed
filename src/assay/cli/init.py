"""``assay init``: a target file with what could be told of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.cli.audit import Architecture, InputShape, NumClasses, Reading


def init(
    reference: Annotated[str, Parameter(help="A file of weights, a folder of save_pretrained, or hf:ORG/NAME.")],
    data: Annotated[str, Parameter(help="Data set: a name, or a path.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The target file to write.")] = Path("model.toml"),
    architecture: Architecture = None,
    input_shape: InputShape = None,
    num_classes: NumClasses = None,
    preprocessing: Reading = None,
    seed: Annotated[int, Parameter(help="Draws random weights, where a network has any.")] = 0,
) -> None:
    """Write a target file with what was inferred of a model, commented: an audit of it is the audit of the model."""
    from assay.api import describe
    from assay.base.progress import on_console

    progress = on_console()
    said = {"architecture": architecture, "input_shape": input_shape, "num_classes": num_classes}
    notes = describe(reference, data, out, seed=seed, progress=progress, **said, preprocessing=preprocessing)
    for key, note in notes.items():
        progress.say(f"{key}: {note}.")
    progress.say(f"{out} is written: look through it, and say assay audit {out}.")
