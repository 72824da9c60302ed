"""Questions to a service: in batches, some at a time, again after a failure, each charged once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from assay.access.remote.failures import ChangedError, DeniedError, LostError
from assay.access.remote.service import Rows, Service
from assay.access.remote.write_ahead import Intent, Receipts
from assay.access.retrying import patiently
from assay.access.store import Keys, image_keys
from assay.base.errors import AccessError, AssayError, DataError, TransientError


@dataclass
class Question:
    """A batch on its way. ``doubtful``: under the id of ``intent`` it may have been charged already."""

    keys: Keys
    pixels: torch.Tensor
    intent: Intent | None = None
    doubtful: bool = False


class Client:
    """A service, its ledger and a budget (images, over the ledger's whole life; None: none).

    A request that failed is sent again: under its id where the service is idempotent, whatever happened to the first
    attempt; under a new one, charged anew, where the first attempt may have been charged and the service does not
    know ids. What a killed process left pending is sent again under its id, or counts as spent.
    """

    def __init__(self, service: Service, receipts: Receipts, *, price_per_1000: float, budget: int | None) -> None:
        self.service, self.receipts = service, receipts
        self.price_per_1000, self.budget = price_per_1000, budget
        self.identity = service.identity

    def ask(self, pixels: torch.Tensor) -> Rows:
        """Answers float32 (n, the service's classes) to images float32 (n, c, h, w) in [0, 1].

        What the ledger knows is not asked again, and an image that stands twice is asked once.

        Raises:
            BudgetError: if they would exceed the budget; none of them is asked then.
            AccessError: if the service refuses, or keeps failing; what it answered is kept.
            DataError: if its answer is not understood.
        """
        keys = image_keys(pixels)
        with self.receipts.alone():
            self._recover()
            known = self.receipts.answers(self.identity, keys)
            fresh: dict[bytes, int] = {}
            for position, key in enumerate(keys):
                if key.tobytes() not in known:
                    fresh.setdefault(key.tobytes(), position)
            rows = np.fromiter(fresh.values(), np.int64, len(fresh))
            self.receipts.check(len(rows), self.budget)
            size = self.service.batch
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            self._carry_out([Question(keys[part], pixels[torch.from_numpy(part)]) for part in parts])
            if len(rows):
                known |= self.receipts.answers(self.identity, keys[rows])
        return np.stack([known[key.tobytes()] for key in keys])

    def _recover(self) -> None:
        questions = []
        for intent in self.receipts.pending():
            if self.service.idempotent and intent.identity == self.identity:
                questions.append(Question(intent.keys, intent.pixels, intent, doubtful=True))
            else:
                self.receipts.close(intent, "lost")
        self._carry_out(questions)

    def _carry_out(self, questions: list[Question]) -> None:
        """Ask them all; the first failure stops what has not left yet, and is raised when the rest has come back."""
        stop = threading.Event()

        def work(question: Question) -> AssayError | None:
            if stop.is_set():
                return None
            try:
                patiently(self._attempt, question)
            except AssayError as error:
                stop.set()
                return error
            except BaseException:
                stop.set()
                raise
            return None

        if len(questions) <= 1:
            failures = [work(question) for question in questions]
        else:
            with ThreadPoolExecutor(min(self.service.concurrency, len(questions)), "service") as pool:
                try:
                    failures = list(pool.map(work, questions))
                except BaseException:
                    stop.set()
                    raise
        for failure in failures:
            if failure is not None:
                raise failure

    def _attempt(self, question: Question) -> None:
        if question.intent is None:
            question.intent = self.receipts.intend(
                self.identity, question.keys, question.pixels, self.price_per_1000, self.budget
            )
        intent = question.intent
        try:
            if question.doubtful:
                self.service.same()
            rows = self.service.ask(intent.id, question.pixels)
            if rows.shape != (len(intent.keys), len(self.service.classes)):
                raise DataError(
                    f"{self.service.address.shown} answered with {'x'.join(map(str, rows.shape))} numbers to "
                    f"{len(intent.keys)} inputs; {len(self.service.classes)} classes were expected."
                )
        except LostError:
            question.doubtful = True
            if not self.service.idempotent:
                self._end(question, charged=True)
            raise
        except TransientError:
            if not self.service.idempotent:
                self._end(question, charged=False)
            raise
        except DeniedError:
            if not (self.service.idempotent and question.doubtful):
                self._end(question, charged=False)
            raise
        except (ChangedError, DataError):
            self._end(question, charged=True)
            raise
        except AccessError:
            self._end(question, charged=question.doubtful)
            raise
        self.receipts.answer(intent, rows)

    def _end(self, question: Question, *, charged: bool) -> None:
        assert question.intent is not None, "it was written down"
        self.receipts.close(question.intent, "lost" if charged else "refused")
        question.intent, question.doubtful = None, False
