"""``assay methods``: what can be run."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def methods(name: Annotated[str | None, Parameter(help="One method; all, if none is given.")] = None, /) -> int:
    """List every method: family, access it needs, options with their defaults, and paper."""
    from rich.console import Console
    from rich.table import Table

    from assay.methods.index import find_method, known_methods

    console = Console()
    if name is None:
        table = Table(title="Methods", title_justify="left")
        table.add_column("method", no_wrap=True)
        table.add_column("needs", no_wrap=True)
        table.add_column("what it does")
        for known, entry in known_methods().items():
            table.add_row(known, entry.needs, entry.about.summary)
        console.print(table)
        console.print("assay methods NAME shows a method's options, threat model and paper.", highlight=False)
        return 0
    entry = find_method(name)
    about = entry.about
    console.print(f"[bold]{name}[/] (version {entry.version}): {about.title}\n\n{about.summary}\n", highlight=False)
    for label, text in (
        ("Threat model", about.threat_model),
        ("Needs", f"{entry.needs}; data: {', '.join(entry.parts).replace('_', '-') or 'none'}"),
        ("Paper", about.paper),
        ("MITRE ATLAS", ", ".join(about.atlas) or "none"),
    ):
        console.print(f"[bold]{label}[/]: {text}", highlight=False)
    table = Table("option", "default", *entry.presets, "meaning", title="\nOptions", title_justify="left")
    for option, facts in entry.options["properties"].items():
        default = facts.get("default")
        presets = [_text(changes.get(option, default)) for changes in entry.presets.values()]
        table.add_row(option, _text(default), *presets, facts.get("description", ""))
    console.print(table)
    return 0


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
