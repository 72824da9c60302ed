"""Published implementations, loaded from the developer's checkouts; nothing of them is kept here.

A folder holds one checkout per repository: ``privacy`` (tensorflow), ``ml_privacy_meter`` (privacytrustlab, with the
research code of its commit d3273416 below ``research``), ``membership-inference-evaluation`` (inspire-group),
``LeakPro`` (aidotse) and ``ML-Doctor`` (liuyugeng). What the numbers do not depend on (plots, TensorFlow, experiment
handling) is replaced by stand-ins, so that neither side pays for it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self
from unittest.mock import MagicMock

import numpy as np

LIRA = "privacy/research/mi_lira_2021/plot.py"
LIRA_SCORES = "privacy/research/mi_lira_2021/score.py"
METER = "ml_privacy_meter/attacks.py"
METER_RESEARCH = "ml_privacy_meter/research/2024_rmia/main.py"
SONG_MITTAL = "membership-inference-evaluation/membership_inference_attacks.py"
LEAKPRO = "LeakPro/leakpro/attacks/mia_attacks"
ML_DOCTOR = "ML-Doctor/doctor/modsteal.py"


def lira(folder: Path) -> ModuleType:
    """LiRA's authors: `generate_ours`, `generate_ours_offline`."""
    return _load(folder / LIRA, {"matplotlib": MagicMock(), "matplotlib.pyplot": MagicMock()})


def meter(folder: Path) -> ModuleType:
    """RMIA's authors, the library: `run_rmia`, `tune_offline_a`."""
    return _load(folder / METER, {})


def meter_research(folder: Path) -> ModuleType:
    """RMIA's authors, the code of the paper: `aggregate_signals`."""
    absent = dict.fromkeys(
        ("signals", "plot", "matplotlib", "matplotlib.pyplot", "pandas", "seaborn", "yaml"), MagicMock()
    )
    profiler = SimpleNamespace(profile=lambda function: function)
    return _load(folder / METER_RESEARCH, {**absent, "memory_profiler": profiler})


def song_mittal(folder: Path) -> ModuleType:
    """Song and Mittal: `black_box_benchmarks`."""
    return _load(folder / SONG_MITTAL, {})


def ml_doctor(folder: Path) -> ModuleType:
    """ML-Doctor's ModSteal: `train_steal_model`."""
    return _load(folder / ML_DOCTOR, {})


def leakpro(folder: Path, attack: str) -> Any:
    """LeakPro's `AttackLiRA` or `AttackRMIA` without its models and reports: an object to be given what it stores."""
    base = "leakpro.attacks.utils"
    absent = {
        "leakpro.attacks.mia_attacks.abstract_mia": SimpleNamespace(AbstractMIA=object),
        f"{base}.shadow_model_handler": MagicMock(),
        "leakpro.input_handler.mia_handler": MagicMock(),
        "leakpro.reporting.mia_result": MagicMock(),
        "leakpro.signals.signal": MagicMock(),
        "leakpro.signals.signal_extractor": MagicMock(),
        "leakpro.utils.import_helper": SimpleNamespace(Self=Self),
        "leakpro.utils.logger": MagicMock(),
    }
    if attack == "RMIA":
        absent[f"{base}.utils"] = _load(folder / "LeakPro/leakpro/attacks/utils/utils.py", {})
    kind = getattr(_load(folder / LEAKPRO / f"{attack.lower()}.py", absent), f"Attack{attack}")
    found = object.__new__(kind)
    found.configs = kind.AttackConfig()
    return found


def lira_phi(folder: Path, logits: np.ndarray, labels: np.ndarray, scratch: Path) -> np.ndarray:
    """What score.py makes of logits (examples, queries, augmentations, classes); it reads and writes files."""
    (scratch / "experiment-0" / "logits").mkdir(parents=True)
    np.save(scratch / "y_train.npy", labels)
    np.save(scratch / "experiment-0" / "logits" / "0.npy", logits)
    source = (folder / LIRA_SCORES).read_text().replace("\nload_stats()", "")
    arguments, sys.argv = sys.argv, ["score.py", str(scratch)]
    try:
        names: dict[str, Any] = {}
        exec(compile(source, LIRA_SCORES, "exec"), names)
        names["load_one"]("experiment-0")
    finally:
        sys.argv = arguments
    return np.asarray(np.load(scratch / "experiment-0" / "scores" / "0.npy"))


def _load(file: Path, absent: Mapping[str, Any]) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"published_{file.stem}", file)
    if spec is None or spec.loader is None or not file.exists():
        raise FileNotFoundError(f"no checkout at {file}")
    module = importlib.util.module_from_spec(spec)
    with _stand_ins(absent):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _stand_ins(absent: Mapping[str, Any]) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in absent}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
