"""A trial opening in a child process: what it raises is raised here, and what ends it ends nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.base import fence
from assay.base.errors import LoadError, UnsafeFileError, UsageError
from assay.base.fence import limits_for, try_first


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(b"weights")
    return tmp_path / "model.bin"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_OPEN_SECONDS", "1")
    monkeypatch.setattr(fence, "PATIENCE", 2.0)


def raises(error: BaseException) -> Callable[[], Any]:
    def work() -> None:
        raise error

    return work


def test_work_is_done_elsewhere_and_once(file: Path) -> None:
    def work() -> None:
        with (file.parent / "log").open("a") as log:
            log.write(f"{os.getpid()}\n")

    for _ in range(2):
        try_first(work, file)
    (done,) = (file.parent / "log").read_text().split()
    assert int(done) != os.getpid()
    file.write_bytes(b"other weights")
    try_first(work, file)
    try_first(work, file, "another way to open it")
    assert len((file.parent / "log").read_text().split()) == 3


def test_what_is_raised_there_is_raised_here(file: Path) -> None:
    with pytest.raises(UnsafeFileError, match=r"^model.bin holds code\.$"):
        try_first(raises(UnsafeFileError("model.bin holds code.")), file)
    with pytest.raises(LoadError, match=r"model.bin cannot be opened \(ZeroDivisionError: by zero\): it is damaged"):
        try_first(raises(ZeroDivisionError("by zero.\nand more")), file)
    with pytest.raises(LoadError, match="SystemExit"):
        try_first(raises(SystemExit(0)), file)
    with pytest.raises(LoadError, match=r"gone.bin cannot be read: No such file"):
        try_first(lambda: None, file.with_name("gone.bin"))


def test_memory_has_a_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadError, match=r"takes more than 1.5 GiB of memory to open.*ASSAY_OPEN_GB"):
        try_first(lambda: bytearray(64 << 30), file)
    monkeypatch.setenv("ASSAY_OPEN_GB", "0.1")
    with pytest.raises(LoadError, match=r"takes more than 0.1 GiB"):
        try_first(lambda: bytearray(200 << 20), file)
    monkeypatch.setenv("ASSAY_OPEN_GB", "0.5")
    try_first(lambda: bytearray(200 << 20), file)


@pytest.mark.usefixtures("brief")
def test_time_has_a_limit(file: Path) -> None:
    def spin() -> None:
        while True:
            pass

    began = time.monotonic()
    for work in (spin, lambda: time.sleep(60)):
        with pytest.raises(LoadError, match=r"takes more than 1 s to open.*ASSAY_OPEN_SECONDS"):
            try_first(work, file)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_a_sentence(file: Path, how: signal.Signals) -> None:
    with pytest.raises(LoadError, match=rf"crashes the library that reads it \({how.name}\)"):
        try_first(lambda: os.kill(os.getpid(), how), file)
    with pytest.raises(LoadError, match=r"crashes the library that reads it \(exit code 3\)"):
        try_first(lambda: os._exit(3), file)


def test_limits_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_for(1 << 30).memory == int(9.5 * (1 << 30))
    assert limits_for(1 << 30).seconds == 52
    monkeypatch.setenv("ASSAY_OPEN_SECONDS", "soon")
    with pytest.raises(UsageError, match="ASSAY_OPEN_SECONDS must be a number above 0, not 'soon'"):
        limits_for(0)


def test_a_process_with_threads_of_its_own_is_forked(file: Path) -> None:
    """OpenMP's threads are not in the child: whatever computes there must do so by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        images = torch.randn(64, 3, 32, 32)
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Flatten(), torch.nn.LazyLinear(10))
        network(images)
        try_first(lambda: network(images).softmax(1).sum().item(), file)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
