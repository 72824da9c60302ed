"""The fuzzer: its good files are good, it notices what it is there to notice, and 200 mutations do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from assay.base.errors import LoadError
from tools.fuzz.kinds import KINDS
from tools.fuzz.run import BAD, Case, Seeds, cases, run
from tools.fuzz.worker import _note, _one

MUTATIONS = 200


@pytest.mark.parametrize("name", KINDS)
def test_good_files_open(name: str, tmp_path: Path) -> None:
    KINDS[name].make(tmp_path)
    if name == "torch-code":
        with pytest.raises(Exception, match=r"holds code \(posix\.system\)"):
            KINDS[name].open(tmp_path)
    else:
        KINDS[name].open(tmp_path)


def test_a_case_is_drawn_from_its_name(tmp_path: Path) -> None:
    for at, seeds in enumerate((Seeds(tmp_path / "one"), Seeds(tmp_path / "two"))):
        seeds.mutated(Case("policy", 7), tmp_path / f"{at}")
    one, two = ((tmp_path / at / "policy.toml").read_bytes() for at in "01")
    assert one == two
    assert one != (tmp_path / "one" / "policy" / "policy.toml").read_bytes()


def test_what_must_not_happen_is_noticed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    def raising(error: Exception) -> str:
        def open_it(folder: Path) -> None:
            raise error

        return str(_one(open_it, tmp_path, canary)["outcome"])

    assert raising(LoadError("It is damaged.")) == "refused"
    assert raising(LoadError("")) == "unreadable"
    assert raising(ZeroDivisionError("odd")) == "traceback"
    assert raising(MemoryError()) == "memory"
    _note(canary, "open", ("a", "r", 0))
    assert raising(LoadError("It is damaged.")) == "refused"
    _note(canary, "os.system", (b"touch x",))
    assert raising(LoadError("It is damaged.")) == "executed"
    assert not canary.exists()


def test_code_that_runs_in_a_child_is_noticed(tmp_path: Path) -> None:
    """The worker's hook is inherited by the children of the fence."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom tools.fuzz.worker import _note\n"
        "from assay.base.fence import try_first\n"
        "sys.addaudithook(lambda event, given: _note(Path('canary'), event, given))\n"
        "try_first(lambda: os.system('true'), Path(sys.argv[0]) if sys.argv[0] != '-c' else Path('canary.py'))\n"
    )
    (tmp_path / "canary.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert "os.system" in (tmp_path / "canary").read_text()


def test_mutations_do_no_harm(tmp_path: Path) -> None:
    found = [(case.name, found) for case, found in run(cases(MUTATIONS, seed=2026), tmp_path / "bad")]
    assert len(found) == MUTATIONS
    assert [each for each in found if each[1]["outcome"] in BAD] == []
    counts = Counter(each["outcome"] for _, each in found)
    assert counts["refused"] > MUTATIONS // 3
    assert counts["opened"] > MUTATIONS // 20
