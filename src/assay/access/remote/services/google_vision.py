"""Google Cloud Vision, face detection: four emotions, each in one of five buckets of likelihood."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from assay.access.remote.address import check_url
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import png
from assay.access.remote.service import SERVICES, HttpService, Rows, credential, one_hot
from assay.access.serving import Output
from assay.base.errors import DataError
from assay.targets.target import Kind

KEY = "GOOGLE_API_KEY"
BUCKETS = ("UNKNOWN", "VERY_UNLIKELY", "UNLIKELY", "POSSIBLE", "LIKELY", "VERY_LIKELY")
"""In ascending order. They are ordinal: what lies between two of them is no probability."""

FIELDS = ("joyLikelihood", "sorrowLikelihood", "angerLikelihood", "surpriseLikelihood")
NONE = 4
"""The column of an image without a face, or with a face that shows none of the four."""


@SERVICES.add("google-vision")
class GoogleVision(HttpService):
    """Labels only: the emotion in the highest bucket above VERY_UNLIKELY.

    It is the first of joy, sorrow, anger and surprise where several share it, and ``none`` where there is no such
    emotion, or no face.
    """

    scheme: ClassVar[str] = "google-vision"
    title: ClassVar[str] = "Google Vision face emotions"
    example: ClassVar[str] = "google-vision:"
    credentials: ClassVar[tuple[str, ...]] = (KEY,)
    options: ClassVar[dict[str, str]] = {"endpoint": "another base address"}
    task: ClassVar[str | None] = "emotion"

    classes = ("joy", "sorrow", "anger", "surprise", "none")
    output: Output = "label"
    kind: Kind = "label"
    batch = 16

    @property
    @override
    def url(self) -> str:
        return check_url(self.address.options.get("endpoint", "https://vision.googleapis.com"))

    def secrets(self) -> dict[str, str]:
        """The key."""
        return {"X-Goog-Api-Key": credential(KEY, self.title)}

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        feature = [{"type": "FACE_DETECTION", "maxResults": 1}]
        requests = [
            {"image": {"content": base64.b64encode(png(each)).decode()}, "features": feature} for each in inputs
        ]
        return Call.post_json("/v1/images:annotate", {"requests": requests})

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        content = reply.json()
        answers = content.get("responses") if isinstance(content, dict) else None
        if not isinstance(answers, list) or len(answers) != count:
            raise DataError(f"{self.address.shown} did not answer once for each of {count} images.")
        return np.concatenate([one_hot(self._label(answer), self.classes) for answer in answers])

    def _label(self, answer: Any) -> int:
        who = self.address.shown
        if not isinstance(answer, dict) or "error" in answer:
            said = answer.get("error", {}).get("message") if isinstance(answer, dict) else answer
            raise DataError(f"{who} could not answer one image: {said}.")
        faces = answer.get("faceAnnotations", [])
        if not faces:
            return NONE
        try:
            buckets = [BUCKETS.index(faces[0][field]) for field in FIELDS]
        except (KeyError, ValueError, TypeError):
            raise DataError(
                f"{who} answered with a likelihood that is not known, or without one of the four."
            ) from None
        highest = max(buckets)
        return buckets.index(highest) if highest > BUCKETS.index("VERY_UNLIKELY") else NONE
