"""The command line: one file per command group, no logic. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cyclopts import App
from rich.console import Console

from assay.base.errors import AssayError
from assay.base.printable import printable
from assay.cli.explained import explained

app = App(
    name="assay",
    help="Measure how stealable, leaky, backdoored and evadable a machine-learning model is, before you publish it.",
    suppress_keyboard_interrupt=False,  # main says what is kept
    version=lambda: __import__("importlib.metadata").metadata.version("modelassay"),
)


class Terminated(KeyboardInterrupt):
    """Somebody sent SIGTERM, as schedulers do before they kill: everything ends as by Ctrl-C."""


app.command("assay.cli.audit:audit", help="Assess models before they are published.")
app.command("assay.cli.init:init", help="Write a target file with what can be told of a model and its data.")
app.command("assay.cli.audit:run", help="Run one method on one model.")
app.command("assay.cli.methods:methods", help="List the methods, or show one: options, access, threat model, paper.")
app.command("assay.cli.serve:app", name="serve", help="Serve a model over HTTP, with keys, prices and budgets.")
app.command("assay.cli.services:services", help="List the prediction services that can be assessed.")
app.command("assay.cli.report:report", help="Write the reports of a workspace again.")
app.command("assay.cli.gate:gate", help="Hold a result against a policy: one verdict, for continuous integration.")
app.command("assay.cli.attest:attest", help="Sign what was measured, for those who must rely on it.")
app.command("assay.cli.attest:verify", help="Check a signed statement, offline.")
app.command("assay.cli.replay:replay", help="Measure one number again: does it hold within its noise?")
app.command("assay.cli.export:app", name="export", help="Results for model cards and hubs.")
app.command("assay.cli.explore:explore", help="Look through models, studies and correlations in a browser.")
app.command("assay.cli.catalogue:app", name="catalogue", help="Records of public models.")
app.command("assay.cli.study:app", name="study", help="Run a study: many models, many methods, from a file.")
app.command("assay.cli.analysis:app", name="analysis", help="Numbers over many models.")
app.command("assay.cli.recorded:app", name="recorded", help="Services by what they answered in the past.")
app.command("assay.cli.claims:claims", help="Published claims, and what the evidence makes of them.")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code.

    0 passed, 1 gate failed, 2 error, 3 nothing assessed, 4 usage, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
    Errors are one sentence on standard error.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        with _terminable():
            result = app(
                arguments, exit_on_error=False, print_error=False, result_action="return_value", error_console=errors
            )
    except KeyboardInterrupt as end:
        word, code = ("Terminated", 143) if isinstance(end, Terminated) else ("Interrupted", 130)
        errors.print(f"{word}. What was measured is kept; run the same command again to go on.")
        return code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return AssayError.exit_code
    except Exception as error:
        sentence, code = explained(error)
        errors.print(f"[bold red]assay:[/] {_escape(sentence)}", highlight=False)
        return code
    return result if isinstance(result, int) else 0


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the block by `Terminated`, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))


if __name__ == "__main__":
    sys.exit(main())
