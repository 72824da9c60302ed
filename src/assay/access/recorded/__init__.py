"""Answers that services gave at some time in the past, and targets that give them again.

`load_sets` reads FrugalML's tables and HAPI's folders into a `RecordedSet` for each data set; `Tape` replays the
answers about images at hand as a target that refuses any other image.
"""

from assay.access.recorded.reading import load_sets
from assay.access.recorded.recording import UNANSWERED, RecordedSet, Recording
from assay.access.recorded.replay import Tape

__all__ = ["UNANSWERED", "RecordedSet", "Recording", "Tape", "load_sets"]
