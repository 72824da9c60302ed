"""The report on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.reports.answers import Answer
from assay.reports.decision import DEFAULT, PROFILES, Choice, Decision, concern
from assay.reports.format import asked, fact, metric_text, scale_text, words
from assay.reports.report import Report
from assay.reports.wording import SYMBOLS, UNMEASURED, AnswerLevel
from assay.studies.outcome import Outcome

STYLES: dict[AnswerLevel, str] = {
    "low": "green",
    "elevated": "yellow",
    "high": "bold red",
    "undecided": "dim",
    "not assessed": "dim",
}

CHOICE_STYLES: dict[Choice, str] = {
    "publish": "bold green",
    "fix first": "bold red",
    "not enough evidence": "bold yellow",
}
LONGEST = 40
"""Characters of a fact that is printed below the target's name."""


def print_summary(report: Report, console: Console, path: Path | None = None, profile: str = DEFAULT) -> None:
    """Print the target, the decision, the answers in order of concern, what failed, and where the report lies.

    Symbols and words carry the level, so that the table reads without colour.
    """
    decision = report.decision(profile)
    answers = concern(report.answers, decision)
    console.print(Text(report.target.name, style="bold"))
    facts = {words(name): fact(value) for name, value in report.target.facts.items() if not _nested(value)}
    if plain := [f"{name} {value}" for name, value in facts.items() if len(value) <= LONGEST]:
        console.print(Text(" · ".join(plain), style="dim"))
    console.print(_decision(decision))
    if report.last_release is not None:
        console.print(Text(report.last_release.sentence))
    console.print(_table(report, answers))
    for answer in answers:
        if answer.level in ("elevated", "high"):
            console.print(Text(f"{SYMBOLS[answer.level]} {answer.sentence}"))
            if remedy := report.remedy(answer.family):
                console.print(Text(f"  {remedy.sentence}"))
                if remedy.cheapest:
                    console.print(Text(f"  {remedy.cheapest.command}", style="dim"), soft_wrap=True)
            elif answer.family in UNMEASURED:
                console.print(Text(f"  {UNMEASURED[answer.family]}"))
    console.print(Text(report.summary))
    for outcome in report.unfinished:
        console.print(_unfinished(outcome))
    if path is not None:
        console.print(Text(f"Report: {path}"), soft_wrap=True)


def _decision(decision: Decision) -> Text:
    title = PROFILES[decision.profile].title
    return Text.assemble(
        (decision.choice.capitalize(), CHOICE_STYLES[decision.choice]), f" ({title}): {decision.reason}"
    )


def _table(report: Report, answers: Sequence[Answer]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("question, method", min_width=20)
    table.add_column("number", min_width=20)
    table.add_column("queries", justify="right", no_wrap=True)
    for answer in answers:
        outcome = report.deciding(answer)
        verdict = Text(f"{SYMBOLS[answer.level]} {answer.level}", style=STYLES[answer.level])
        question = Text.assemble(answer.question, "\n", (_method(answer, outcome), "dim"))
        standing = report.standing(answer.family)
        last = report.before(answer.decided_by, answer.metric)
        beside = [f"last release {metric_text(last)}" if last else "", standing.sentence if standing else ""]
        number = _number(answer, *beside)
        table.add_row(verdict, question, *((number, asked(outcome)) if outcome else ("", "")))
    return table


def _number(answer: Answer, *beside: str) -> Text:
    told = [answer.metric.label, scale_text(answer.metric), *beside] if answer.metric else [""]
    return Text.assemble(metric_text(answer.metric), *(("\n" + line, "dim") for line in told if line))


def _method(answer: Answer, outcome: Outcome | None) -> str:
    if outcome is None:
        return answer.sentence
    return outcome.method.title + (f" (worst of {answer.done})" if answer.done > 1 else "")


def _unfinished(outcome: Outcome) -> Text:
    style = "red" if outcome.status == "failed" else "dim"
    return Text.assemble((outcome.status, style), f"  {outcome.method.title}: {outcome.reason}")


def _nested(value: object) -> bool:
    return isinstance(value, dict | list | tuple)
