import numpy as np
import pytest

from assay.access import Answers
from assay.methods.check import check_finding
from assay.methods.finding import Finding
from assay.methods.membership.attack import Part, Population
from assay.methods.membership.results import accuracies, auc_metric, gap_metrics, of_members, of_non_members, samples_of
from assay.methods.membership.verdict import verdict


def part(rows, labels, predicted):
    return Part(np.array(rows), np.array(labels), Answers(np.array(predicted), None))


PEOPLE = Population(part([4, 7, 9], [0, 1, 1], [0, 1, 0]), part([2, 3], [1, 0], [1, 1]), "")


def test_samples_are_members_first_each_with_its_part_and_role():
    scores = {"loss": (np.array([3.0, 2.0, 1.0]), np.array([0.5, 0.4]))}
    found = samples_of(PEOPLE, scores, accuracies(*PEOPLE.right), {"size": np.arange(5.0)})
    assert found.row.tolist() == [4, 7, 9, 2, 3]
    assert found.part.tolist() == ["members"] * 3 + ["non_members"] * 2
    assert found.positive.tolist() == [True] * 3 + [False] * 2
    assert found.scores["auc_loss"].tolist() == [3.0, 2.0, 1.0, 0.5, 0.4]
    assert np.nanmean(found.outcomes["train_accuracy"]) == pytest.approx(2 / 3)
    assert np.nanmean(found.outcomes["test_accuracy"]) == pytest.approx(1 / 2)
    assert found["predicted"].tolist() == [0, 1, 0, 1, 1]
    assert found["size"].tolist() == [0, 1, 2, 3, 4]
    auc = auc_metric("loss", scores["loss"])
    finding = Finding(metrics=[auc, *gap_metrics(*PEOPLE.right)], verdict=verdict(auc), samples=found)
    check_finding(finding, "membership.test", None)


def test_only_those_who_were_judged_are_kept():
    found = samples_of(PEOPLE, {"loss": (np.array([1.0]), np.array([0.0]))}, kept=np.array([1, 4]))
    assert found.row.tolist() == [7, 3]
    assert found.part.tolist() == ["members", "non_members"]
    assert found["label"].tolist() == [1, 0]


def test_flags_count_for_their_own_kind_alone():
    flags = (np.array([True, False]), np.array([True]))
    assert of_members(flags)[:2].tolist() == [1.0, 0.0]
    assert np.isnan(of_members(flags)[2:]).all()
    assert of_non_members(flags)[2:].tolist() == [1.0]
    assert np.isnan(of_non_members(flags)[:2]).all()
