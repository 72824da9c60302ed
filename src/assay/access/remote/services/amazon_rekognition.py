"""Amazon Rekognition, DetectFaces with the attribute emotions: eight emotions in per cent, of the largest face."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from typing_extensions import override

from assay.access.remote.amazon import AmazonService
from assay.access.remote.inputs import png
from assay.access.remote.service import SERVICES, Rows, no_face, scores, shares
from assay.base.errors import DataError


@SERVICES.add("amazon-rekognition")
class AmazonRekognition(AmazonService):
    """One image in a request. CALM is the task's neutral; CONFUSED is outside the seven basic emotions and is kept.

    The type UNKNOWN, which the interface also has, is left out before the numbers are divided by their sum.
    """

    scheme: ClassVar[str] = "amazon-rekognition"
    title: ClassVar[str] = "Amazon Rekognition emotions"
    example: ClassVar[str] = "amazon-rekognition:us-east-1"
    task: ClassVar[str | None] = "emotion"
    api: ClassVar[str] = "rekognition"

    classes = ("ANGRY", "CALM", "CONFUSED", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED")

    @override
    def ask(self, id: str, inputs: torch.Tensor) -> Rows:
        return self.parse(self.call("detect_faces", **self.build(inputs)))

    def build(self, inputs: torch.Tensor) -> dict[str, Any]:
        """The parameters of the request."""
        return {"Image": {"Bytes": png(inputs[0])}, "Attributes": ["EMOTIONS"]}

    def parse(self, answer: dict[str, Any]) -> Rows:
        """The answer, (1, 8).

        Raises:
            DataError: if it is not understood.
        """
        who = self.address.shown
        try:
            faces = answer["FaceDetails"]
            if not faces:
                return no_face(self.classes)
            largest = max(faces, key=lambda face: face["BoundingBox"]["Width"] * face["BoundingBox"]["Height"])
            emotions = {each["Type"]: each["Confidence"] for each in largest["Emotions"] if each["Type"] != "UNKNOWN"}
        except (TypeError, KeyError):
            raise DataError(f"{who} answered with something else than faces and their emotions.") from None
        return shares(scores(emotions, self.classes, who), who)
