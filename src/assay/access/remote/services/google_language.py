"""Google Cloud Natural Language, sentiment: a score in [-1, 1] and a magnitude for each text."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from assay.access.remote.address import check_url
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import text
from assay.access.remote.service import SERVICES, HttpService, Rows, credential, one_hot
from assay.access.serving import Output
from assay.base.errors import DataError
from assay.targets.target import Kind

KEY = "GOOGLE_API_KEY"


@SERVICES.add("google-language")
class GoogleLanguage(HttpService):
    """Labels only, for a score is no probability: positive above 0, negative below, neutral at 0."""

    scheme: ClassVar[str] = "google-language"
    title: ClassVar[str] = "Google Natural Language sentiment"
    example: ClassVar[str] = "google-language:"
    credentials: ClassVar[tuple[str, ...]] = (KEY,)
    options: ClassVar[dict[str, str]] = {
        "endpoint": "another base address",
        "language": "the texts' language [as the service finds]",
    }
    modality: ClassVar[Literal["image", "text", "any"]] = "text"
    task: ClassVar[str | None] = "sentiment"

    classes = ("negative", "neutral", "positive")
    output: Output = "label"
    kind: Kind = "label"

    @property
    @override
    def url(self) -> str:
        return check_url(self.address.options.get("endpoint", "https://language.googleapis.com"))

    def secrets(self) -> dict[str, str]:
        """The key."""
        return {"X-Goog-Api-Key": credential(KEY, self.title)}

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        document = {"type": "PLAIN_TEXT", "content": text(inputs[0])}
        if language := self.address.options.get("language"):
            document["language"] = language
        return Call.post_json("/v1/documents:analyzeSentiment", {"document": document, "encodingType": "UTF8"})

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        content = reply.json()
        try:
            score = content["documentSentiment"]["score"]
        except (TypeError, KeyError):
            raise DataError(f"{self.address.shown} answered without a document's sentiment.") from None
        if not isinstance(score, int | float) or not -1.0 <= score <= 1.0:
            raise DataError(f"{self.address.shown} answered {score!r}, which is no score in [-1, 1].")
        return one_hot(1 + (score > 0) - (score < 0), self.classes)
