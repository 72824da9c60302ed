from __future__ import annotations

from pathlib import Path

import pytest

from assay.base.errors import LoadError, UsageError
from assay.reports.gate.policy import read_policy
from reports.gate.cases import RULE, policy


def test_a_policy_is_read_with_the_lines_of_its_rules(tmp_path: Path) -> None:
    read = policy(
        tmp_path, f"# ours\n{RULE}max = 0.5\nmax_increase = 0.1\n\n[[ rule ]]\nquestion='backdoor'\nworst='low'\n"
    )
    assert read.lines == (2, 8)
    assert [rule.subject for rule in read.rules] == ["evasion.fgsm success", "question: backdoor"]
    assert [rule.demand for rule in read.rules] == ["at most 0.5, rises by at most 0.1", "at worst low"]
    assert [rule.relative for rule in read.rules] == [1, 0]


def test_inline_rules_are_placed_on_the_first_line(tmp_path: Path) -> None:
    assert policy(tmp_path, "rule = [{ question = 'backdoor', worst = 'low' }]").lines == (1,)


WRONG = {
    "rules = []": "there is no key 'rules'; did you mean 'rule'?",
    "": "there is no rule",
    "rule = []": "at least 1",
    f"{RULE}maximum = 1": "rule 1: there is no key 'maximum'; did you mean 'max'",
    f"{RULE}max = 1\n{RULE.replace('fgsm', 'fgms')}max = 1": "rule 2: there is no method 'evasion.fgms'; did you mean",
    RULE: "rule 1: a rule needs a bound: min, max, max_increase, max_decrease",
    f"{RULE}max = nan": "rule 1: max: ",
    f"{RULE}max_increase = -0.1": "rule 1: max_increase: ",
    f"{RULE}min = 2\nmax = 1": "nothing could pass",
    f"{RULE}max = 1\nworst = 'low'": "belongs to a question",
    "[[rule]]\nmethod = 'evasion.fgsm'\nmax = 1": "say which metric",
    "[[rule]]\nquestion = 'backdor'\nworst = 'low'": "'backdor' is unknown; did you mean 'backdoor'?",
    "[[rule]]\nquestion = 'backdoor'\nworst = 'hihg'": "'hihg' is unknown; known: elevated, low, undecided.",
    "[[rule]]\nquestion = 'backdoor'": "say the worst level",
    "[[rule]]\nquestion = 'backdoor'\nworst = 'low'\nmax = 1": "no metric or bound",
    "[[rule]]\nmax = 1": "name a method and its metric, or a question",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy(tmp_path, text)
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_policy_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read"):
        read_policy(tmp_path / "missing.toml")
    with pytest.raises(LoadError, match="is not TOML"):
        policy(tmp_path, "[[rule")
