"""Where the four questions stand in public standards: ids of OWASP AISVS 1.0, the AI Testing Guide and NIST AI 100-2.

Every id was read in the standard's own repository (AISVS, AI Testing Guide), or in several independent listings of it
(NIST); techniques of MITRE ATLAS are in `assay.methods.about`. No id of the AI Testing Guide is given for siblings,
which it does not treat.
"""

from __future__ import annotations

from dataclasses import dataclass

from assay.methods.metric import Family

AISVS = "OWASP AISVS 1.0"
TESTING_GUIDE = "OWASP AI Testing Guide 1"
NIST = "NIST AI 100-2 E2025"
ATLAS = "MITRE ATLAS"


@dataclass(frozen=True)
class Ids:
    """What a method's number is evidence for: requirements of AISVS, tests of the guide, attacks of NIST."""

    aisvs: tuple[str, ...] = ()
    testing_guide: tuple[str, ...] = ()
    nist: tuple[str, ...] = ()


_BY_FAMILY: dict[Family, Ids] = {
    "stealing": Ids(("3.2.1", "6.1.4", "11.2.2", "11.3.2"), ("AITG-APP-09",), ("NISTAML.031",)),
    "membership": Ids(("3.2.1", "6.1.4", "11.2.5"), ("AITG-MOD-04",), ("NISTAML.033",)),
    "backdoor": Ids(("3.2.1", "6.1.4"), ("AITG-MOD-03",), ("NISTAML.023", "NISTAML.026")),
    "evasion": Ids(("3.2.1", "6.1.4", "11.1.3", "11.1.4"), ("AITG-MOD-01",), ("NISTAML.022",)),
    "siblings": Ids(("3.2.2",), (), ("NISTAML.022",)),
}
_BY_METHOD: dict[str, Ids] = {
    "stealing.ownership": Ids(("11.3.3",), ("AITG-APP-09",), ("NISTAML.031",)),
    "siblings.leakage": Ids(("3.2.2", "11.2.5"), ("AITG-MOD-04",), ("NISTAML.033",)),
}


def ids_of(method: str, family: Family, white_box: bool) -> Ids:
    """The ids of a method, by its name where it differs from its family."""
    found = _BY_METHOD.get(method, _BY_FAMILY[family])
    if family == "evasion" and not white_box:
        return Ids(found.aisvs, found.testing_guide, ("NISTAML.025",))
    return found


def tags_of(ids: Ids) -> tuple[str, ...]:
    """The ids as tags of an alert: ``aisvs:11.2.5``, ``AITG-MOD-04``, ``NISTAML.033``."""
    return (*(f"aisvs:{one}" for one in ids.aisvs), *ids.testing_guide, *ids.nist)
