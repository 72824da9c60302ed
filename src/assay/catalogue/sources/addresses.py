"""Facts in the address of a weights file."""

from __future__ import annotations

import re

_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


def hashed_name(url: str) -> str | None:
    """The digest's prefix in a file name such as ``resnet50-11ad3fa6.pth``: torch's hub requires it to be SHA-256's.

    Eight digits that are a date are taken for a date.
    """
    match = re.search(r"[-_]([0-9a-f]{8})\.(?:pth|pt|th|bin|safetensors|npz)(?:\.tar)?$", url)
    return f"sha256:{match[1]}" if match and not _DATE.fullmatch(match[1]) else None


def arxiv_id(text: str | None) -> str | None:
    """The arXiv identifier in an address or a citation, without its version."""
    match = re.search(r"(?:arxiv\.org/(?:abs|pdf)/|arxiv:)(\d{4}\.\d{4,5})", text or "", re.IGNORECASE)
    return match[1] if match else None
