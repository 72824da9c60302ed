"""``assay methods``: what can be run."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def methods(name: Annotated[str | None, Parameter(help="One method; all, if none is given.")] = None, /) -> int:
    """List every method: family, access it needs, options with their defaults, and paper."""
    from rich.console import Console
    from rich.table import Table

    from assay.methods.method import METHODS

    console = Console()
    if name is None:
        table = Table(title="Methods", title_justify="left")
        table.add_column("method", no_wrap=True)
        table.add_column("needs", no_wrap=True)
        table.add_column("what it does")
        for known, kind in METHODS.items():
            table.add_row(known, kind.needs, kind.about.summary)
        console.print(table)
        console.print("assay methods NAME shows a method's options, threat model and paper.", highlight=False)
        return 0
    kind = METHODS.get(name)
    console.print(
        f"[bold]{name}[/] (version {kind.version}): {kind.about.title}\n\n{kind.about.summary}\n", highlight=False
    )
    for label, text in (
        ("Threat model", kind.about.threat_model),
        ("Needs", f"{kind.needs}; data: {', '.join(kind.parts).replace('_', '-') or 'none'}"),
        ("Paper", kind.about.paper),
        ("MITRE ATLAS", ", ".join(kind.about.atlas) or "none"),
    ):
        console.print(f"[bold]{label}[/]: {text}", highlight=False)
    table = Table("option", "default", *kind.presets, "meaning", title="\nOptions", title_justify="left")
    for option, field in kind.model_fields.items():
        presets = [_text(changes.get(option, field.default)) for changes in kind.presets.values()]
        table.add_row(option, _text(field.default), *presets, field.description or "")
    console.print(table)
    return 0


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
