"""Retrieval of weights from package, cache, mirror or URL; no file is opened before its SHA-256 is verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from assay.base.digests import digest_file
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.locks import lock, try_lock
from assay.base.progress import Progress
from assay.catalogue.weights import Weights
from assay.targets.download import MissingError, download

PACKAGE = Path(__file__).resolve().parents[1]
SHORTEST_DIGEST = 8
"""Digits of a SHA-256 that PyTorch's libraries put into file names, where they publish no whole one. So few find a
damaged or a wrong file, but not one that somebody forged to match."""


def cache_folder() -> Path:
    """The cache folder: ASSAY_CACHE, else ``assay`` in XDG_CACHE_HOME, else ``~/.cache/assay``."""
    own, shared = os.environ.get("ASSAY_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).expanduser()
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "assay"


def fetch(weights: Weights, progress: Progress, *, digest_start: str = "") -> Path:
    """The file of some weights, its SHA-256 verified; ``digest_start`` is its prefix, if only that is known.

    In this order: the file shipped in the package; the cache (see `cache_folder`); ASSAY_MIRROR, a folder, whose
    files are used where they are, or a base address, under ``weights.file``, the last part of the URL, or the digest;
    ``weights.url``. What is downloaded is kept in the cache. Several processes may ask for one file: one downloads.

    Raises:
        UnsafeFileError: if there is no digest, or a file does not have it; such a file never enters the cache.
        LoadError: if the file is nowhere to be had, or cannot be saved.
        UsageError: if ASSAY_MIRROR is neither a folder nor an http or https address.
    """
    names = _names(weights)
    expected = weights.sha256 or digest_start
    if len(expected) < SHORTEST_DIGEST:
        raise UnsafeFileError(f"{names[0]} has no SHA-256 to be checked against, and is not opened without one.")
    if weights.package is not None:
        return _verified(PACKAGE / weights.package, expected)
    mirror = os.environ.get("ASSAY_MIRROR", "")
    cached = cache_folder() / "weights" / f"{expected[:16]}-{names[0]}"
    if _is_sound(cached, expected):
        return cached
    remote = "://" in mirror
    if mirror and not remote:
        found = _in_folder(Path(mirror).expanduser(), names, expected)
        if found is not None:
            return found
    urls = [f"{mirror.rstrip('/')}/{quote(name)}" for name in names] if remote else []
    urls += [weights.url] if weights.url else []
    if not urls:
        raise LoadError(
            f"{names[0]} is not in {mirror or 'the cache'}, and there is no address to download it from; "
            "set ASSAY_MIRROR to a folder that holds it."
        )
    with _alone(cached, progress):
        if not _is_sound(cached, expected):
            cached.unlink(missing_ok=True)
            _download_any(urls, cached, expected, weights.bytes, progress)
    return cached


def _names(weights: Weights) -> list[str]:
    last = PurePosixPath(unquote(urlsplit(weights.url or "").path)).name
    names = [name for name in (weights.file, last, weights.sha256) if name]
    if not names:
        raise UsageError("Weights need a file name, an address or a digest to be found by.")
    for name in names:
        if name in (".", "..") or "/" in name or "\\" in name:
            raise UsageError(f"{name!r} is not a plain file name.")
    return list(dict.fromkeys(names))


def _verified(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise LoadError(f"{path} is missing.")
    found = _digest(path)
    if not found.startswith(sha256):
        raise UnsafeFileError(f"{path} has the SHA-256 {found}, and {sha256} was expected; it was not opened.")
    return path


def _is_sound(path: Path, sha256: str) -> bool:
    return path.is_file() and _digest(path).startswith(sha256)


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}.") from error


def _in_folder(folder: Path, names: list[str], sha256: str) -> Path | None:
    """The file of that digest.

    Raises:
        UnsafeFileError: if there are files of these names, and none has the digest.
    """
    if not folder.is_dir():
        raise UsageError(f"ASSAY_MIRROR is {folder}, which is neither a folder nor an http or https address.")
    there = [folder / name for name in names if (folder / name).is_file()]
    for path in there:
        if _digest(path).startswith(sha256):
            return path
    return _verified(there[0], sha256) if there else None


def _download_any(urls: list[str], cached: Path, sha256: str, size: int | None, progress: Progress) -> None:
    for url in urls:
        try:
            return download(url, cached, sha256, size, progress)
        except MissingError:
            continue
    raise LoadError(f"No server has the file: {', '.join(urls)} do not exist.")


@contextmanager
def _alone(cached: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of one cached file; the operating system frees it if the process dies."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        waiting = cached.with_name(f"{cached.name}.lock").open("ab")
    except OSError as error:
        raise LoadError(f"The cache {cached.parent} cannot be written: {error.strerror}.") from error
    with waiting:
        if not try_lock(waiting):
            progress.say(f"Waiting for another process that downloads {cached.name}.")
            lock(waiting)
        yield
