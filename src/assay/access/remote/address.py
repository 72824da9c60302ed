"""References to services: ``http(s)://...`` or ``SERVICE:PLACE``, with options behind a question mark."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from assay.base.errors import UsageError

PROTOCOL = "oip"
"""The scheme of an ``http(s)://`` reference: the Open Inference Protocol."""


@dataclass(frozen=True)
class Address:
    """A reference taken apart: which service, where, and with which options.

    ``shown`` is the reference without its options, as reports and ledgers call it.
    """

    scheme: str
    place: str
    options: dict[str, str]
    shown: str


def parse_address(reference: str) -> Address:
    """Take a reference apart.

    Raises:
        UsageError: if it carries credentials, or its options are not ``name=value``.
    """
    shown, _, query = reference.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise UsageError(f"{shown}: what follows the question mark must be name=value, joined by '&'.") from None
    scheme, _, place = shown.partition(":")
    if scheme in ("http", "https"):
        scheme, place = PROTOCOL, shown
    if "://" in place:
        check_url(place)
    return Address(scheme, place.rstrip("/"), dict(pairs), shown.rstrip("/"))


def check_url(url: str) -> str:
    """A URL that is one, as it is.

    Raises:
        UsageError: if it is none, or carries credentials.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not an address: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is not an address: write http://HOST:PORT or https://HOST.")
    if "@" in parts.netloc:
        raise UsageError("An address must not carry credentials; they are taken from environment variables only.")
    return url


def is_loopback(url: str) -> bool:
    """Whether what is sent there stays on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
