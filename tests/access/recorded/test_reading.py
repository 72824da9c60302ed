"""Recorded answers from FrugalML's tables and HAPI's folders, and what is refused with one sentence."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from assay.access.recorded import UNANSWERED, load_sets
from assay.access.recorded.hapi import read_dated, read_labels
from assay.base.errors import AssayError

HEAD = "example\ttrue\tA_pred\tA_orig\tA_conf\tB_pred\tB_orig"
ROWS = ["x.jpg\t0\t0\t5\t0.25\t1\t1", "y.jpg\t1\t1\t6\t1\t2\t7", "z.jpg\t1\t0\t5\t0.5\t1\t1"]
PRICES = "Index,MLaaS(API),Cost per 10k images,class number\n0,A,15,7\n1,B,0.5,7\n"


def table(folder: Path, head=HEAD, rows=ROWS, name="FACES", prices=PRICES):
    path = folder / f"{name}.tsv.gz"
    path.write_bytes(gzip.compress("\n".join([head, *rows, ""]).encode()))
    (folder / f"meta_{name}.csv").write_text(prices)
    return path


def test_a_table(tmp_path):
    (found,) = load_sets(table(tmp_path))
    first, second = found.recordings
    assert (found.name, found.truth.tolist()) == ("FACES", [0, 1, 1])
    assert (first.service, first.labels.tolist(), first.confidence.tolist()) == ("A", [0, 1, 0], [0.25, 1, 0.5])
    assert (first.price_per_10k, second.price_per_10k, second.confidence) == (15, 0.5, None)
    assert second.labels.tolist() == [1, UNANSWERED, 1]
    assert first.examples == second.examples == ("x.jpg", "y.jpg", "z.jpg")
    assert first.name == "A on FACES"


def published(folder: Path, name="FACES", **changes):
    """The same answers as FrugalML publishes them: one value per line, what all services share for one alone."""
    files = {
        "Model0_PredictedLabel": ["0", "1", "0"],
        "Model0_Confidence": ["2.500000000000000000e-01", "1.0", "0.5"],
        "Model0_ImageName": ["x.jpg,", "y.jpg,", "z.jpg,"],
        "Model1_PredictedLabel": ["1.0", "2.0", "1.0"],
        "Model1_TrueLabel": ["0", "1", "1"],
        "Model1_TotalReward": ["0.33"],
    } | changes
    place = folder / "dataset" / f"mlserviceperformance_{name}"
    place.mkdir(parents=True)
    for file, lines in files.items():
        if lines is not None:
            (place / f"{file}.txt").write_text("".join(f"{line}\n" for line in lines))
    (place / "meta.csv").write_text(PRICES)
    return place


def test_the_published_layout_is_the_table(tmp_path):
    (wanted,) = load_sets(table(tmp_path))
    for path in (published(tmp_path / "repository"), tmp_path / "repository" / "dataset", tmp_path / "repository"):
        (found,) = load_sets(path)
        assert found.truth.tolist() == wanted.truth.tolist()
        for one, other in zip(found.recordings, wanted.recordings, strict=True):
            assert (one.service, one.price_per_10k, one.examples) == (
                other.service,
                other.price_per_10k,
                other.examples,
            )
            assert one.labels.tolist() == other.labels.tolist()
            assert (one.confidence is None) == (other.confidence is None)
    (unnamed,) = load_sets(published(tmp_path / "bare", Model0_ImageName=None))
    assert unnamed.recordings[0].examples == ("0", "1", "2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Model1_TrueLabel": None}, "the true labels are missing"),
        ({"Model1_TrueLabel": []}, "holds no answers"),
        ({"Model0_PredictedLabel": ["0", "1"]}, "has 3 true labels, and 2 values of 'A_pred'"),
        ({"Model0_Confidence": ["0.5", "sure", "1"]}, "cannot be read as one number per line"),
        ({"Model0_Confidence": ["0.5", "1.5", "1"]}, "with the confidence 1.5"),
        ({"Model0_PredictedLabel": None, "Model1_PredictedLabel": None}, "is not one of FrugalML's folders"),
    ],
)
def test_published_folders_that_are_none(tmp_path, change, words):
    with pytest.raises(AssayError, match=words) as caught:
        load_sets(published(tmp_path, **change))
    assert "\n" not in str(caught.value)


def test_names_that_repeat_are_told_apart_by_the_true_label(tmp_path):
    rows = [row.replace("y.jpg", "x.jpg") for row in ROWS]
    (found,) = load_sets(table(tmp_path, rows=rows))
    assert found.recordings[0].examples == ("0/x.jpg", "1/x.jpg", "1/z.jpg")


def test_a_folder_gives_its_sets_by_name(tmp_path):
    table(tmp_path)
    table(tmp_path, name="DIGITS")
    assert [found.name for found in load_sets(tmp_path)] == ["DIGITS", "FACES"]
    assert [found.name for found in load_sets(tmp_path, ("FACES",))] == ["FACES"]
    with pytest.raises(AssayError, match="has no set 'FACE': did you mean 'FACES'"):
        load_sets(tmp_path, ("FACE",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head": HEAD.replace("true", "label")}, "no column 'true'"),
        ({"rows": [*ROWS, "w.jpg\t1\tone\t0\t0.5\t1\t1"]}, "cannot be read as a table"),
        ({"rows": [*ROWS, "w.jpg\t1\t1\t0\tsure\t1\t1"]}, "cannot be read as a table"),
        ({"rows": [*ROWS, "w.jpg\t1"]}, "cannot be read as a table"),
        ({"rows": [*ROWS, "w.jpg\t1\t\t0\t0.5\t1\t1"]}, "cells without a value in the column 'A_pred'"),
        ({"rows": [*ROWS, "w.jpg\t1\t1\t0\t1.5\t1\t1"]}, "about 'w.jpg' with the confidence 1.5"),
        ({"rows": [*ROWS, "w.jpg\t1\t1\t0\tnan\t1\t1"]}, "cells without a value in the column 'A_conf'"),
        ({"rows": [*ROWS, ROWS[1], ROWS[1]]}, "more than once"),
        ({"rows": []}, "holds no answers"),
        ({"head": "example\ttrue", "rows": ["x\t0"]}, "holds no service's answers"),
        ({"prices": "Index,MLaaS(API),Cost\n0,A,cheap\n"}, "is not a table of prices"),
    ],
)
def test_tables_that_are_none(tmp_path, change, words):
    with pytest.raises(AssayError, match=words) as caught:
        load_sets(table(tmp_path, **change))
    assert "\n" not in str(caught.value)


def test_a_damaged_table_and_an_empty_folder(tmp_path):
    with pytest.raises(AssayError, match="no file or folder"):
        load_sets(tmp_path / "gone")
    with pytest.raises(AssayError, match="holds no recorded answers"):
        load_sets(tmp_path)
    path = table(tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(AssayError, match="cannot be read as a table"):
        load_sets(path)


LABELS = {"a": 0, "b": 1, "c": 2, "d": 2}
OLD = [("a", 0, 0.5), ("b", 1, 0.75), ("c", None, 0.0), ("d", 2, 1.0)]
NEW = [("d", 1, 0.5), ("a", 0, 0.5), ("b", 1, 0.75), ("unlabelled", 0, 0.5)]


def hapi(folder: Path, labels=LABELS, **dated):
    """A folder as HAPI's, of one service at some dates."""
    place = folder / "tasks" / "fer" / "faces" / "x_fer"
    place.mkdir(parents=True)
    keys = ("example_id", "predicted_label", "confidence")
    lines = ["task,dataset,api,date,path,cost_per_10k"]
    for date, rows in (dated or {"20-03-29": OLD, "21-03-29": NEW}).items():
        (place / f"{date}.json").write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        lines.append(f"fer,faces,x_fer,{date},fer/faces/x_fer/{date}.json,10")
    (folder / "tasks" / "meta.csv").write_text("\n".join(lines) + "\n")
    rows = [{"example_id": example, "true_label": label} for example, label in labels.items()]
    (place.parent / "labels.json").write_text(json.dumps(rows))
    return place


