"""Amazon Comprehend, BatchDetectSentiment: positive, negative, neutral and mixed, as scores that sum to 1."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from typing_extensions import override

from assay.access.remote.amazon import AmazonService
from assay.access.remote.inputs import text
from assay.access.remote.service import SERVICES, Rows, scores, shares
from assay.base.errors import DataError


@SERVICES.add("amazon-comprehend")
class AmazonComprehend(AmazonService):
    """Twenty-five texts in a request."""

    scheme: ClassVar[str] = "amazon-comprehend"
    title: ClassVar[str] = "Amazon Comprehend sentiment"
    example: ClassVar[str] = "amazon-comprehend:us-east-1"
    options: ClassVar[dict[str, str]] = {**AmazonService.options, "language": "the texts' language [en]"}
    modality: ClassVar[Literal["image", "text", "any"]] = "text"
    task: ClassVar[str | None] = "sentiment"
    api: ClassVar[str] = "comprehend"

    classes = ("Positive", "Negative", "Neutral", "Mixed")
    batch = 25

    @override
    def ask(self, id: str, inputs: torch.Tensor) -> Rows:
        return self.parse(self.call("batch_detect_sentiment", **self.build(inputs)), len(inputs))

    def build(self, inputs: torch.Tensor) -> dict[str, Any]:
        """The parameters of the request."""
        return {"TextList": [text(row) for row in inputs], "LanguageCode": self.address.options.get("language", "en")}

    def parse(self, answer: dict[str, Any], count: int) -> Rows:
        """The answer, (count, 4); results may come in any order.

        Raises:
            DataError: if it is not understood, or a text was not answered.
        """
        who = self.address.shown
        try:
            if answer.get("ErrorList"):
                raise DataError(f"{who} could not answer a text: {answer['ErrorList'][0]['ErrorMessage']}")
            by_index = {result["Index"]: dict(result["SentimentScore"]) for result in answer["ResultList"]}
        except (TypeError, KeyError):
            raise DataError(f"{who} answered with something else than texts and their sentiments.") from None
        if set(by_index) != set(range(count)):
            raise DataError(f"{who} did not answer once for each of {count} texts.")
        return np.concatenate([shares(scores(by_index[n], self.classes, who), who) for n in range(count)])
