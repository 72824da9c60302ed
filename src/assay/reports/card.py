"""What a report says to those who download the model: a section for its model card, and metadata for a hub."""

from __future__ import annotations

from typing import Any

from assay.reports.answers import verdict_metric
from assay.reports.format import asked, date, metric_text
from assay.reports.markdown import plain, table
from assay.reports.report import Report
from assay.studies.outcome import Outcome

TASK = "image-classification"
"""The hub's name of the task."""


def card_section(report: Report) -> str:
    """A section of a model card, in Markdown: the answers, then every method with its deciding number and effort."""
    until, versions = date(report.measured_until), ", ".join(sorted({o.versions["assay"] for o in report.outcomes}))
    lines = [
        "## Security and privacy assessment",
        "",
        plain(report.summary),
        "",
        *table(
            ("question", "answer", "because"),
            [(answer.question, answer.level, answer.sentence) for answer in report.answers],
        ),
        "",
        "Measured with:",
        "",
        *table(
            ("method", "access", "images asked", "measure", "value, 95 % interval"),
            [_row(outcome) for outcome in report.outcomes if outcome.status == "done"],
        ),
        "",
        *[f"- Not measured: {plain(f'{o.method.title}: {o.reason}')}" for o in report.unfinished],
        *([""] if report.unfinished else []),
        f"Assay {versions}, {until}{_identity(report)}. No answer clears the model: it says what these attacks found, "
        "at this effort, on these data.",
    ]
    return "\n".join(lines) + "\n"


def model_index(report: Report) -> str:
    """The ``model-index`` of a model card's metadata (YAML): the number that decided each method's verdict.

    A metric's type is the method's and the metric's name; its interval is among its arguments.
    """
    from huggingface_hub import EvalResult, ModelCardData

    parts = report.target.data
    data = (parts.get("non_members") or next(iter(parts.values()))).name.partition(" (")[0] if parts else "unknown"
    results = []
    for outcome in report.outcomes:
        metric = verdict_metric(outcome)
        if metric is None or metric.value is None:
            continue
        arguments: dict[str, Any] = {"n": metric.n, "unit": metric.unit or None, "seed": outcome.seed}
        if metric.interval is not None:
            low, high = float(metric.interval.low), float(metric.interval.high)
            arguments |= {"low": low, "high": high, "level": metric.interval.level, "interval": metric.interval.method}
        results.append(
            EvalResult(
                task_type=TASK,
                dataset_type=data.replace(" ", "-"),
                dataset_name=data,
                metric_type=f"{outcome.method.name}.{metric.name}",
                metric_value=float(metric.value),
                metric_name=f"{outcome.method.title}: {metric.label}",
                metric_args={name: value for name, value in arguments.items() if value is not None},
            )
        )
    return f"{ModelCardData(model_name=report.target.name, eval_results=results).to_yaml()}\n"


def _identity(report: Report) -> str:
    """The file that was measured, as ``sha256sum`` knows it; what Assay knows the network by where it had no file."""
    if report.file_digest:
        return f", SHA-256 of the weights file `{report.file_digest}`"
    return f", network `{report.target.weights_digest}` (Assay's own digest: it was not read from a file)"


def _row(outcome: Outcome) -> tuple[str, ...]:
    metric = verdict_metric(outcome)
    label = metric.label if metric else ""
    return outcome.method.title, outcome.method.access, asked(outcome), label, metric_text(metric)
