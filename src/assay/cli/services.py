"""``assay services``: what can be asked over the network."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def services(name: Annotated[str | None, Parameter(help="One service; all, if none is given.")] = None, /) -> None:
    """List every prediction service, or show one: its reference, credentials and options."""
    from rich.console import Console
    from rich.table import Table

    from assay.access.remote import SERVICES
    from assay.access.remote.service import COMMON

    console = Console()
    if name is None:
        table = Table(title="Services", title_justify="left")
        table.add_column("name", no_wrap=True)
        table.add_column("service")
        table.add_column("reference")
        for known in SERVICES.names():
            table.add_row(known, SERVICES.get(known).title, SERVICES.get(known).example)
        console.print(table)
        console.print("assay services NAME shows credentials and options.", highlight=False)
        console.print("What is not on this machine takes --live and --budget N; see docs/services.md.", highlight=False)
        return
    service = SERVICES.get(name)
    console.print(f"[bold]{service.title}[/]: {service.example}", highlight=False)
    console.print(f"Answers with: {service.output}; inputs in a request: {service.batch}", highlight=False)
    console.print(f"Credentials (environment): {', '.join(service.credentials) or 'none'}", highlight=False)
    table = Table("option", "meaning")
    for option, meaning in {**service.options, **COMMON}.items():
        table.add_row(f"?{option}=", meaning)
    console.print(table)
