"""A target's data sets by name or path, and their conversion to splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assay.base.errors import DataError
from assay.base.frozen import Frozen
from assay.base.progress import Progress
from assay.data.formats.registry import DATASETS, Dataset, Named, load_dataset
from assay.data.formats.tables import TableReader
from assay.data.images import Fitted, Images, Shape, shape_text
from assay.data.splits import Splits, make_splits, without_duplicates
from assay.data.vectors import modality_of


class Parts(Frozen):
    """Data sets by name or path.

    Either a ``dataset`` is split, with ``auxiliary`` as an out-of-distribution set in place of the rest of its
    training part; or ``members`` and ``non_members`` are sets of their own, and ``auxiliary`` too. ``train_rows`` says
    that the model was trained on only so many of the dataset's training images, the first ones. ``suspects`` are images
    that may carry a backdoor's trigger, whatever their labels. ``drop_duplicates`` leaves out of the non-members what
    is among the training images too, pixel for pixel. Of tables of vectors, ``label`` names the column of labels, and
    ``categories`` declares the categories of columns (see `TableReader`).
    """

    dataset: str | None = None
    train_rows: Annotated[int, Field(ge=1)] | None = None
    members: str | None = None
    non_members: str | None = None
    auxiliary: str | None = None
    suspects: str | None = None
    drop_duplicates: bool = False
    label: str | None = None
    categories: dict[str, tuple[str, ...]] = Field(default={})

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
        sources = {
            part: source for part, source in self.model_dump().items() if isinstance(source, str) and part != "label"
        }
        return self.model_copy(
            update={
                part: str(folder / Path(source).expanduser()) for part, source in sources.items() if source not in named
            }
        )


def load_parts(
    parts: Parts,
    shape: Shape,
    seed: int,
    progress: Progress,
    modality: Literal["image", "text", "vector"] = "image",
    *,
    resize: bool = False,
) -> tuple[Splits, tuple[str, ...]]:
    """Splits for a model that takes images of a shape (channels, height, width), and class names if there are any.

    Image folders are resized to the shape, and an auxiliary set is converted to it in any case; texts get the shape's
    length. With ``resize`` all images are converted to the shape (`Fitted`); else they must have it.

    Raises:
        AssayError: if a set does not exist, is damaged, does not fit, or is of the other modality.
    """
    tables: dict[str, Dataset] = {}
    if modality == "vector":  # columns, categories and classes are those of the training data, which come first
        named = (parts.dataset, parts.members, parts.non_members, parts.auxiliary, parts.suspects)
        tables = TableReader(parts.label, parts.categories).load_all([source for source in named if source])

    def load(source: str) -> Dataset:
        return tables[source] if modality == "vector" else _load(source, shape, progress, modality, resize)

    other = None if parts.auxiliary is None else _images(load(parts.auxiliary), "train")
    suspects = None if parts.suspects is None else _images(load(parts.suspects), "test")
    if parts.dataset is not None:
        dataset = load(parts.dataset)
        if parts.drop_duplicates and dataset.train is not None and dataset.test is not None:
            dataset = dataset._replace(test=_distinct(dataset.test, dataset.train, progress))
        splits = make_splits(
            dataset, input_shape=shape, trained_on=parts.train_rows, out_of_distribution=other, seed=seed
        )
        return splits._replace(suspects=suspects), dataset.class_names
    inside, outside = (None if source is None else load(source) for source in (parts.members, parts.non_members))
    members = None if inside is None else _images(inside, "train")
    non_members = None if outside is None else _images(outside, "test")
    if parts.drop_duplicates and members is not None and non_members is not None:
        non_members = _distinct(non_members, members, progress)
    auxiliary = other if other is None or other.shape == shape else Fitted(other, shape)
    splits = Splits(members, non_members, auxiliary, suspects)
    splits.duplicates()
    return splits, next((dataset.class_names for dataset in (inside, outside) if dataset is not None), ())


def _distinct(images: Images, others: Images, progress: Progress) -> Images:
    kept = without_duplicates(images, others)
    if (dropped := len(images) - len(kept)) > 0:
        progress.say(f"{dropped} of {len(images)} images of {images.name} are in {others.name} too, and were dropped.")
    return kept


def _load(source: str, shape: Shape, progress: Progress, modality: str, resize: bool) -> Dataset:
    fitted = modality == "text" or Path(source).expanduser().is_dir()
    dataset = load_dataset(source, size=shape[1:] if fitted else None, progress=progress)
    holds = {modality_of(part) for part in (dataset.train, dataset.test) if part}
    if modality not in holds:
        raise DataError(f"{dataset.name} holds {holds.pop()}s, and the target reads {modality}s.")
    there = [part for part in (dataset.train, dataset.test) if part is not None]
    if resize and modality == "image" and there[0].shape != shape:
        progress.say(f"{dataset.name}: images of {shape_text(there[0].shape)} are resized to {shape_text(shape)}.")
        train, test = (None if part is None else Fitted(part, shape) for part in (dataset.train, dataset.test))
        return dataset._replace(train=train, test=test)
    return dataset


def _images(dataset: Dataset, preferred: str) -> Images:
    """One of the two parts of a set."""
    first, second = (dataset.train, dataset.test) if preferred == "train" else (dataset.test, dataset.train)
    images = second if first is None else first
    if images is None:
        raise DataError(f"{dataset.name} holds no images.")
    return images
