"""Stealing detectors beside the service: they hear what each client asks, after it was answered."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping

import torch

from assay.access import Answers
from assay.access.detectors import Watch
from assay.server.log import Log
from assay.server.metrics import Metrics

WAITING = 64
"""Batches that may wait for the detectors; what comes beyond is not watched, and counted."""

Heard = tuple[str, torch.Tensor, Answers]


class Watchtower:
    """One thread that shows each client's questions to a watch of each detector.

    An alarm is logged once for each client and detector, and counted each time. It changes no answer: a client cannot
    tell that there is a detector.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Watch]], log: Log, metrics: Metrics) -> None:
        """Begin to watch; ``makers`` gives a new watch, by the detector's name."""
        self._makers, self._log, self._metrics = dict(makers), log, metrics
        self._watches: dict[str, dict[str, Watch]] = {}
        self._told: set[tuple[str, str]] = set()
        self._heard: queue.Queue[Heard | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._listen, name="watchtower", daemon=True)
        self._thread.start()

    @property
    def watches(self) -> bool:
        """Whether there is any detector."""
        return bool(self._makers)

    def hear(self, client: str, images: torch.Tensor, answers: Answers) -> None:
        """Take note of images float32 (n, c, h, w) in [0, 1] and the model's own answers; returns at once."""
        try:
            self._heard.put_nowait((client, images, answers))
        except queue.Full:
            self._metrics.count("assay_unwatched_images_total", len(images))

    def close(self) -> None:
        """Show the detectors what still waits, and stop."""
        self._heard.put(None)
        self._thread.join()

    def _listen(self) -> None:
        while (heard := self._heard.get()) is not None:
            client, images, answers = heard
            if client not in self._watches:
                self._watches[client] = {name: make() for name, make in self._makers.items()}
            for name, watch in self._watches[client].items():
                try:
                    alarm = watch.observe(images, answers)
                except Exception as error:  # somebody else's code, perhaps: the others go on
                    self._log.write("error", client=client, detector=name, error=f"{type(error).__name__}: {error}")
                    continue
                if alarm is None:
                    continue
                self._metrics.count("assay_alarms_total", detector=name)
                if (client, name) not in self._told:
                    self._told.add((client, name))
                    self._log.write("alarm", client=client, **alarm._asdict())
