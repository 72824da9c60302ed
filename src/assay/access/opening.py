"""The one door: from a reference to a `Target`, be it a model's or a service's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import torch

from assay.access.remote.address import PROTOCOL, is_loopback, parse_address
from assay.access.remote.client import Client
from assay.access.remote.labels import Arranged, arrange
from assay.access.remote.service import SERVICES, Service
from assay.access.remote.write_ahead import Receipts
from assay.base.digests import digest_json
from assay.base.errors import DataError, UsageError
from assay.base.progress import Progress, silent
from assay.data.formats.registry import load_dataset
from assay.data.images import Shape
from assay.data.sources import Parts, load_parts
from assay.targets.reference import load_target, pick_device
from assay.targets.service_file import is_service_file, read_service_file
from assay.targets.target import Target


@dataclass(frozen=True)
class Terms:
    """On which terms a service is asked.

    ``live`` allows that images leave this machine. ``budget`` is the most images that one workspace ever asks of the
    address. ``price_per_1000`` (US dollars) is what the service charges, where it does not say.
    """

    live: bool = False
    budget: int | None = None
    price_per_1000: float | None = None


NO_TERMS = Terms()

MAPPED = "json"
"""The scheme of a target file with a ``[service]``."""


def check_terms(reference: str, terms: Terms) -> None:
    """No-op if a reference may be opened on these terms; nothing is asked.

    Raises:
        UsageError: if it is a service that is not understood or takes other terms, or a model, which takes none.
    """
    if is_service(reference):
        _admitted(reference, terms)
    elif terms != NO_TERMS:
        raise UsageError(f"live, budget and price are for services, and {reference} is none.")


def is_service(reference: str) -> bool:
    """Whether a reference names a service."""
    if is_service_file(reference):
        return True
    scheme, colon, _ = reference.partition(":")
    return bool(colon) and (scheme in ("http", "https") or scheme in SERVICES.names())


def open_target(
    reference: str,
    terms: Terms = NO_TERMS,
    *,
    ledgers: Path,
    data: str | None = None,
    suspects: str | None = None,
    drop_duplicates: bool = False,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> Target:
    """A model or a service made ready to be assessed.

    Args:
        reference: a service (``assay services`` lists them), or what `load_target` takes.
        terms: see `Terms`; they are for services only.
        ledgers: the folder of the services' ledgers.
        data: see `load_target`; a service brings none of its own.
        suspects: see `load_target`.
        drop_duplicates: see `load_target`.
        device: see `load_target`; for a service, where its copies are trained.
        seed: see `load_target`.
        progress: where to report to; nowhere by default.

    Raises:
        UsageError: if a service is not understood, or it would be asked without the terms that it takes.
        AssayError: if the target cannot be had.
    """
    check_terms(reference, terms)
    if not is_service(reference):
        return load_target(
            reference,
            data=data,
            suspects=suspects,
            drop_duplicates=drop_duplicates,
            device=device,
            seed=seed,
            progress=progress,
        )
    service = _admitted(reference, terms)
    data = data or _own_data(reference)
    if data is None:
        raise DataError(f"{service.address.shown} brings no data: name a data set or its path with --data (or data).")
    service.connect()
    parts = Parts(dataset=data, suspects=suspects, drop_duplicates=drop_duplicates)
    return _open_service(service, terms, ledgers, parts, pick_device(device), seed, progress or silent())


def _open_service(
    service: Service, terms: Terms, ledgers: Path, parts: Parts, device: torch.device, seed: int, report: Progress
) -> Target:
    """The target of a service that was connected to; the parts name a data set."""
    assert parts.dataset is not None, "a service brings no data of its own"
    price = _price(service, terms)
    names = _named_classes(service)
    shape = service.shape or _shape_of(parts.dataset, report)
    splits, found = load_parts(parts, shape, seed, report, service.reads)
    names = names or found
    service.settle(names)
    classes = _classes(service, names)
    receipts = Receipts(ledgers / f"{quote(service.address.shown, safe='')}.sqlite")
    report.say(_cost(service, receipts, price, terms.budget))
    client = Client(service, receipts, price_per_1000=price, budget=terms.budget)

    def answer(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(classes.rows(client.ask(images)))

    target = Target(
        name=service.address.shown,
        weights_digest=digest_json({"service": service.identity, "classes": classes.classes}),
        input_shape=shape,
        num_classes=len(classes.classes),
        logits=answer,
        answers=service.kind,
        modality=service.reads,
        class_names=classes.classes,
        device=device,
        serving={"output": service.output, "top_k": len(classes.classes), "price_per_1000": price},
        facts={"format": service.title, "ledger": receipts.path.name},
    )
    return target.with_splits(splits)


def _admitted(reference: str, terms: Terms) -> Service:
    address = parse_address(f"{MAPPED}:{reference}" if is_service_file(reference) else reference)
    kind = SERVICES.get(address.scheme)
    if kind.ended:
        raise UsageError(kind.ended)
    service = kind(address)
    address = service.address
    if not is_loopback(service.url) and (not terms.live or terms.budget is None):
        raise UsageError(
            f"{address.shown} is not on this machine: asking it sends your images to {service.url} and may cost money. "
            "Say --live and --budget N (in a study: live = true, budget = N; images, at most) if you want that and its "
            "terms of use allow it."
        )
    if terms.budget is not None and terms.budget < 1:
        raise UsageError(f"The budget must be 1 image or more, not {terms.budget}.")
    if terms.price_per_1000 is not None and not 0.0 <= terms.price_per_1000 < float("inf"):
        raise UsageError(f"The price must be 0 or more, not {terms.price_per_1000:g}.")
    return service


def _own_data(reference: str) -> str | None:
    """The data that a service's target file names, relative to the file."""
    if not is_service_file(reference):
        return None
    path = Path(reference).expanduser()
    own = read_service_file(path).data
    return own and Parts(dataset=own).anchored(path.resolve().parent).dataset


def _price(service: Service, terms: Terms) -> float:
    price = service.price_per_1000 if terms.price_per_1000 is None else terms.price_per_1000
    if price is None:
        if not is_loopback(service.url):
            raise UsageError(
                f"{service.address.shown} does not say what it charges: say --price, in US dollars per 1,000."
            )
        return 0.0
    return price


def _named_classes(service: Service) -> tuple[str, ...]:
    given = service.address.options.get("classes")
    return tuple(name.strip() for name in given.split(",")) if given else ()


def _shape_of(data: str, progress: Progress) -> Shape:
    dataset = load_dataset(data, progress=progress)
    part = dataset.train if dataset.train is not None else dataset.test
    assert part is not None, "a data set that was loaded has a part"
    return part.shape


def _classes(service: Service, names: tuple[str, ...]) -> Arranged:
    if service.address.scheme == PROTOCOL:
        return Arranged(service.classes, tuple(range(len(service.classes))))
    return arrange(service.classes, names, service.task, service.address.shown)


def _cost(service: Service, receipts: Receipts, price: float, budget: int | None) -> str:
    spent = receipts.totals()
    most = (
        f"at most {budget:,} images, at most {budget * price / 1000:,.2f} USD"
        if budget is not None
        else "no limit on the images"
    )
    return (
        f"{service.title} at {service.url}: {most}, at {price:g} USD per 1,000; {spent.images:,} images "
        f"({spent.price:,.2f} USD) were spent there from this workspace before."
    )
