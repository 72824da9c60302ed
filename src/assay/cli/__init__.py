"""The command line: one file per command group, no logic. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError
from rich.console import Console

from assay.base.errors import AssayError, UsageError

app = App(
    name="assay",
    help="Measure how stealable, leaky, backdoored and evadable a machine-learning model is, before you publish it.",
    suppress_keyboard_interrupt=False,  # main says what is kept
    version=lambda: __import__("importlib.metadata").metadata.version("modelassay"),
)
MODELS = frozenset(
    {
        "PIL",
        "altair",
        "duckdb",
        "fsspec",
        "httpx",
        "huggingface_hub",
        "multipart",
        "pandas",
        "prometheus_client",
        "python_multipart",
        "safetensors",
        "sklearn",
        "starlette",
        "timm",
        "torch",
        "torchvision",
        "uvicorn",
        "vl_convert",
    }
)
"""What the extra ``models`` brings, by the names that are imported."""

app.command("assay.cli.audit:audit", help="Assess models before they are published.")
app.command("assay.cli.init:init", help="Write a target file with what can be told of a model and its data.")
app.command("assay.cli.audit:run", help="Run one method on one model.")
app.command("assay.cli.methods:methods", help="List the methods, or show one: options, access, threat model, paper.")
app.command("assay.cli.serve:app", name="serve", help="Serve a model over HTTP, with keys, prices and budgets.")
app.command("assay.cli.services:services", help="List the prediction services that can be assessed.")
app.command("assay.cli.report:report", help="Write the reports of a workspace again.")
app.command("assay.cli.gate:gate", help="Hold a result against a policy: one verdict, for continuous integration.")
app.command("assay.cli.export:app", name="export", help="Results for model cards and hubs.")
app.command("assay.cli.explore:explore", help="Look through models, studies and correlations in a browser.")
app.command("assay.cli.catalogue:app", name="catalogue", help="Records of public models.")
app.command("assay.cli.study:app", name="study", help="Run a study: many models, many methods, from a file.")
app.command("assay.cli.analysis:app", name="analysis", help="Numbers over many models.")
app.command("assay.cli.recorded:app", name="recorded", help="Services by what they answered in the past.")
app.command("assay.cli.claims:claims", help="Published claims, and what the evidence makes of them.")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code.

    0 passed, 1 gate failed, 2 error, 3 nothing assessed, 4 usage. Errors are one sentence on standard error.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        result = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value", error_console=errors
        )
    except CycloptsError as error:
        errors.print(f"[bold red]assay:[/] {_escape(str(error))}", highlight=False)
        return UsageError.exit_code
    except AssayError as error:
        errors.print(f"[bold red]assay:[/] {_escape(str(error))}", highlight=False)
        return error.exit_code
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in MODELS:
            raise
        errors.print(
            f"[bold red]assay:[/] This command needs the library {missing}: "
            + _escape("pip install 'modelassay[models]'."),
            highlight=False,
        )
        return AssayError.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted. What was measured is kept; run the same command again to go on.")
        return 130
    return result if isinstance(result, int) else 0


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    sys.exit(main())
