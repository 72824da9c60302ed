"""A hostile model in a study: its units fail with the sentence, and the other models' are done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from assay.studies.plan import plan_methods
from assay.studies.units import Place, plan_target
from assay.studies.work import Event, Job, code_version, run_job
from assay.targets.architectures import build
from hostile.test_models import a_key_that_takes_for_ever_to_hash, a_loop_without_an_end, description


def test_hostile_models_fail_and_the_rest_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_OPEN_SECONDS", "3")
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (90, 8, 8), dtype=np.uint8), np.arange(90) % 3
    np.savez(tmp_path / "data.npz", x_train=images[:50], y_train=labels[:50], x_test=images[50:], y_test=labels[50:])
    places = []
    for name, make in (("loop", a_loop_without_an_end), ("key", a_key_that_takes_for_ever_to_hash), ("good", None)):
        folder = tmp_path / name
        folder.mkdir()
        if make is None:
            save_file(build("digits-mlp", 3, (1, 8, 8)).state_dict(), folder / "model.safetensors")
            file = folder / "model.safetensors"
        else:
            file = make(folder)
        places.append(Place(reference=str(description(folder, file)), data=str(tmp_path / "data.npz")))
    methods = plan_methods("quick", ["membership.metrics"])
    states: dict[str, str] = {}
    for place in places:
        events: list[Event] = []
        units = list(plan_target(place, methods, [{}], [0]))
        run_job(Job(units=units, workspace=str(tmp_path / "work"), code=code_version()), events.append)
        (last,) = [event for event in events if event.kind == "finished"]
        states[Path(place.reference).parent.name] = f"{last.state} {last.reason}"
    assert states["good"] == "done "
    assert "model.onnx takes more than 3 s to open" in states["loop"]
    assert "model.pt takes more than 3 s to open" in states["key"]
