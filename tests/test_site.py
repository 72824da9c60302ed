"""The documentation site: whole, built strictly, and asking nothing of any network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.methods.method import METHODS

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools" / "site"))


def nav_files(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from nav_files(value) if isinstance(value, list) else [value]


def nav() -> list[str]:
    return list(nav_files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    import hooks

    written = {file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md")}
    assert sorted(nav()) == sorted(written | set(hooks.pages()))


def test_every_method_says_what_it_does_its_source_and_its_options() -> None:
    import method_pages

    pages = method_pages.pages()
    for name, kind in METHODS.items():
        section = pages[f"methods/{kind.family}.md"].partition(f"\n`{name}`\n")[2].partition("\n## ")[0]
        assert section.strip().startswith(kind.about.summary)
        assert "| Source | " in section
        for option in kind.model_fields:
            assert method_pages.plain(option) in section
        assert f"#{method_pages.anchor(kind)}" in pages["methods/index.md"]
    assert set(method_pages.NOTES) <= set(METHODS.names()), "notes on methods that are gone"


def test_links_out_of_the_docs_become_words() -> None:
    from pathlib import PurePosixPath

    import hooks

    def link(text: str, to: str) -> str:
        return hooks._link(f"[{text}]({to})", text, to, PurePosixPath("studies"))

    assert link("a page", "../ci.md#x") == "[a page](../ci.md#x)"
    assert link("benchmarks/README.md", "../../benchmarks/README.md") == "`benchmarks/README.md`"
    assert link("the code", "../../src/a.py") == "the code (`src/a.py` in the repository)"
    assert link("web", "https://example.org/x") == "[web](https://example.org/x)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder


RESOURCE = re.compile(r"<(?:script|img|iframe|link|source)\b[^>]*?(?:src|href)=[\"']?(https?:|//)[^>]*>", re.IGNORECASE)
IMPORT = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {page.relative_to(site).with_suffix(".md").as_posix() for page in pages} >= set(nav())
    foreign = {
        page.name: [
            found[0] for found in RESOURCE.finditer(page.read_text("utf-8")) if 'rel="canonical"' not in found[0]
        ]
        for page in pages
    }
    assert {name: found for name, found in foreign.items() if found} == {}
    assert [sheet.name for sheet in site.rglob("*.css") if IMPORT.search(sheet.read_text("utf-8"))] == []


def test_every_threat_model_is_drawn_and_tables_are_tables(site: Path) -> None:
    import threat_pictures

    drawn = (site / "threat_models.html").read_text("utf-8")
    assert drawn.count('<svg class="threat"') == len(threat_pictures.SCENES)
    for page in sorted((site / "methods").glob("*.html")):
        assert "<table>" in page.read_text("utf-8")
        assert "| --- |" not in page.read_text("utf-8")
