"""What is fuzzed: for each kind of file how a good one is made, how it is mutated, and how Assay opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tools.fuzz import mutations as m
from tools.fuzz.seeds import datasets, documents, models


class Kind(NamedTuple):
    """A kind of file.

    ``make`` writes a good file, and whatever belongs to it, to an empty folder, and returns the file that is mutated;
    ``open`` opens what is in such a folder as Assay does; ``ways`` are the mutations.
    """

    make: Callable[[Path], Path]
    open: Callable[[Path], object]
    ways: tuple[m.Mutate, ...]


def _model(folder: Path) -> object:
    from assay.targets.reference import open_model

    return open_model(str(folder / "target.toml"))


def _data(name: str) -> Callable[[Path], object]:
    def open_it(folder: Path) -> object:
        from assay.data.formats.registry import load_dataset

        dataset = load_dataset(str(folder / name) if name else str(folder))
        part = dataset.train if dataset.train is not None else dataset.test
        return part.take([0]) if part is not None and len(part) else None  # type: ignore[arg-type]

    return open_it


def _vectors(name: str) -> Callable[[Path], object]:
    def open_it(folder: Path) -> object:
        from assay.data.form import form_of

        return form_of(str(folder / name))

    return open_it


def _answers(folder: Path) -> object:
    from assay.targets.recorded_answers import read_outputs

    return read_outputs(folder / "answers.npz")


def _service(folder: Path) -> object:
    from assay.targets.service_file import is_service_file, read_service_file

    path = folder / "service.toml"
    return is_service_file(str(path)) and read_service_file(path)


def _study(folder: Path) -> object:
    from assay.studies.study_file import read_study

    return read_study(str(folder / "study.toml"))


def _policy(folder: Path) -> object:
    from assay.reports.gate.policy import read_policy

    return read_policy(folder / "policy.toml")


def _card(folder: Path) -> object:
    from assay.catalogue.card import add_card

    return add_card(folder / "card.toml", folder / "records")


def _listing(folder: Path) -> object:
    from assay.catalogue.entry import read_listing

    return read_listing(folder / "records.jsonl")


def _results(folder: Path) -> object:
    from assay.reports.html import render_html
    from assay.reports.results import load_results

    return [render_html(result.report, folder) for result in load_results(folder / "report.json")]


def _workspace(folder: Path) -> object:
    from assay.reports.results import load_results

    return load_results(folder / "workspace")


def _annotations(folder: Path) -> object:
    from assay.catalogue.annotation import Project

    return Project(folder).annotations("one")


_zip = m.inside_zip(m.of_bytes)
KINDS: dict[str, Kind] = {
    "safetensors": Kind(models.safetensors, _model, (m.of_bytes, m.of_safetensors, m.of_safetensors)),
    "torch": Kind(models.torch_zip, _model, (m.of_bytes, m.inside_zip(m.of_bytes, m.of_pickle, m.of_pickle))),
    "torch-legacy": Kind(models.torch_legacy, _model, (m.of_bytes, m.of_pickle)),
    "torch-code": Kind(models.torch_code, _model, (m.of_bytes, m.inside_zip(m.of_bytes, m.of_pickle))),
    "h5": Kind(models.keras_h5, _model, (m.of_bytes, m.of_text)),
    "keras": Kind(models.keras_archive, _model, (m.of_bytes, m.inside_zip(m.of_bytes, m.of_text))),
    "onnx": Kind(models.onnx_file, _model, (m.of_bytes, models.change_onnx, models.change_onnx)),
    "onnx-external": Kind(models.onnx_external, _model, (m.of_bytes, models.change_onnx)),
    "tflite": Kind(models.tflite, _model, (m.of_bytes,)),
    "hf-config": Kind(models.hugging_face, _model, (m.of_text,)),
    "hf-weights": Kind(models.hugging_face_weights, _model, (m.of_bytes, m.of_safetensors)),
    "npz": Kind(datasets.npz_images, _data("data.npz"), (m.of_bytes, m.inside_zip(m.of_bytes, m.of_npy, m.of_npy))),
    "npz-vectors": Kind(datasets.npz_vectors, _vectors("data.npz"), (_zip, m.inside_zip(m.of_npy))),
    "npz-answers": Kind(datasets.npz_answers, _answers, (_zip, m.inside_zip(m.of_npy))),
    "idx": Kind(datasets.idx, _data(""), (m.of_bytes,)),
    "idx-gz": Kind(datasets.idx_gz, _data(""), (m.of_bytes, datasets.inside_gz)),
    "cifar-pickle": Kind(datasets.cifar_pickle, _data(""), (m.of_bytes, m.of_pickle, m.of_pickle)),
    "png": Kind(datasets.png, _data(""), (m.of_bytes, m.of_png, m.of_png)),
    "jpeg": Kind(datasets.jpeg, _data(""), (m.of_bytes,)),
    "webp": Kind(datasets.webp, _data(""), (m.of_bytes,)),
    "parquet-images": Kind(datasets.parquet_images, _data(""), (m.of_bytes,)),
    "parquet-table": Kind(datasets.parquet_table, _vectors("table.parquet"), (m.of_bytes,)),
    "csv-table": Kind(datasets.csv_table, _vectors("table.csv"), (m.of_bytes, m.of_text)),
    "csv-texts": Kind(datasets.csv_texts, _data("texts.csv"), (m.of_bytes, m.of_text)),
    "target": Kind(models.target, _model, (m.of_text,)),
    "service": Kind(documents.service, _service, (m.of_text,)),
    "study": Kind(documents.study, _study, (m.of_text,)),
    "policy": Kind(documents.policy, _policy, (m.of_text,)),
    "card": Kind(documents.card, _card, (m.of_text,)),
    "catalogue": Kind(documents.listing, _listing, (m.of_text,)),
    "report": Kind(documents.report, _results, (m.of_text,)),
    "trial": Kind(documents.workspace, _workspace, (m.of_text, m.of_bytes)),
    "annotations": Kind(documents.annotations, _annotations, (m.of_text,)),
}
