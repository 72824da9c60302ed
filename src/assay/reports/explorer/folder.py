"""The exported folder: the page's own files, and data as scripts, because a page on a disk may load nothing else.

``data/NAME.js`` is one call, ``assay.put("NAME", JSON.parse('...'))``: ASCII only, so that no text of a workspace can
be taken for anything but data. ``data/stamp.js`` is written last and changes whenever another file did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.errors import WorkspaceError
from assay.base.files import sweep, write_bytes

PAGE = Path(__file__).parent / "page"
STYLE = Path(__file__).parent.parent / "templates" / "style.css"
STAMP = "stamp"


class Folder:
    """A folder that holds an explorer, and what was last written there."""

    def __init__(self, path: Path) -> None:
        """An explorer's folder; made by the first `write`.

        Raises:
            WorkspaceError: if the folder holds something else.
        """
        self.path = path
        self._written: dict[Path, bytes] = {}
        if path.exists() and not (path / "data" / f"{STAMP}.js").is_file() and (path.is_file() or any(path.iterdir())):
            raise WorkspaceError(f"{path} exists and is not an explorer; name an empty or a new folder with --out.")

    def write(self, data: Mapping[str, Any], live: bool) -> int:
        """Write what differs from what is there; data files that are no longer wanted are removed.

        ``live`` tells the pages to look for changes. Returns how many data files were written.

        Raises:
            WorkspaceError: if the folder cannot be written.
        """
        try:
            (self.path / "data").mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.path / "data"):
                sweep(folder)
            for file in sorted(PAGE.iterdir()):
                self._replace(self.path / file.name, file.read_bytes())
            self._replace(self.path / STYLE.name, STYLE.read_bytes())
            files = {self.path / "data" / f"{name}.js": _script(name, value) for name, value in data.items()}
            changed = sum(self._replace(file, content) for file, content in files.items())
            stamp = hashlib.sha256()
            for file in sorted(files):
                stamp.update(file.name.encode() + self._written[file])
            last = self.path / "data" / f"{STAMP}.js"
            self._replace(last, _script(STAMP, {"stamp": stamp.hexdigest()[:16], "live": live}))
            for file in (self.path / "data").glob("*.js"):
                if file != last and file not in files:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise WorkspaceError(f"The explorer {self.path} cannot be written: {error.strerror or error}.") from error
        return changed

    def _replace(self, path: Path, content: bytes) -> bool:
        """Make a file hold a content, unless it does; a reader sees the old or the new file, never half of one.

        Nothing is flushed to the disk: after a power failure the folder is exported again.
        """
        digest = hashlib.sha256(content).digest()
        if self._written.get(path) == digest and path.is_file():
            return False
        self._written[path] = digest
        if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
            return False
        write_bytes(path, content, durable=False)
        return True


def _script(name: str, value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    literal = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"assay.put({json.dumps(name)}, JSON.parse('{literal}'));\n".encode("ascii")
