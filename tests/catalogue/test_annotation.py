from __future__ import annotations

from pathlib import Path

import pytest

from assay.base.errors import DataError, LoadError, UsageError
from assay.catalogue.annotation import Project, parse_assignments, parse_value, to_text
from assay.catalogue.card import add_card
from assay.catalogue.catalogue import load_catalogue
from assay.catalogue.keep import keep_listing

RECORD = "pytorchcv/resnet20_svhn"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "annotations")
    for name in ("ann", "ben", "cem"):
        project.add_coder(name)
    return project


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("year", "2016", 2016),
        ("dataset", "CIFAR-10", "cifar10"),
        ("input", "3x32x32", (3, 32, 32)),
        ("country", "USA; China", ("USA", "China")),
        ("dropout", "True", True),
        ("topic", "medical", "medical"),
        ("top1", "0.93", 0.93),
    ],
)
def test_values_from_text_and_back(name: str, text: str, value: object) -> None:
    assert parse_value(name, text) == value
    again = parse_value(name, to_text(name, value))
    assert (sorted(again) if name == "country" else again) == (sorted(value) if name == "country" else value)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("venu", "CVPR", "The codebook has no code 'venu': did you mean 'venue' or 'venue_type'?"),
        ("year", "last", "year cannot be 'last': it is a number."),
        ("year", "1066", "Year is 1066, but input should be greater than or equal to 1990."),
        ("topic", "medicine", "topic cannot be 'medicine': did you mean 'medical'?"),
        ("input", "32", "Input is (32,)"),
        ("input", "3 by 3", "input cannot be '3 by 3': it is channels x height x width, such as 3x32x32."),
        ("dropout", "perhaps", "dropout cannot be 'perhaps': it is true or false."),
        ("dataset", "CIFAR-11", "There is no data set 'CIFAR-11' in the table"),
    ],
)
def test_values_that_a_code_cannot_have(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(name, text)
    assert message in str(caught.value)


def test_an_unknown_coder_is_refused_and_the_nearest_named(project: Project) -> None:
    with pytest.raises(UsageError, match=r"There is no coder 'anne' in .*: did you mean 'ann'"):
        project.annotate("anne", RECORD, {"year": "2016"})
    with pytest.raises(UsageError, match="letters, digits"):
        project.add_coder("ann/../x")


def test_assignments() -> None:
    assert parse_assignments(["venue=CVPR", "paper=https://x/?a=b"]) == {"venue": "CVPR", "paper": "https://x/?a=b"}
    with pytest.raises(UsageError, match="'venue' is not of the form code=value"):
        parse_assignments(["venue"])


def test_annotating_again_replaces_and_shows_disagreement(project: Project) -> None:
    assert project.annotate("ann", RECORD, {"venue": "CVPR", "year": "2015"}) == []
    assert project.annotate("ann", RECORD, {"year": "2016"}) == []
    (vote,) = project.annotate("ben", RECORD, {"venue": "ECCV", "year": "2016"})
    assert (vote.code, vote.votes) == ("venue", {"CVPR": ("ann",), "ECCV": ("ben",)})


def test_the_majority_wins_dissent_is_kept_and_ties_stay_open(project: Project, tmp_path: Path) -> None:
    project.annotate("ann", RECORD, {"granularity": "fine", "affiliation": "both", "dataset": "svhn"})
    project.annotate("ben", RECORD, {"granularity": "fine", "affiliation": "industry", "dataset": "SVHN"})
    project.annotate("cem", RECORD, {"granularity": "coarse", "licence": "mit"})
    merged = project.merge()
    (entry,) = merged.majority.entries
    assert (entry.granularity, entry.licence, entry.affiliation, entry.dataset) == ("fine", "mit", None, "svhn")
    assert entry.same_as == (RECORD,)
    assert [vote.code for vote in merged.disagreements] == ["affiliation", "granularity"]
    (dissent,) = merged.dissent
    assert (dissent.source.name, dissent.entries[0].granularity) == ("dissent-cem", "coarse")
    for listing in (merged.majority, *merged.dissent):
        keep_listing(tmp_path / "own", listing)
    record = load_catalogue(tmp_path / "own").get(RECORD)
    assert record.facts.licence == "mit"
    assert record.origins["licence"] == "annotated"
    told = {(conflict.field, conflict.value, conflict.source) for conflict in record.conflicts}
    assert ("granularity", "coarse", "dissent-cem") in told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "ann.jsonl, line 1: this is not JSON"),
        ('{"record":"a/b","code":"venu","value":"x"}', "ann.jsonl, line 1: The codebook has no code 'venu'"),
        ('{"record":"a/b","code":"year","value":"x"}', "ann.jsonl, line 1: year cannot be 'x'"),
        ('{"record":"a/b","code":"year"}', "ann.jsonl, line 1: value is"),
    ],
)
def test_a_damaged_file_of_annotations_is_named(project: Project, line: str, message: str) -> None:
    (project.folder / "ann.jsonl").write_text(line + "\n")
    with pytest.raises(LoadError) as caught:
        project.answers()
    assert message in str(caught.value)


CARD = 'id = "own/mine"\ndataset = "CIFAR-10"\ntop1 = 0.9\ncountry = ["Norway"]\n'


def test_a_card_of_ones_own(tmp_path: Path) -> None:
    card, folder = tmp_path / "card.toml", tmp_path / "own"
    card.write_text(CARD)
    add_card(card, folder)
    record = load_catalogue(folder).get("own/mine")
    assert (record.facts.dataset, record.facts.classes, record.facts.country) == ("cifar10", 10, ("Norway",))
    assert record.origins["top1"] == "own"
    with pytest.raises(DataError, match="A model with the id 'own/mine' was added before"):
        add_card(card, folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = ", "card.toml is not TOML"),
        ('dataset = "svhn"', "card.toml: id is"),
        (CARD + "tpo1 = 0.9", "card.toml: the codebook has no code 'tpo1': did you mean 'top1'"),
        (CARD.replace("0.9", "90"), "card.toml: top1 is 90"),
        (CARD.replace("CIFAR-10", "CIFAR-12"), "There is no data set 'CIFAR-12' in the table"),
    ],
)
def test_a_malformed_card_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    card = tmp_path / "card.toml"
    card.write_text(text)
    with pytest.raises((LoadError, DataError, UsageError)) as caught:
        add_card(card, tmp_path / "own")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
