"""A view: notes, tables and charts, on the terminal, as one HTML file that needs nothing else, as JSON or a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from assay.base.errors import EngineError, UsageError
from assay.reports.drawing import NOT_DRAWN, Form, draw

if TYPE_CHECKING:
    from assay.reports.views.pictures import Chart

PICTURES: dict[str, Form] = {".svg": "svg", ".png": "png", ".pdf": "pdf"}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;font-size:13px}caption{text-align:left;font-weight:600;padding:.4rem 0}
th,td{border-bottom:1px solid #dedbd3;padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
td.number{text-align:right;font-variant-numeric:tabular-nums}"""
WIDTH = 160
"""Columns of text where there is no terminal to ask."""

Cell = str | int | float | None


class Table(NamedTuple):
    """A table of texts and numbers; None is shown as nothing."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class View(NamedTuple):
    """What there is to show. ``charts`` draws the pictures when they are wanted."""

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Callable[[], Sequence[Chart]] = tuple


def show(view: View, path: Path | None = None) -> None:
    """A view on the terminal and, if a path is given, as `write` writes it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for note in view.notes:
        console.print(escape(note), highlight=False)
    for table in view.tables:
        numeric = [all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
        drawn = RichTable(title=escape(table.title), title_justify="left", title_style="bold")
        for name, right in zip(table.columns, numeric, strict=True):
            drawn.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            drawn.add_row(*(escape(_text(cell)) for cell in row))
        console.print(drawn)
    if path is not None:
        write(path, view)
        console.print(f"Written to {path}.", highlight=False, markup=False)


def write(path: Path, view: View) -> None:
    """An HTML page with notes, charts and tables; for ``.json`` notes and tables; for a picture's suffix charts alone.

    The page holds the Vega-Lite specifications and what draws them: it works without a network.

    Raises:
        UsageError: if the suffix is none of these, or there is nothing to draw.
        EngineError: if a picture cannot be drawn in this process's address space.
    """
    if path.suffix == ".json":
        path.write_text(json.dumps(_plain(view), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    charts = view.charts()
    if path.suffix == ".html":
        drawn = draw(_together(charts).to_dict(), "html") if charts else b""
        drawing = f"<p>{NOT_DRAWN}</p>" if drawn is None else drawn.decode()
        path.write_text(_page(view, drawing), encoding="utf-8")
    elif path.suffix in PICTURES and charts:
        drawn = draw(_together(charts).to_dict(), PICTURES[path.suffix])
        if drawn is None:
            raise EngineError(f"{path} was not written. {NOT_DRAWN}")
        path.write_bytes(drawn)
    else:
        why = "there are no pictures in it" if path.suffix in PICTURES else "it can be .html, .json, .svg, .png or .pdf"
        raise UsageError(f"This cannot be written as {path.suffix or path.name!r}: {why}.")


def _plain(view: View) -> dict[str, object]:
    """A view's notes, and each table's rows by the names of its columns."""
    tables = [
        {"title": table.title, "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows]}
        for table in view.tables
    ]
    return {"title": view.title, "notes": list(view.notes), "tables": tables}


def _together(charts: Sequence[Chart]) -> Chart:
    import altair as alt

    together: Chart = alt.vconcat(*charts).resolve_scale(color="independent", shape="independent")
    return together


def _page(view: View, drawing: str) -> str:
    from markupsafe import Markup

    from assay.reports.pages import render

    return render(
        "view.html",
        title=view.title,
        style=Markup(STYLE),
        notes=view.notes,
        drawing=Markup(drawing),
        tables=view.tables,
        text=_text,
    )


def _text(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if value and abs(value) < 0.001 else f"{value:.4f}".rstrip("0").rstrip(".")
    return value if isinstance(value, str) else str(value)
