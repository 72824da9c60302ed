"""What MkDocs calls while it builds the site: pages made from other files, pictures, and links out of the docs."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import method_pages
import threat_pictures

ROOT = Path(__file__).parent.parent.parent

FROM_README: dict[str, tuple[str, tuple[str, ...]]] = {
    "index.md": ("Assay", ("", "Two commands")),
    "getting_started.md": ("Getting started", ("Use", "A target file", "Recorded answers")),
    "responsible_use.md": ("Responsible use", ("Responsible use",)),
}
"""Page to its title and the README's sections that it is made of; the text before the first has no name."""

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"<!-- picture: ([\w-]+) -->")


def sections(text: str) -> dict[str, str]:
    """The parts of a Markdown file by their headings of the second level, these left out."""
    first, *others = re.split(r"^## ", text, flags=re.MULTILINE)
    named = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in others}
    return {"": first.partition("\n")[2].strip(), **named}


def pages() -> dict[str, str]:
    """Every page that is no file of ``docs``, by its place there."""
    readme = sections((ROOT / "README.md").read_text("utf-8"))
    made = {}
    for place, (title, names) in FROM_README.items():
        parts = [f"## {name}\n\n{readme[name]}" if name and len(names) > 1 else readme[name] for name in names]
        made[place] = f"# {title}\n\n" + "\n\n".join(parts)
    made["contributing.md"] = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    readable = {place: re.sub(r"\]\(docs/", "](", text) for place, text in made.items()}
    readable = {place: text.replace("](CONTRIBUTING.md)", "](contributing.md)") for place, text in readable.items()}
    return {**readable, **method_pages.pages()}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Draw the pictures, and make links to files that are not of the site readable without it."""
    drawn = PICTURE.sub(lambda found: threat_pictures.svg(found[1]), markdown)
    folder = PurePosixPath(page.file.src_uri).parent
    return LINK.sub(lambda found: _link(found[0], found[1], found[2], folder), drawn)


def _link(whole: str, text: str, to: str, folder: PurePosixPath) -> str:
    if re.match(r"[a-z]+:|#", to):
        return whole
    parts: list[str] = []
    for part in (folder / to.partition("#")[0]).parts:
        if part == ".." and not parts:
            place = str(PurePosixPath(*[p for p in PurePosixPath(to).parts if p != ".."]))
            return f"`{place}`" if text.strip("`") in (place, to) else f"{text} (`{place}` in the repository)"
        parts = parts[:-1] if part == ".." else [*parts, part]
    if PurePosixPath(to).suffix:
        return whole
    return f"{text} (`{to}` in the repository)"
