"""A page for each family of methods, made from the methods themselves: they cannot go stale."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

from assay.methods.finding import FAMILIES, Family
from assay.methods.method import METHODS, Method
from assay.reports.markdown import plain, table
from assay.reports.wording import QUESTIONS

NOTES: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("method_notes.toml").read_text("utf-8"))
"""Formula and cost, by method."""


def pages() -> dict[str, str]:
    """The overview and every family's page, by their place in the docs."""
    families: dict[Family, list[type[Method]]] = {family: [] for family in FAMILIES}
    for kind in map(METHODS.get, METHODS.names()):
        families.setdefault(kind.family, []).append(kind)
    made = {f"methods/{family}.md": family_page(family, kinds) for family, kinds in families.items()}
    return {"methods/index.md": overview(families), **made}


def overview(families: dict[Family, list[type[Method]]]) -> str:
    """Every method in one line."""
    lines = [
        "# Methods",
        "",
        "What a method may see, and in which presets it runs. `assay methods NAME` prints the same.",
    ]
    for family, kinds in families.items():
        rows = [[kind.name, kind.needs, ", ".join(kind.presets) or "by name", kind.about.summary] for kind in kinds]
        lines += ["", f"## {QUESTIONS.get(family, family)}", ""]
        cells = table(("method", "needs", "presets", "what it does"), rows)
        lines += [_linked(line, family, kinds) for line in cells]
    return "\n".join(lines) + "\n"


def _linked(line: str, family: Family, kinds: list[type[Method]]) -> str:
    for kind in kinds:
        line = line.replace(f"| {plain(kind.name)} |", f"| [`{kind.name}`]({family}.md#{anchor(kind)}) |")
    return line


def family_page(family: Family, kinds: list[type[Method]]) -> str:
    """All methods of a family."""
    return f"# {QUESTIONS.get(family, family)}\n\n" + "\n".join(method_section(kind) for kind in kinds)


def anchor(kind: type[Method]) -> str:
    """A method's place on its page."""
    return kind.name.replace(".", "-").replace("_", "-")


def method_section(kind: type[Method]) -> str:
    """One method: what it does, formula, source, cost, caveats and options."""
    notes, own = NOTES.get(kind.name, {}), inspect.cleandoc(kind.__dict__.get("__doc__") or "")
    facts = {
        "Threat model": kind.about.threat_model,
        "Needs": kind.needs + (f"; {', '.join(kind.parts)}" if kind.parts else "").replace("_", "-"),
        "Source": kind.about.paper,
        "Cost": notes.get("cost", ""),
        "MITRE ATLAS": ", ".join(kind.about.atlas),
        "Presets": ", ".join(kind.presets) or "none: it runs when it is named",
        "Version": str(kind.version),
    }
    lines = [f"## {kind.about.title} {{ #{anchor(kind)} }}", "", f"`{kind.name}`", "", kind.about.summary, ""]
    if "formula" in notes:
        lines += ["```text", notes["formula"], "```", ""]
    lines += [*table(("", ""), [(name, text) for name, text in facts.items() if text]), ""]
    if own and own != kind.about.summary:
        lines += [_prose(own), ""]
    return "\n".join(
        [*lines, "<details markdown><summary>Options</summary>", "", *_options(kind), "", "</details>", ""]
    )


def _prose(docstring: str) -> str:
    """A docstring as Markdown: what is code in it stays code."""
    return docstring.replace("``", "`")


def _options(kind: type[Method]) -> list[str]:
    head = ("option", "default", *kind.presets, "meaning")
    rows: list[list[str]] = []
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        changed = [_value(changes.get(name, default)) for changes in kind.presets.values()]
        rows.append([name, _value(default), *changed, field.description or ""])
    return table(head, rows)


def _value(value: Any) -> str:
    if isinstance(value, Method):
        return value.name
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
