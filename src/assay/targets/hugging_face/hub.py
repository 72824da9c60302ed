"""Repositories of the model hub, through huggingface_hub and its cache."""

from __future__ import annotations

import os
import re
from pathlib import Path

from assay.base.errors import LoadError, UsageError
from assay.base.progress import Progress
from assay.targets.hugging_face.folder import SETTINGS
from assay.targets.loading.blackbox import reason

PREFIX = "hf:"
PATTERNS = [*SETTINGS, "adapter_config.json", "*.safetensors", "*.safetensors.index.json"]
"""The only files that are fetched: settings as JSON, and safetensors."""

_REFERENCE = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def fetch_repository(reference: str, progress: Progress) -> Path:
    """The folder of a repository ``ORG/NAME@REVISION`` in the hub's cache; without a revision, of its main branch.

    HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are those of huggingface_hub.

    Raises:
        UsageError: if the reference has another form.
        LoadError: if it can be had neither from the hub nor from the cache.
    """
    found = _REFERENCE.fullmatch(reference.removeprefix(PREFIX))
    if found is None:
        raise UsageError(f"{reference!r} is not a model of the hub: write hf:ORG/NAME@REVISION.")
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    try:
        folder = snapshot_download(
            found["name"],
            revision=found["revision"],
            allow_patterns=PATTERNS,
            endpoint=os.environ.get("HF_ENDPOINT"),
            local_files_only=offline,
        )
    except Exception as error:  # its errors are those of whatever client it uses
        raise LoadError(
            f"{reference} is not in the cache and cannot be fetched ({reason(error)}): be online once, or name a "
            "folder that save_pretrained wrote."
        ) from error
    if found["revision"] is None:
        progress.say(f"{reference} is read at {Path(folder).name}: add @{Path(folder).name} to get the same again.")
    return Path(folder)
