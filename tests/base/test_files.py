"""Files are replaced whole or not at all, and locks hold between processes, whatever the platform has."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from assay.base import locks
from assay.base.files import replacing, sweep, write_bytes, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_text(file, "one\n")
    write_text(file, "é\n")
    assert file.read_bytes() == "é\n".encode()
    write_bytes(file, b"\x00")
    assert file.read_bytes() == b"\x00"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_raises_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write_text(file, "old")

    def interrupted() -> None:
        with replacing(file) as temporary:
            temporary.write_text("half")
            assert file.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("os.fsync", lambda descriptor: seen.append((tmp_path / "a").exists()))
    write_text(tmp_path / "a", "text")
    assert seen == [False, True]  # the content, and then the folder's names
    write_bytes(tmp_path / "a", b"", durable=False)
    assert seen == [False, True]


def test_what_the_killed_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom assay.base.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], env=environment)
    (killed,) = tmp_path.glob(".a.*")
    living = killed.with_name(f"{killed.name.rpartition('-')[0].rpartition('-')[0]}-{os.getpid()}-1.partial")
    living.touch()
    write_text(tmp_path / "a", "text")
    assert living.exists()
    assert not killed.exists()
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == [".a.", ".b.", "a"]
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "a"]


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "key", mode=0o600) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_lock_keeps_others_out_until_its_file_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    with place.open("w") as first:
        locks.lock(first)
        with place.open("r") as second:
            assert not locks.try_lock(second)
            assert not locks.try_lock(second, shared=True)
    with place.open("r") as first, place.open("r") as second, place.open("r") as third:
        assert locks.try_lock(first, shared=True)
        assert locks.try_lock(second, shared=True)
        assert not locks.try_lock(third)


def test_where_there_is_no_fcntl_a_byte_beyond_the_file_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A double of Windows' module: its locks are of bytes at the place of the descriptor, and held alone."""
    held: dict[str, int] = {}

    def locking(descriptor: int, mode: int, count: int) -> None:
        import os

        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        assert (mode, count) == (2, 1)
        assert place > 1 << 30
        if held:
            raise OSError(13, "Permission denied")
        held["by"] = descriptor

    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: held.clear())
    (tmp_path / "f").write_text("content")
    with (tmp_path / "f").open("rb") as first, (tmp_path / "f").open("rb") as second:
        assert locks.try_lock(first)
        assert not locks.try_lock(second)
        locks.lock(second)
        assert second.read() == b"content"
    monkeypatch.setattr(locks, "msvcrt", None)
    with (tmp_path / "f").open("rb") as first, pytest.raises(OSError, match=r"[Ll]ock"):
        locks.try_lock(first)


def test_assay_imports_where_there_is_no_fcntl() -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import assay, assay.cli, assay.studies.coordinator, assay.studies.prune, assay.server.keys\n"
        "import assay.access.remote, assay.targets.fetch, assay.training.engine\n"
        "from assay.base import locks; assert locks.fcntl is None"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
