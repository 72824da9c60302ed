"""Face++ Detect with the attribute emotion (Megvii): seven emotions in per cent, of the largest face."""

from __future__ import annotations

import base64
from typing import ClassVar
from urllib.parse import urlencode

import torch
from typing_extensions import override

from assay.access.remote.address import Address, check_url
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import png
from assay.access.remote.service import SERVICES, HttpService, Rows, credential, no_face, scores, shares
from assay.base.errors import DataError, UsageError

KEY, SECRET = "FACEPP_API_KEY", "FACEPP_API_SECRET"
SITES = {
    "": "https://api-us.faceplusplus.com",
    "us": "https://api-us.faceplusplus.com",
    "cn": "https://api-cn.faceplusplus.com",
}


@SERVICES.add("facepp")
class FacePlusPlus(HttpService):
    """One image in a request. Key and secret travel in the form, as the service wants it."""

    scheme: ClassVar[str] = "facepp"
    title: ClassVar[str] = "Face++ emotions"
    example: ClassVar[str] = "facepp:us"
    credentials: ClassVar[tuple[str, ...]] = (KEY, SECRET)
    options: ClassVar[dict[str, str]] = {"endpoint": "another base address"}
    task: ClassVar[str | None] = "emotion"

    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    concurrency = 1

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        if address.place not in SITES:
            raise UsageError(f"{address.shown} is not understood: write facepp:us or facepp:cn.")

    @property
    @override
    def url(self) -> str:
        return check_url(self.address.options.get("endpoint", SITES[self.address.place]))

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        form = {
            "api_key": credential(KEY, self.title),
            "api_secret": credential(SECRET, self.title),
            "image_base64": base64.b64encode(png(inputs[0])).decode(),
            "return_attributes": "emotion",
        }
        return Call(
            "POST",
            "/facepp/v3/detect",
            urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        content, who = reply.json(), self.address.shown
        try:
            faces = content["faces"]
            if not faces:
                return no_face(self.classes)
            largest = max(faces, key=lambda face: face["face_rectangle"]["width"] * face["face_rectangle"]["height"])
            emotion = dict(largest["attributes"]["emotion"])
        except (TypeError, KeyError, ValueError):
            raise DataError(f"{who} answered with something else than faces and their emotions.") from None
        return shares(scores(emotion, self.classes, who), who)
