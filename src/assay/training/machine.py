"""How a network is trained on this machine: threads, memory layout and precision, by measuring a few of its steps.

What was chosen is kept in the cache, one file for each machine and network, because it changes the last digits of
every number: the same training on the same machine is done in the same way for good. Remove the folder ``machine`` of
the cache to have it measured again.
"""

from __future__ import annotations

import copy
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from pydantic import ValidationError

from assay.base.cores import available_cores
from assay.base.digests import digest_json
from assay.base.frozen import Frozen
from assay.targets.fetch import cache_folder

SAMPLE = 32
"""Images of a batch that steps are measured on, at most."""

TIMED = 3
"""Steps of each kind that are timed, after one that is not; the fastest counts."""

SMALL = 0.004
"""A step that takes less than so many seconds on one thread is left as it is: threads cost more than they bring. Of
those that take less than a quarter of it nothing is kept."""

THREADS_PAY = 1.25
"""How many times as fast more threads must be. Beside other processes fewer threads suffer less."""

LAYOUT_PAYS = 1.1
HALF_PAYS = 1.3
"""How many times as fast bfloat16 must be: it rounds to 8 bits."""


class Way(Frozen):
    """How steps are taken: with so many ``threads``, in ``bfloat16`` or float32, channels last or first in memory.

    ``seconds`` are those of the steps that were measured, by what was tried; ``machine`` and ``images`` say where and
    on what.
    """

    threads: int
    bfloat16: bool = False
    channels_last: bool = False
    seconds: dict[str, float] = {}
    machine: str = ""
    images: tuple[int, ...] = ()

    def laid_out(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, c, h, w) as the network is given them."""
        if images.ndim != 4 or not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)


_KNOWN: dict[Path, Way] = {}


def way_to_train(module: torch.nn.Module, images: torch.Tensor, *, exact: bool) -> Way:
    """How to train a network on a processor, given a batch of what it takes; measured once for each machine.

    No more threads are used than PyTorch is set to (by ``OMP_NUM_THREADS``, say), than the process may run on, or than
    its control group's quota allows. ``exact`` leaves precision and layout as they are. The network is not changed.
    """
    limit = min(torch.get_num_threads(), available_cores())
    sample = images[:SAMPLE].detach()
    file = cache_folder() / "machine" / f"{_identity(module, sample, limit, exact)}.json"
    if file not in _KNOWN:
        _KNOWN[file] = _read(file) or _keep(_measured(module, sample, limit, exact), file)
    return _KNOWN[file]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch with so many threads, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor() -> str:
    """The processor's name and what it can multiply in bfloat16 with: ``AMD EPYC (avx512_bf16)``."""
    name, kinds = platform.processor() or platform.machine(), ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        name = facts.get("model name", name)
        flags = facts.get("flags", "").split()
        kinds = " ".join(flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags)
    return f"{name} ({kinds})" if kinds else name


def _identity(module: torch.nn.Module, images: torch.Tensor, limit: int, exact: bool) -> str:
    layers = [type(layer).__name__ for layer in module.modules()]
    shapes = [(tuple(p.shape), p.requires_grad) for p in module.parameters()]
    where = [processor(), torch.__version__, limit, exact]
    return digest_json({"layers": layers, "shapes": shapes, "images": tuple(images.shape), "where": where})[:32]


def _read(file: Path) -> Way | None:
    try:
        return Way.model_validate_json(file.read_text())
    except (OSError, ValidationError):
        return None


def _keep(way: Way, file: Path) -> Way:
    """Write a choice, unless another process has written its own meanwhile: then that one; the first counts."""
    if way.seconds.get("float32", SMALL) < SMALL / 4:  # whatever the clock says next time, it comes to the same
        return way
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(way.model_dump_json(indent=1))
        try:
            os.link(partial, file)
        except FileExistsError:
            if (first := _read(file)) is not None:
                return first
            partial.replace(file)
        return way
    except OSError:  # a cache that cannot be written: the choice holds for this process
        return way
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _measured(module: torch.nn.Module, images: torch.Tensor, limit: int, exact: bool) -> Way:
    seconds: dict[str, float] = {}
    facts = {"seconds": seconds, "machine": processor(), "images": tuple(images.shape)}
    way = Way(threads=1)
    best = seconds["float32"] = _seconds(module, images, way)
    if best < SMALL:
        return Way(threads=1, **facts)
    if not exact and images.ndim == 4:
        last = Way(threads=1, channels_last=True)
        half = Way(threads=1, channels_last=True, bfloat16=True)
        seconds["channels last"], seconds["bfloat16"] = _seconds(module, images, last), _seconds(module, images, half)
        if best > LAYOUT_PAYS * seconds["channels last"]:
            way, best = last, seconds["channels last"]
        if best > HALF_PAYS * seconds["bfloat16"]:
            way, best = half, seconds["bfloat16"]
    count = 2
    while count <= limit:
        wider = way.model_copy(update={"threads": count})
        seconds[f"{count} threads"] = _seconds(module, images, wider)
        if best < THREADS_PAY * seconds[f"{count} threads"]:
            break
        way, best = wider, seconds[f"{count} threads"]
        count *= 2
    return way.model_copy(update=facts)


def _seconds(module: torch.nn.Module, images: torch.Tensor, way: Way) -> float:
    """Seconds of a step of a copy of the network: of the process with one thread, of the clock with more."""
    clock = time.process_time if way.threads == 1 else time.perf_counter
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), threads(way.threads):
        network = copy.deepcopy(module).train()
        params = [p for p in network.parameters() if p.requires_grad]
        lay_out(params, way)
        batch, taken = way.laid_out(images), []
        for _ in range(1 + TIMED):
            start = clock()
            with torch.autocast("cpu", torch.bfloat16, enabled=way.bfloat16):
                value = network(batch).float().square().mean()
            torch.autograd.grad(value, params, allow_unused=True)
            taken.append(clock() - start)
    return min(taken[1:])


def lay_out(params: list[torch.nn.Parameter], way: Way) -> None:
    """Kernels in memory as images are."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    for p in params:
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=layout)
