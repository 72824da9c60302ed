"""Download of one file over HTTP: resumable, and verified by SHA-256 before it gets its name."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx

from assay.base.digests import digest_file
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.progress import Progress

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try; a try that brought bytes starts the count again."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
ABSENT = (404, 410)
MEGABYTE = 1e6


class MissingError(LoadError):
    """The server has no such file."""


def download(url: str, path: Path, sha256: str, size: int | None, progress: Progress) -> None:
    """Download to ``path``, which appears at once and whole, or not at all.

    What was received waits beside it in ``path.part``, and the next call goes on from there, even after a crash. A
    failed connection or a busy server is tried again. ``size`` in bytes, where it is known, is the most that is
    received. A file of another digest is deleted.

    Raises:
        MissingError: if the server has no such file.
        LoadError: if the server cannot be reached, refuses, or the disk is full.
        UnsafeFileError: if the content is not what the digest says.
        UsageError: if the address is not http or https.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url} is not an http or https address.")
    part = path.with_name(f"{path.name}.part")
    with _plain_errors(url, part), httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        pieced = _receive_all(client, url, part, size, progress)
        if pieced and not digest_file(part).startswith(sha256):
            _discard(part)  # the pieces may be of different files: once more, in one piece
            _receive_all(client, url, part, size, progress)
        found = digest_file(part)
        if not found.startswith(sha256):
            hint = " The server sent a web page instead of the file." if _is_page(part) else ""
            _discard(part)
            raise UnsafeFileError(f"{url} has the SHA-256 {found}, and {sha256} was expected; it was deleted.{hint}")
        part.replace(path)
        _validator(part).unlink(missing_ok=True)


def _receive_all(client: httpx.Client, url: str, part: Path, size: int | None, progress: Progress) -> bool:
    """Fill ``part``; whether that took more than one piece."""
    pauses, pieced = list(PAUSES), False
    while True:
        before = _size(part)
        pieced = pieced or before > 0
        try:
            if _receive(client, url, part, size, progress):
                return pieced
            failure = "what it sends does not fit together"
        except httpx.UnsupportedProtocol:
            raise
        except httpx.TransportError as error:
            failure = str(error) or type(error).__name__
        except httpx.HTTPStatusError as error:
            failure = f"the server answered {error.response.status_code} {error.response.reason_phrase}"
        if _size(part) > before:
            pauses = list(PAUSES)
        if not pauses:
            raise LoadError(
                f"{url} could not be downloaded: {failure}. Try again later (it goes on where it stopped), or set "
                "ASSAY_MIRROR to a folder that holds the file."
            )
        time.sleep(pauses.pop(0))


def _receive(client: httpx.Client, url: str, part: Path, size: int | None, progress: Progress) -> bool:
    """One request; whether the file is complete now, as far as the server says."""
    have, validator = _size(part), _validator(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator.exists():
            headers["If-Range"] = validator.read_text("ascii")
    with client.stream("GET", url, headers=headers) as response:
        _check_status(response, url)
        start, total = _extent(response)
        if size is not None and total is not None and total != size:
            raise UnsafeFileError(f"{url} has {total} bytes, and {size} were expected; it was not downloaded.")
        if response.status_code == 416 and have and have == total:
            return True
        if response.status_code == 416 or (response.status_code == 206 and start != have):
            _discard(part)
            return False
        _remember(response, validator)
        label = f"Downloading {PurePosixPath(urlsplit(url).path).name} (MB)"
        with part.open("ab" if start else "wb") as file, progress.step(label, (total or 0) / MEGABYTE) as step:
            step.advance(start / MEGABYTE)
            for chunk in response.iter_raw():
                file.write(chunk)
                step.advance(len(chunk) / MEGABYTE)
                if size is not None and file.tell() > size:
                    break
    return True


def _check_status(response: httpx.Response, url: str) -> None:
    answer = f"{response.status_code} {response.reason_phrase}"
    if response.status_code in ABSENT:
        raise MissingError(f"{url} does not exist: the server answered {answer}.")
    if response.status_code in TRANSIENT:
        response.raise_for_status()
    if response.status_code not in (200, 206, 416):
        raise LoadError(f"{url} was refused: the server answered {answer}.")


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """First byte and full size of what an answer holds."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return 0, int(length) if length.isdigit() else None
    extent, _, full = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = extent.partition("-")[0]
    return int(first) if first.isdigit() else 0, int(full) if full.isdigit() else None


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _remember(response: httpx.Response, validator: Path) -> None:
    tag = response.headers.get("ETag", "")
    if tag.isascii() and tag.startswith('"'):  # a weak tag does not promise the same bytes
        validator.write_text(tag, "ascii")
    else:
        validator.unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _is_page(part: Path) -> bool:
    with part.open("rb") as file:
        return file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))


@contextmanager
def _plain_errors(url: str, part: Path) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise LoadError(f"{url} cannot be downloaded: {error}.") from error
    except OSError as error:
        full = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise LoadError(f"{url} could not be saved in {part.parent}: {full}.") from error
