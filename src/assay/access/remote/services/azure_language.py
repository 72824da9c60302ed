"""Microsoft Azure Language, sentiment analysis: positive, neutral and negative, as confidences that sum to 1."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from typing_extensions import override

from assay.access.remote.address import Address, check_url
from assay.access.remote.failures import ChangedError
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import text
from assay.access.remote.service import SERVICES, HttpService, Rows, credential, scores, shares
from assay.base.errors import DataError, UsageError

KEY = "AZURE_LANGUAGE_KEY"
VERSION = "2023-04-01"


@SERVICES.add("azure-language")
class AzureLanguage(HttpService):
    """Ten texts in a request. The model's version is in every answer, and must not change in the middle."""

    scheme: ClassVar[str] = "azure-language"
    title: ClassVar[str] = "Azure Language sentiment"
    example: ClassVar[str] = "azure-language:https://ENDPOINT"
    credentials: ClassVar[tuple[str, ...]] = (KEY,)
    options: ClassVar[dict[str, str]] = {
        "language": "the texts' language [en]",
        "model": "the model's version [latest]",
    }
    modality: ClassVar[Literal["image", "text", "any"]] = "text"
    task: ClassVar[str | None] = "sentiment"

    classes = ("negative", "neutral", "positive")
    batch = 10

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        if "://" not in address.place:
            raise UsageError(f"{address.shown} is not understood: write {self.example}.")
        self._version: str | None = None

    @property
    @override
    def url(self) -> str:
        return check_url(self.address.place)

    def secrets(self) -> dict[str, str]:
        """The key."""
        return {"Ocp-Apim-Subscription-Key": credential(KEY, self.title)}

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        options = self.address.options
        documents = [
            {"id": str(number), "language": options.get("language", "en"), "text": text(row)}
            for number, row in enumerate(inputs)
        ]
        content = {
            "kind": "SentimentAnalysis",
            "parameters": {"modelVersion": options.get("model", "latest")},
            "analysisInput": {"documents": documents},
        }
        return Call.post_json(f"/language/:analyze-text?api-version={VERSION}", content)

    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        """The rows in the order of the questions; documents may come in any order."""
        content, who = reply.json(), self.address.shown
        try:
            results = content["results"]
            if results["errors"]:
                raise DataError(f"{who} could not answer a text: {results['errors'][0]['error']['message']}")
            by_id = {document["id"]: dict(document["confidenceScores"]) for document in results["documents"]}
            version = results["modelVersion"]
        except (TypeError, KeyError, ValueError):
            raise DataError(f"{who} answered with something else than documents and their sentiments.") from None
        if set(by_id) != {str(number) for number in range(count)}:
            raise DataError(f"{who} did not answer once for each of {count} texts.")
        self._remember(version)
        return np.concatenate([shares(scores(by_id[str(n)], self.classes, who), who) for n in range(count)])

    def _remember(self, version: Any) -> None:
        if self._version not in (None, version):
            raise ChangedError(self.address.shown, f"model {version} answered in place of {self._version}")
        self._version = version


@SERVICES.add("azure-face")
class AzureFace(HttpService):
    """Refused: the service no longer exists."""

    scheme: ClassVar[str] = "azure-face"
    title: ClassVar[str] = "Azure Face emotions (ended 2023-06-21)"
    example: ClassVar[str] = "none: recorded answers only"
    ended: ClassVar[str] = (
        "Microsoft ended the emotions of its Face service on 2023-06-21: only answers recorded before that can be "
        "assessed."
    )
