"""How much of a machine this process may use, and how its threads wait."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def wait_passively() -> None:
    """Have OpenMP's threads sleep while they wait for each other, unless the user has decided on it.

    Threads that spin, as they do by default, take the cores from the very threads they wait for as soon as another
    process is busy: a training step then takes 5 to 100 times as long. OpenMP reads the variable once, when it is
    loaded: this must come before torch is imported. Child processes inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def available_cores(root: Path = CGROUP) -> int:
    """Cores that this process may run on: its affinity, less what the quota of its control group takes; at least 1."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affine, int(_quota(root) or affine)))


def _quota(root: Path) -> float | None:
    """Cores' worth of time that the control group may use; None where there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit, length = (int((root / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return None if limit <= 0 else limit / length
    except (OSError, ValueError, ZeroDivisionError):
        return None
