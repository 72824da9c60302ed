"""``assay serve``: a target as a prediction service, and the keys of its clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from assay.cli.audit import Data, Device, Output, Policies

if TYPE_CHECKING:
    from assay.server.keys import KeyFile

app = App(name="serve", help="Serve a model over HTTP, with keys, prices and budgets.")
keys = App(name="keys", help="Keys of a service's clients; once there is one, a service asks for it.")
app.command(keys)

State = Annotated[Path, Parameter(help="Folder of the service's books: what was charged and answered, and its keys.")]
Keys = Annotated[
    Path | None, Parameter(name="--keys", help="The file of keys [default: keys.json in the state folder].")
]
Price = Annotated[float | None, Parameter(help="US dollars per 1,000 images.")]
Budget = Annotated[int | None, Parameter(help="Images that a client may ask about.")]
DEFAULT_STATE = Path("assay-service")


@app.default
def serve(
    reference: Annotated[str, Parameter(help="As for assay audit.")],
    /,
    *,
    host: Annotated[str, Parameter(help="Numeric address to listen at.")] = "127.0.0.1",
    expose: Annotated[bool, Parameter(help="Let other machines reach it, if the host does.", negative="")] = False,
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 8000,
    name: Annotated[str | None, Parameter(help="What clients call the model [default: its own name].")] = None,
    state: State = DEFAULT_STATE,
    keys: Keys = None,
    output: Output = None,
    policy: Policies = (),
    price: Price = None,
    budget: Budget = None,
    rate: Annotated[float, Parameter(help="Requests a second of one client.")] = 100.0,
    max_batch: Annotated[int, Parameter(help="Images in a request.")] = 256,
    max_body: Annotated[int, Parameter(help="MiB in a request.")] = 32,
    detector: Annotated[
        tuple[str, ...],
        Parameter(help="Watch each client: prada, or shift (which needs data); may be repeated.", negative=""),
    ] = (),
    data: Data = None,
    device: Device = "auto",
    log: Annotated[Path | None, Parameter(help="File of the log [default: standard error].")] = None,
) -> None:
    """Serve a model until it is told to stop (SIGTERM, Ctrl-C)."""
    from assay.base.progress import on_console
    from assay.server.start import Wishes, start

    given = {"output": output, "policies": policy or None, "price_per_1000": price, "budget": budget}
    start(
        reference,
        Wishes(
            host=host,
            exposed=expose,
            port=port,
            name=name,
            state=state,
            keys=keys,
            serving={option: value for option, value in given.items() if value is not None},
            limits={"rate": rate, "batch": max_batch, "body": max_body << 20},
            detectors=detector,
            data=data,
            device=device,
            log=log,
        ),
        on_console(),
    )


@keys.command
def add(
    name: Annotated[str, Parameter(help="Your word for the client.")],
    /,
    *,
    budget: Budget = None,
    price: Price = None,
    rate: Annotated[float | None, Parameter(help="Requests a second.")] = None,
    scope: Annotated[Literal["ask", "metrics"], Parameter(help="What it opens.")] = "ask",
    state: State = DEFAULT_STATE,
    keys: Keys = None,
) -> None:
    """Make a key and print it; it is shown this once. What is not given is as the service has it."""
    _, token = _file(state, keys).add(name, scope=scope, budget=budget, price_per_1000=price, rate=rate)
    print(token)


@keys.command(name="list")
def list_(*, state: State = DEFAULT_STATE, keys: Keys = None) -> None:
    """Keys, those in force first, with what they were given."""
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "id", "opens", "budget", "$ per 1,000", "rate", "made", "revoked", box=None)
    for key in sorted(_file(state, keys).read(), key=lambda key: (key.revoked is not None, key.name)):
        given = ["" if value is None else f"{value:g}" for value in (key.budget, key.price_per_1000, key.rate)]
        revoked = "" if key.revoked is None else f"{key.revoked:%Y-%m-%d}"
        table.add_row(key.name, key.id, key.scope, *given, f"{key.created:%Y-%m-%d}", revoked)
    Console().print(table)


@keys.command
def revoke(
    name: Annotated[str, Parameter(help="The key's name or id.")],
    /,
    *,
    state: State = DEFAULT_STATE,
    keys: Keys = None,
) -> None:
    """Take a key out of force; a running service notices at once."""
    key = _file(state, keys).revoke(name)
    print(f"{key.name} ({key.id}) is revoked.")


def _file(state: Path, keys: Path | None) -> KeyFile:
    from assay.server.keys import KeyFile

    return KeyFile(keys or state / "keys.json")