def test_dated_recordings_of_hapi(tmp_path):
    hapi(tmp_path)
    (found,) = load_sets(tmp_path)
    old, new = found.recordings
    assert (found.name, found.truth.tolist()) == ("fer/faces", [0, 1, 2])
    assert old.examples == new.examples == ("a", "b", "d")
    assert (old.labels.tolist(), new.labels.tolist()) == ([0, 1, 2], [0, 1, 1])
    assert (old.date, new.date, old.num_classes, old.price_per_10k) == ("20-03-29", "21-03-29", 3, 10)
    assert load_sets(tmp_path / "tasks", ("fer/faces",))[0].recordings[0].labels.tolist() == [0, 1, 2]


def test_one_dated_file(tmp_path):
    place = hapi(tmp_path)
    found = read_dated(place / "20-03-29.json", read_labels(place.parent / "labels.json"))
    assert (found.service, found.dataset, found.date) == ("x_fer", "faces", "20-03-29")
    assert found.labels.tolist() == [0, 1, UNANSWERED, 2]
    assert np.allclose(found.posteriors()[2], 1 / 3)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", ["bird", "dog"], 0.5)], "with \\['bird', 'dog'\\]; one class number is needed"),
        ([("a", 0, "high")], "with the confidence 'high'; a number is needed"),
        ([("a", 0, 7.0)], "with the confidence 7, which is not between 0 and 1"),
        ([("other", 0, 0.5)], "about none of the 4 labelled examples"),
    ],
)
def test_answers_that_are_none(tmp_path, rows, words):
    place = hapi(tmp_path, **{"20-01-01": rows})
    with pytest.raises(AssayError, match=words):
        read_dated(place / "20-01-01.json", LABELS)


