"""Every option of ``assay audit`` and ``assay run`` reaches the audit, and one failure is an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay import api
from assay.cli import audit as command
from assay.cli import main

OPTIONS = {
    "data": ("digits", "digits"),
    "suspects": ("there", "there"),
    "device": ("cpu", "cpu"),
    "seed": ("7", 7),
    "budget": ("50", 50),
    "price": ("1.5", 1.5),
}


@dataclass(frozen=True)
class Prepared:
    """An audit that only notes how it is run."""

    target: Any
    call: dict[str, Any]
    began: float = 0.0

    def expected(self) -> list[Any]:
        return []

    def run(self, expected: list[Any], minutes: float | None, heard: Any) -> None:
        self.call.update(minutes=minutes)

    def measure_changes(self, audit: None, minutes: float | None) -> None:
        self.call.update(changed_within=minutes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What audits are asked for; none is made."""
    calls: list[dict[str, Any]] = []

    def kept(target: Any, **wanted: Any) -> Any:
        calls.append({"target": target, **wanted})
        return Prepared(SimpleNamespace(name=target), calls[-1])

    monkeypatch.setattr(api, "prepare", kept)
    monkeypatch.setattr(api, "expand", list)
    monkeypatch.setattr(command, "show", lambda audits, out, profile: calls[-1].update(profile=profile) or 0)
    return calls


def given(*more: str) -> list[str]:
    return [text for name, (value, _) in OPTIONS.items() for text in (f"--{name}", value)] + list(more)


@pytest.mark.parametrize("name", ["audit", "run"])
def test_every_option_arrives(name: str, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    audit = ["--preset", "full", "--method", "evasion.fgsm", "--minutes", "4", "--profile", "internal", "one"]
    own = audit if name == "audit" else ["evasion.fgsm", "one"]
    shared = ["--live", "--output", "label", "--policy", "rounding=2", "--set", "evasion.fgsm.max_images=9"]
    assert main([name, *own, *given(*shared, "--workspace", str(tmp_path / "w"))]) == 0
    (call,) = asked
    assert call["target"] == "one"
    assert tuple(call["methods"]) == ("evasion.fgsm",)
    assert call["preset"] == ("full" if name == "audit" else None)
    for option, (_, value) in OPTIONS.items():
        assert call["price_per_1000" if option == "price" else option] == value, option
    assert call["live"] is True
    assert (call["serving"]["output"], list(call["serving"]["policies"])) == ("label", ["rounding=2"])
    assert call["options"] == {"evasion.fgsm": {"max_images": 9}}
    assert call["workspace"].path == tmp_path / "w"
    assert call.get("changed_within") == (4 if name == "audit" else None)
    assert ("changed_within" in call) == (name == "audit")
    assert (call["minutes"], call["profile"]) == ((4, "internal") if name == "audit" else (None, "open-weights"))


def test_a_quick_audit_is_quick(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    shared = ["--workspace", str(tmp_path / "w")]
    assert main(["audit", "one", *shared]) == 0
    assert main(["audit", "one", "--preset", "standard", *shared]) == 0
    assert main(["audit", "one", "--method", "evasion.fgsm", *shared]) == 0
    assert main(["audit", "one", "--minutes", "30", *shared]) == 0
    assert [call["minutes"] for call in asked] == [8, None, None, 30]
    assert [call["changed_within"] for call in asked] == [None, None, None, 30]


def test_changes_are_left_alone_on_demand(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    assert main(["audit", "one", "--no-changes", "--workspace", str(tmp_path / "w")]) == 0
    assert "changed_within" not in asked[0]


@pytest.mark.parametrize(
    ("statuses", "code"), [(["done"], 0), (["done", "skipped"], 0), (["done", "failed"], 2), (["failed"], 2)]
)
def test_one_failure_is_the_exit_code(statuses: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "write_reports", lambda audits, out, profile: "report.html")
    monkeypatch.setattr("assay.reports.terminal.print_summary", lambda report, console, profile: None)
    outcomes = [SimpleNamespace(status=status) for status in statuses]
    audits: Any = [
        SimpleNamespace(report=None, reused=0, outcomes=outcomes),
        SimpleNamespace(report=None, reused=0, outcomes=[]),
    ]
    assert command.show(audits, None) == code
