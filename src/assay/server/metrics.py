"""What a service counts, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency histogram, in seconds."""

COUNTERS = {
    "assay_requests_total": "Requests, by route and status.",
    "assay_images_total": "Images that were answered and charged.",
    "assay_replays_total": "Requests that were answered again under the same id, free of charge.",
    "assay_refusals_total": "Requests that were refused, by reason.",
    "assay_alarms_total": "Alarms of stealing detectors, by detector.",
    "assay_unwatched_images_total": "Images that detectors did not see because they were too slow.",
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and one histogram; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in COUNTERS}
        self._latencies = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to a counter of `COUNTERS`."""
        with self._lock:
            self._counts[name][tuple(sorted(labels.items()))] += by

    def took(self, seconds: float) -> None:
        """Note how long an inference request took, from its headers to its answer."""
        with self._lock:
            self._latencies[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def text(self) -> str:
        """Everything, for a scraper."""
        lines = []
        with self._lock:
            for name, counts in self._counts.items():
                lines += [f"# HELP {name} {COUNTERS[name]}", f"# TYPE {name} counter"]
                lines += [f"{name}{_labels(labels)} {value}" for labels, value in sorted(counts.items())]
            name = "assay_inference_seconds"
            lines += [f"# HELP {name} Seconds from a request to its answer.", f"# TYPE {name} histogram"]
            bounds = (*map(str, BUCKETS), "+Inf")
            for bound, value in zip(bounds, accumulate(self._latencies), strict=True):
                lines.append(f'{name}_bucket{{le="{bound}"}} {value}')
            lines += [f"{name}_sum {self._seconds:.6f}", f"{name}_count {sum(self._latencies)}"]
        return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
