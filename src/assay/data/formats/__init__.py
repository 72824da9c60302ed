"""Data sets: one small file per format or group of named sets, each registered by a decorator.

A new format is one file with `file_format`, a new named set one with `named`; neither needs an edit elsewhere.
"""

from assay.data.formats.pytorch import from_torch
from assay.data.formats.registry import DATASETS, Dataset, Reading, file_format, load_dataset, named

__all__ = ["DATASETS", "Dataset", "Reading", "file_format", "from_torch", "load_dataset", "named"]
