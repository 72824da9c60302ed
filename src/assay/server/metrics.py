"""What a service counts, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency histogram, in seconds."""


class Counted(NamedTuple):
    """Help text and label names of a counter."""

    help: str
    labels: tuple[str, ...] = ()


COUNTERS = {
    "assay_requests_total": Counted("Requests, by route and status.", ("route", "status")),
    "assay_images_total": Counted("Images that were answered and charged."),
    "assay_replays_total": Counted("Requests that were answered again under the same id, free of charge."),
    "assay_refusals_total": Counted("Requests that were refused, by reason.", ("reason",)),
    "assay_alarms_total": Counted("Alarms of stealing detectors, by detector.", ("detector",)),
    "assay_unwatched_images_total": Counted("Images that detectors did not see because they were too slow."),
}


class Metrics:
    """Counters and one histogram of one service, in a registry of their own; safe to call from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, counted.help, counted.labels, registry=self._registry)
            for name, counted in COUNTERS.items()
        }
        self._latency = Histogram(
            "assay_inference_seconds", "Seconds from a request to its answer.", buckets=BUCKETS, registry=self._registry
        )

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to a counter of `COUNTERS`; ``labels`` gives a value for each of its label names."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(by)

    def took(self, seconds: float) -> None:
        """Record how long an inference request took, from its headers to its answer."""
        self._latency.observe(seconds)

    def text(self) -> str:
        """The response body for a Prometheus scraper."""
        return generate_latest(self._registry).decode()
