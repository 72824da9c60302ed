from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.progress import silent
from assay.catalogue.weights import Weights
from assay.targets import download, fetch

CONTENT = np.random.default_rng(0).bytes(300_000)
MIRROR = os.environ.get("ASSAY_MIRROR")
OTHER = np.random.default_rng(1).bytes(300_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class File:
    """What the server does with one path; ``statuses`` and ``cuts`` are used up by the first requests."""

    content: bytes = CONTENT
    etag: str | None = '"v1"'
    ranges: bool = True
    honour_if_range: bool = True
    length: bool = True
    redirect: str | None = None
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    delay: float = 0.0


class Site:
    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up on purpose
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers)))
                file = site.files.get(self.path)
                if file is None or file.statuses:
                    self.send_error(404 if file is None else file.statuses.pop(0))
                elif file.redirect:
                    self.send_response(302)
                    self.send_header("Location", file.redirect)
                    self.end_headers()
                else:
                    self.answer(file)

            def answer(self, file: File) -> None:
                time.sleep(file.delay)
                start, total = 0, len(file.content)
                asked = self.headers.get("Range")
                changed = file.honour_if_range and self.headers.get("If-Range", file.etag) != file.etag
                if asked and file.ranges and not changed:
                    start = int(asked.removeprefix("bytes=").rstrip("-"))
                    if start >= total:
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{total}")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                else:
                    self.send_response(200)
                if file.etag:
                    self.send_header("ETag", file.etag)
                if file.length:
                    self.send_header("Content-Length", str(total - start))
                self.end_headers()
                body = file.content[start:]
                self.wfile.write(body[: file.cuts.pop(0)] if file.cuts else body)

        return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("ASSAY_MIRROR", raising=False)
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))
    return tmp_path / "cache" / "weights"


def weights(site: Site | None = None, content: bytes = CONTENT, **fields: Any) -> Weights:
    if site is not None:
        fields.setdefault("url", f"{site.address}/net.pth")
    return Weights(**{"format": "torch", "sha256": sha256(content), **fields})


def get(w: Weights) -> Path:
    return fetch.fetch(w, silent())


def kept(cache: Path) -> list[str]:
    """Cached files besides locks."""
    return sorted(path.name for path in cache.glob("*") if path.suffix != ".lock")


