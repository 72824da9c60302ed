"""A target's data sets by name or path, and their conversion to splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assay.base.errors import DataError
from assay.base.frozen import Frozen
from assay.base.progress import Progress
from assay.data.formats.registry import DATASETS, Dataset, Named, load_dataset
from assay.data.images import Fitted, Images, Shape
from assay.data.splits import Splits, make_splits
from assay.data.text_rows import Texts


class Parts(Frozen):
    """Data sets by name or path.

    Either a ``dataset`` is split, with ``auxiliary`` as an out-of-distribution set in place of the rest of its
    training part; or ``members`` and ``non_members`` are sets of their own, and ``auxiliary`` too. ``train_rows`` says
    that the model was trained on only so many of the dataset's training images, the first ones. ``suspects`` are images
    that may carry a backdoor's trigger, whatever their labels.
    """

    dataset: str | None = None
    train_rows: Annotated[int, Field(ge=1)] | None = None
    members: str | None = None
    non_members: str | None = None
    auxiliary: str | None = None
    suspects: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Parts:
        if (self.dataset is None) == (self.members is None and self.non_members is None):
            raise ValueError("say either a dataset to split, or members and non_members")
        if self.train_rows is not None and self.dataset is None:
            raise ValueError("train_rows belongs to a dataset to split")
        return self

    def anchored(self, folder: Path) -> Parts:
        """The same with relative paths resolved against a folder."""
        named = {name for name, source in DATASETS.items() if isinstance(source, Named)}
        sources = {part: source for part, source in self.model_dump().items() if isinstance(source, str)}
        return self.model_copy(
            update={
                part: str(folder / Path(source).expanduser()) for part, source in sources.items() if source not in named
            }
        )


def load_parts(
    parts: Parts, shape: Shape, seed: int, progress: Progress, modality: Literal["image", "text"] = "image"
) -> tuple[Splits, tuple[str, ...]]:
    """Splits for a model that takes images of a shape (channels, height, width), and class names if there are any.

    Image folders are brought to the shape's size, and an auxiliary set to the whole shape; texts to the shape's length;
    all else must have it.

    Raises:
        AssayError: if a set does not exist, is damaged, does not fit, or is of the other modality.
    """

    def load(source: str) -> Dataset:
        return _load(source, shape, progress, modality)

    other = None if parts.auxiliary is None else _images(load(parts.auxiliary), "train")
    suspects = None if parts.suspects is None else _images(load(parts.suspects), "test")
    if parts.dataset is not None:
        dataset = load(parts.dataset)
        splits = make_splits(
            dataset, input_shape=shape, trained_on=parts.train_rows, out_of_distribution=other, seed=seed
        )
        return splits._replace(suspects=suspects), dataset.class_names
    inside, outside = (None if source is None else load(source) for source in (parts.members, parts.non_members))
    splits = Splits(
        None if inside is None else _images(inside, "train"),
        None if outside is None else _images(outside, "test"),
        other if other is None or other.shape == shape else Fitted(other, shape),
        suspects,
    )
    splits.duplicates()
    return splits, next((dataset.class_names for dataset in (inside, outside) if dataset is not None), ())


def _load(source: str, shape: Shape, progress: Progress, modality: str) -> Dataset:
    fitted = modality == "text" or Path(source).expanduser().is_dir()
    dataset = load_dataset(source, size=shape[1:] if fitted else None, progress=progress)
    holds = {"text" if isinstance(part, Texts) else "image" for part in (dataset.train, dataset.test) if part}
    if modality not in holds:
        raise DataError(f"{dataset.name} holds {holds.pop()}s, and the target reads {modality}s.")
    return dataset


def _images(dataset: Dataset, preferred: str) -> Images:
    """One of the two parts of a set."""
    first, second = (dataset.train, dataset.test) if preferred == "train" else (dataset.test, dataset.train)
    images = second if first is None else first
    if images is None:
        raise DataError(f"{dataset.name} holds no images.")
    return images
