"""Hugging Face inference endpoints: classification of images and of texts."""

from __future__ import annotations

import base64
import os
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from typing_extensions import override

from assay.access.remote.address import Address, check_url
from assay.access.remote.http import Call, Reply
from assay.access.remote.inputs import png, text
from assay.access.remote.service import SERVICES, HttpService, Rows, scores
from assay.base.errors import DataError, UsageError

KEY = "HF_TOKEN"


class HuggingFace(HttpService):
    """An endpoint that answers ``[{"label": ..., "score": ...}, ...]``; the labels must be the data's class names."""

    credentials: ClassVar[tuple[str, ...]] = (KEY,)
    options: ClassVar[dict[str, str]] = {"batch": "inputs in a request"}

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        if "://" not in address.place:
            raise UsageError(f"{address.shown} is not understood: write {self.example}.")
        check_url(address.place)
        self.batch = self.number("batch", self.batch)

    @property
    @override
    def url(self) -> str:
        return self.address.place

    def secrets(self) -> dict[str, str]:
        """The token, where the environment has one."""
        token = os.environ.get(KEY, "").strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def settle(self, names: tuple[str, ...]) -> None:
        """The endpoint's labels are the data's class names."""
        self.classes = names

    def row(self, listed: Any) -> Rows:
        """One answer.

        Raises:
            DataError: if it is no list of labels and scores, or a class is missing or unknown.
        """
        who = self.address.shown
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise DataError(f"{who} answered with something else than a list of labels and scores.")
        row = scores({str(each.get("label")): each.get("score") for each in listed}, self.classes, who)
        if abs(float(row.sum()) - 1.0) > 0.01:
            raise DataError(
                f"{who} answered with scores that sum to {row.sum():.3g}: it is no classifier into one class."
            )
        return row


@SERVICES.add("huggingface-image")
class HuggingFaceImage(HuggingFace):
    """Image classification: one image in a request, base64 in JSON, every class asked for."""

    scheme: ClassVar[str] = "huggingface-image"
    title: ClassVar[str] = "Hugging Face image classification"
    example: ClassVar[str] = "huggingface-image:https://ENDPOINT"
    options: ClassVar[dict[str, str]] = {}

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        image = base64.b64encode(png(inputs[0])).decode()
        return Call.post_json("", {"inputs": image, "parameters": {"top_k": len(self.classes)}})

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        return self.row(reply.json())


@SERVICES.add("huggingface-text")
class HuggingFaceText(HuggingFace):
    """Text classification: a list of texts in a request."""

    scheme: ClassVar[str] = "huggingface-text"
    title: ClassVar[str] = "Hugging Face text classification"
    example: ClassVar[str] = "huggingface-text:https://ENDPOINT"
    modality: ClassVar[Literal["image", "text", "any"]] = "text"
    batch = 16

    @override
    def build(self, id: str, inputs: torch.Tensor) -> Call:
        texts = [text(row) for row in inputs]
        return Call.post_json("", {"inputs": texts, "parameters": {"top_k": len(self.classes)}})

    @override
    def parse(self, reply: Reply, id: str, count: int) -> Rows:
        listed = reply.json()
        if not isinstance(listed, list) or len(listed) != count:
            raise DataError(f"{self.address.shown} did not answer with one list for each of {count} texts.")
        return np.concatenate([self.row(each) for each in listed])