def test_without_any_confidence_there_is_none(tmp_path):
    place = hapi(tmp_path, **{"20-01-01": [("a", 0, None), ("b", 2, None)]})
    found = read_dated(place / "20-01-01.json", LABELS)
    assert found.confidence is None
    assert found.posteriors().tolist() == [[1, 0, 0], [0, 0, 1]]


def test_damaged_files_of_hapi(tmp_path):
    place = hapi(tmp_path)
    for text, words in (
        ('[{"example_id": "a"}]', "is not a list of example_id, predicted_label"),
        ('[{"exampl', "is not JSON, or is cut short"),
        ("{}", "is not a list"),
        ("[1]", "is not a list"),
    ):
        (place / "20-03-29.json").write_text(text)
        with pytest.raises(AssayError, match=words):
            load_sets(tmp_path)
    (place / "20-03-29.json").unlink()
    with pytest.raises(AssayError, match="cannot be read"):
        load_sets(tmp_path)
    labels = place.parent / "labels.json"
    labels.write_text('[{"example_id": "a", "true_label": ["x"]}]')
    with pytest.raises(AssayError, match="one class number is needed"):
        load_sets(tmp_path)
    labels.write_text("[]")
    with pytest.raises(AssayError, match="labels nothing"):
        load_sets(tmp_path)
    (tmp_path / "tasks" / "meta.csv").write_text("task,dataset\nfer,faces\n")
    with pytest.raises(AssayError, match="is not HAPI's list"):
        load_sets(tmp_path)


def test_services_asked_about_nothing_in_common(tmp_path):
    hapi(tmp_path, **{"20-01-01": OLD[:1], "21-01-01": OLD[1:]})
    with pytest.raises(AssayError, match="No labelled example of fer/faces was put to all"):
        load_sets(tmp_path)
