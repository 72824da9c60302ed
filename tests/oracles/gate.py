"""Exact and slow: what the gate's statistics are compared with, and the essentials of SARIF 2.1.0."""

from __future__ import annotations

from math import comb
from typing import Any


def exact_mcnemar(gained: int, lost: int) -> float:
    """The one-sided p-value of so many gains among the pairs that changed; McNemar, Psychometrika 12 (1947)."""
    changed = gained + lost
    return sum(comb(changed, k) for k in range(gained, changed + 1)) / 2**changed


def sarif_complaints(log: Any) -> list[str]:
    """What a SARIF log violates of what the standard's schema requires of the objects that we write."""
    wrong: list[str] = []

    def need(holds: bool, complaint: str) -> None:
        if not holds:
            wrong.append(complaint)

    need(log.get("version") == "2.1.0", "version")
    need(set(log) <= {"$schema", "version", "runs"}, "keys of the log")
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        need(isinstance(driver.get("name"), str) and bool(driver["name"]), "3.19.8 driver name")
        rules = driver["rules"]
        need(len({rule["id"] for rule in rules}) == len(rules), "3.49.3 rule ids are unique")
        for result in run["results"]:
            need(isinstance(result["message"]["text"], str) and bool(result["message"]["text"]), "3.27.11 message")
            need(result["kind"] in {"pass", "fail", "notApplicable", "open", "review", "informational"}, "3.27.9 kind")
            need(result["level"] in {"none", "note", "warning", "error"}, "3.27.10 level")
            need(result["kind"] == "fail" or result["level"] == "none", "3.27.10: only a failure has a level")
            need(rules[result["ruleIndex"]]["id"] == result["ruleId"], "3.27.6 rule index")
            need(all(isinstance(value, str) for value in result["partialFingerprints"].values()), "3.27.18")
            for location in result["locations"]:
                place = location["physicalLocation"]
                uri = place["artifactLocation"]["uri"]
                need(not set(uri) & set(' \\<>"{}|^`'), f"3.10.1 uri {uri}")
                need(isinstance(place["region"]["startLine"], int) and place["region"]["startLine"] >= 1, "3.30.5 line")
    return wrong