def test_downloaded_once_then_cached(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File()
    path = get(weights(site))
    assert path.read_bytes() == CONTENT
    assert path.suffix == ".pth"
    assert get(weights(site)) == path
    assert len(site.asked) == 1
    assert kept(cache) == [path.name]


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', None])
def test_a_cut_connection_is_resumed(site: Site, etag: str | None) -> None:
    site.files["/net.pth"] = File(cuts=[100_000, 50_000], etag=etag)
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert site.asked[1][1].get("If-Range") == ('"v1"' if etag == '"v1"' else None)


class Recorded:
    """A progress that notes (total, done) of each step."""

    def __init__(self) -> None:
        self.steps: list[list[float]] = []

    @contextmanager
    def step(self, label: str, total: float) -> Iterator[Recorded]:
        assert label == "Downloading net.pth (MB)"
        self.steps.append([total, 0.0])
        yield self

    def advance(self, amount: float = 1.0) -> None:
        self.steps[-1][1] += amount

    def say(self, text: str) -> None:
        raise AssertionError(text)


def test_progress_is_of_the_whole_file(site: Site) -> None:
    site.files["/net.pth"] = File(cuts=[100_000])
    progress = Recorded()
    fetch.fetch(weights(site), progress)
    np.testing.assert_allclose(progress.steps, [[0.3, 0.1], [0.3, 0.3]])


def test_bytes_that_arrive_start_the_count_of_tries_again(site: Site) -> None:
    site.files["/net.pth"] = File(cuts=[10_000] * 20)
    assert get(weights(site)).read_bytes() == CONTENT


def test_a_later_call_resumes(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(LoadError, match="goes on where it stopped"):
        get(weights(site))
    assert (cache / f"{sha256(CONTENT)[:16]}-net.pth.part").stat().st_size == 100_000
    site.files["/net.pth"].cuts.clear()
    site.asked.clear()
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=100000-"]


def test_a_server_without_ranges_restarts(site: Site) -> None:
    site.files["/net.pth"] = File(cuts=[100_000], ranges=False)
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=100000-"]


def test_content_that_changed_restarts(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(OTHER, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(LoadError):
        get(weights(site))
    site.files["/net.pth"] = File(etag='"v2"')
    site.asked.clear()
    assert get(weights(site)).read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_content_that_changed_unnoticed_is_loaded_once_more(site: Site) -> None:
    site.files["/net.pth"] = File(OTHER, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(LoadError):
        get(weights(site))
    site.files["/net.pth"] = File(etag='"v2"', honour_if_range=False)
    site.asked.clear()
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=100000-", None]


def test_a_part_that_is_whole_already_is_used(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File()
    cache.mkdir(parents=True)
    (cache / f"{sha256(CONTENT)[:16]}-net.pth.part").write_bytes(CONTENT)
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == [f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_too_long_restarts(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File()
    cache.mkdir(parents=True)
    (cache / f"{sha256(CONTENT)[:16]}-net.pth.part").write_bytes(CONTENT + b"more")
    assert get(weights(site)).read_bytes() == CONTENT


def test_a_wrong_digest_is_refused_and_nothing_stays(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(OTHER)
    with pytest.raises(UnsafeFileError, match=f"{sha256(OTHER)}.*{sha256(CONTENT)} was expected"):
        get(weights(site))
    assert kept(cache) == []
    assert len(site.asked) == 1


def test_a_web_page_in_place_of_the_file_is_named(site: Site) -> None:
    site.files["/net.pth"] = File(b"\n<!DOCTYPE html><title>Virus scan warning</title>")
    with pytest.raises(UnsafeFileError, match="a web page instead of the file"):
        get(weights(site))


def test_another_size_is_refused_before_the_download(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File()
    with pytest.raises(UnsafeFileError, match="has 300000 bytes, and 7 were expected"):
        get(weights(site, bytes=7))
    assert kept(cache) == []


def test_an_endless_file_is_cut_off(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(CONTENT * 100, length=False)
    with pytest.raises(UnsafeFileError, match="was expected"):
        get(weights(site, bytes=len(CONTENT)))
    assert kept(cache) == []


def test_without_a_length_the_digest_decides(site: Site) -> None:
    site.files["/net.pth"] = File(length=False, cuts=[5_000])
    with pytest.raises(UnsafeFileError):
        get(weights(site))
    assert get(weights(site)).read_bytes() == CONTENT


def test_a_busy_server_is_tried_again(site: Site) -> None:
    site.files["/net.pth"] = File(statuses=[500, 503, 429])
    assert get(weights(site)).read_bytes() == CONTENT
    assert len(site.asked) == 4


def test_a_server_that_stays_busy_is_given_up(site: Site) -> None:
    site.files["/net.pth"] = File(statuses=[503] * 9)
    with pytest.raises(LoadError, match="503 Service Unavailable"):
        get(weights(site))
    assert len(site.asked) == 4


@pytest.mark.parametrize(("status", "words"), [(404, "do not exist"), (403, "was refused.*403 Forbidden")])
def test_a_refusal_is_not_tried_again(site: Site, status: int, words: str) -> None:
    site.files["/net.pth"] = File(statuses=[status])
    with pytest.raises(LoadError, match=words):
        get(weights(site))
    assert len(site.asked) == 1


def test_redirects_are_followed_to_http_only(site: Site) -> None:
    site.files |= {"/net.pth": File(redirect="/there"), "/there": File()}
    assert get(weights(site)).read_bytes() == CONTENT
    site.files["/other.pth"] = File(redirect="file:///etc/hostname")
    with pytest.raises(LoadError, match="cannot be downloaded"):
        get(weights(site, OTHER, url=f"{site.address}/other.pth"))
    site.files["/circle.pth"] = File(redirect="/circle.pth")
    with pytest.raises(LoadError, match="redirects"):
        get(weights(site, OTHER, url=f"{site.address}/circle.pth"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/net.pth", "file:///etc/hostname", "/etc/hostname"])
def test_only_http_addresses(url: str) -> None:
    with pytest.raises(UsageError, match="not an http or https address"):
        get(weights(url=url))


def test_offline_says_so() -> None:
    with pytest.raises(LoadError, match=r"could not be downloaded.*ASSAY_MIRROR"):
        get(weights(url="http://127.0.0.1:9/net.pth"))


def test_a_file_shipped_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PACKAGE", tmp_path)
    (tmp_path / "zoo.safetensors").write_bytes(CONTENT)
    assert get(weights(package="zoo.safetensors")).read_bytes() == CONTENT
    with pytest.raises(UnsafeFileError, match="was expected"):
        get(weights(content=OTHER, package="zoo.safetensors"))
    with pytest.raises(LoadError, match="is missing"):
        get(weights(package="gone.safetensors"))


@pytest.mark.parametrize("name", ["mine.pth", "net.pth", sha256(CONTENT)])
def test_a_mirror_folder_is_used_in_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MIRROR", str(tmp_path))
    (tmp_path / name).write_bytes(CONTENT)
    assert get(weights(file="mine.pth", url="http://127.0.0.1:9/a/net.pth?x=1")) == tmp_path / name


def test_a_mirror_folder_with_another_file_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MIRROR", str(tmp_path))
    (tmp_path / "mine.pth").write_bytes(OTHER)
    with pytest.raises(UnsafeFileError, match="was expected"):
        get(weights(file="mine.pth"))
    (tmp_path / sha256(CONTENT)).write_bytes(CONTENT)
    assert get(weights(file="mine.pth")).name == sha256(CONTENT)


def test_a_mirror_folder_without_the_file_leaves_the_address(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_MIRROR", str(tmp_path))
    site.files["/net.pth"] = File()
    assert get(weights(site)).read_bytes() == CONTENT
    with pytest.raises(LoadError, match="no address"):
        get(weights(content=OTHER, file="mine.pth"))
    monkeypatch.setenv("ASSAY_MIRROR", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="neither a folder"):
        get(weights(content=OTHER, file="mine.pth"))


def test_a_mirror_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MIRROR", f"{site.address}/all/")
    site.files["/all/net.pth"] = File()
    w = weights(file="my net.pth", url="http://127.0.0.1:9/net.pth")
    assert get(w).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == ["/all/my%20net.pth", "/all/net.pth"]
    with pytest.raises(LoadError, match="do not exist"):
        get(weights(content=OTHER, file="mine.pth"))


@pytest.mark.parametrize("file", ["../net.pth", "a/net.pth", "..", "a\\net.pth"])
def test_file_names_stay_in_their_folder(file: str) -> None:
    with pytest.raises(UsageError, match="not a plain file name"):
        get(weights(file=file))


def test_nothing_is_opened_without_a_digest(site: Site) -> None:
    site.files["/net.pth"] = File()
    with pytest.raises(UnsafeFileError, match="no SHA-256"):
        get(Weights(format="torch", url=f"{site.address}/net.pth"))
    assert site.asked == []


def test_the_first_digits_of_a_digest(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(cuts=[1000])
    w = Weights(format="torch", url=f"{site.address}/net.pth")
    assert fetch.fetch(w, silent(), digest_start=sha256(CONTENT)[:8]).read_bytes() == CONTENT
    with pytest.raises(UnsafeFileError, match="was expected"):
        fetch.fetch(w, silent(), digest_start=sha256(OTHER)[:8])
    with pytest.raises(UnsafeFileError, match="no SHA-256"):
        fetch.fetch(w, silent(), digest_start=sha256(CONTENT)[:7])
    with pytest.raises(UnsafeFileError, match="was expected"):
        fetch.fetch(weights(site, OTHER), silent(), digest_start=sha256(CONTENT)[:8])


def test_a_damaged_cached_file_is_replaced(site: Site) -> None:
    site.files["/net.pth"] = File()
    path = get(weights(site))
    path.write_bytes(OTHER)
    assert get(weights(site)).read_bytes() == CONTENT
    path.write_bytes(OTHER)
    site.files.clear()
    with pytest.raises(LoadError):
        get(weights(site))
    assert not path.exists()


def test_several_at_once_download_once(site: Site) -> None:
    site.files["/net.pth"] = File(delay=0.2)
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(get(weights(site)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 6
    assert len(site.asked) == 1


def test_a_killed_process_leaves_nothing_half_trusted(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File(cuts=[100_000, 0, 0, 0, 0, 0, 0])
    code = (
        "from assay.base.progress import silent; from assay.catalogue.weights import Weights; "
        "from assay.targets.fetch import fetch; "
        f"fetch(Weights(format='torch', url={weights(site).url!r}, sha256={sha256(CONTENT)!r}), silent())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    part = cache / f"{sha256(CONTENT)[:16]}-net.pth.part"
    for _ in range(2000):
        if part.exists() and part.stat().st_size == 100_000:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept(cache) == [part.name, f"{part.name}.etag"]
    site.files["/net.pth"].cuts.clear()
    site.asked.clear()
    assert get(weights(site)).read_bytes() == CONTENT
    assert site.ranges() == ["bytes=100000-"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(site: Site, cache: Path) -> None:
    site.files["/net.pth"] = File()
    cache.mkdir(parents=True)
    (cache / f"{sha256(CONTENT)[:16]}-net.pth.part").symlink_to("/dev/full")
    with pytest.raises(LoadError, match=r"could not be saved in .*: the disk is full"):
        get(weights(site))


def test_a_cache_that_cannot_be_written(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(LoadError, match="cannot be written"):
        get(weights(site))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch.cache_folder() == tmp_path / "assay"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch.cache_folder() == tmp_path / ".cache" / "assay"


@pytest.mark.data
@pytest.mark.skipif(MIRROR is None, reason="needs the public models that ASSAY_MIRROR names")
def test_a_real_model_from_the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MIRROR", str(MIRROR))
    digest = "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"
    path = get(Weights(format="torch", sha256=digest, file="akamaster_resnet20-12fca82f.th"))
    assert sha256(path.read_bytes()) == digest
