"""Nulls: p-values, which clean networks count, and files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access import WhiteBox
from assay.base.errors import DataError, LoadError
from assay.methods.backdoor.models.null import (
    FEWEST_ALIKE,
    FEWEST_MODELS,
    CleanModel,
    Kind,
    calibrate,
    judge,
    kind_of,
    load_nulls,
    p_value,
    save_nulls,
    shipped_nulls,
)
from methods.backdoor.models.toys import toy_target
from oracles import backdoor as oracle

GREY, COLOUR, GREY_VIT = (
    Kind(labels=10, channels=1, side=28),
    Kind(labels=10, channels=3, side=28),
    Kind(labels=10, channels=1, side=28, transformer=True),
)


def models(kind, values, start=0):
    return [CleanModel(model=f"{start + i}", kind=kind, statistics=dict(v)) for i, v in enumerate(values)]


def normal(count, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    return [{"a": shift + random.normal(), "b": 10 + 5 * random.normal()} for _ in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=5, max_size=30), st.floats(-8, 8))
def test_the_p_value_is_never_below_the_rank(clean, statistic):
    rank = (1 + sum(value >= statistic for value in clean)) / (len(clean) + 1)
    assert rank <= p_value(statistic, np.array(clean)) <= 1


def test_the_p_value_holds_for_clean_networks():
    random = np.random.default_rng(1)
    for draw in (random.normal, lambda size: random.gamma(1.5, size=size)):
        alarms = [p_value(draw(size=1)[0], draw(size=30)) <= 0.05 for _ in range(600)]
        assert np.mean(alarms) <= 0.055


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_a_slow_reference_in_which_no_network_measures_itself(seed):
    clean, odd = normal(24, seed), {"a": 1.8, "b": 12.0}
    judged = judge("x", odd, GREY, {"x": models(GREY, clean)})
    assert judged.p_value == pytest.approx(oracle.p_value_among_clean(odd, clean), rel=1e-9)


def test_networks_are_measured_by_those_most_like_them():
    near = models(GREY, normal(25))
    far = models(COLOUR, normal(25, 1, shift=50.0), 100)
    found = {"x": near + far}
    judged = judge("x", {"a": 8.0, "b": 10.0}, GREY, found)
    assert judged.alarm
    assert judged.models == 50
    assert judged.z_scores["a"] > 5 > 1 > abs(judged.z_scores["b"])
    assert not judge("x", {"a": 50.0, "b": 10.0}, COLOUR, found).alarm
    assert judge("x", {"a": 58.0, "b": 10.0}, COLOUR, found).alarm
    few = {"x": near[:FEWEST_ALIKE] + far}
    assert judge("x", {"a": 8.0, "b": 10.0}, GREY, few).z_scores["a"] > 5
    assert judge("x", {"a": 8.0, "b": 10.0}, GREY_VIT, few).z_scores["a"] > 5, "channels count before architecture"
    fewer = {"x": near[: FEWEST_ALIKE - 1] + far}
    assert abs(judge("x", {"a": 8.0, "b": 10.0}, GREY, fewer).z_scores["a"]) < 3, "too few grey ones to measure by"


def test_networks_with_batch_normalisation_are_measured_by_such():
    plain, normed = (GREY.model_copy(update={"normalised": known}) for known in (False, True))
    found = {"x": models(plain, normal(25)) + models(normed, normal(25, 1, shift=50.0), 100)}
    assert judge("x", {"a": 8.0, "b": 10.0}, plain, found).alarm
    assert not judge("x", {"a": 50.0, "b": 10.0}, normed, found).alarm
    assert not judge("x", {"a": 8.0, "b": 10.0}, GREY, found).alarm, "it is not known which of them it is like"


def test_clean_networks_of_several_kinds_are_seldom_flagged():
    null = {"x": models(GREY, normal(30)) + models(COLOUR, normal(14, 1, shift=50.0), 100)}
    fresh = [(GREY, row) for row in normal(300, 5)] + [(COLOUR, row) for row in normal(300, 6, shift=50.0)]
    flags = np.array([judge("x", row, kind, null).alarm for kind, row in fresh])
    assert flags[:300].mean() < 0.09
    assert flags[300:].mean() < 0.09


def test_any_statistic_can_raise_the_alarm_and_none_does_for_an_ordinary_network():
    null = {"x": models(GREY, normal(40))}
    assert judge("x", {"a": 0.0, "b": 60.0}, GREY, null).alarm
    flagged = [judge("x", row, GREY, null).alarm for row in normal(200, seed=5)]
    assert np.mean(flagged) < 0.1


def test_too_few_or_other_networks_give_no_p_value():
    null = {"x": models(GREY, normal(FEWEST_MODELS - 1))}
    for detector, labels in (("x", 10), ("y", 10), ("x", 100)):
        judged = judge(detector, {"a": 9.0, "b": 9.0}, Kind(labels=labels, channels=1, side=28), null)
        assert judged.p_value is None
        assert not judged.alarm
    many = {"x": models(GREY, normal(40))}
    assert judge("x", {"a": 9.0, "b": 9.0}, Kind(labels=21, channels=1, side=28), many).p_value is None
    assert judge("x", {"a": 9.0, "b": 9.0}, Kind(labels=20, channels=1, side=28), many).p_value is not None


def test_images_of_another_size_say_nothing_and_a_network_is_not_compared_with_itself():
    null = {"x": models(GREY, normal(40))}
    for side, known in ((14, True), (56, True), (13, False), (57, False)):
        judged = judge("x", {"a": 9.0, "b": 9.0}, Kind(labels=10, channels=1, side=side), null)
        assert (judged.p_value is not None) is known
    itself = CleanModel(model="itself", kind=GREY, statistics={"a": 9.0, "b": 9.0}, weights="abc")
    assert judge("x", itself.statistics, GREY, {"x": [*null["x"], itself]}, "abc").alarm
    assert judge("x", itself.statistics, GREY, {"x": [*null["x"], itself]}, "abc") == judge(
        "x", itself.statistics, GREY, null, ""
    )
    assert judge("x", itself.statistics, GREY, {"x": [*null["x"], itself]}, "abd").models == 41


def test_a_statistic_that_does_not_apply_is_compared_among_networks_that_have_it():
    with_c = [{**row, "c": 0.1 * row["a"]} for row in normal(25, 8)]
    null = {"x": calibrate([*models(GREY, with_c), *models(GREY, normal(25, 9), 100)], ["c"])}
    has = judge("x", {"a": 0.0, "b": 10.0, "c": 3.0}, GREY, null)
    assert has.models == 25
    assert has.alarm
    lacks = judge("x", {"a": 0.0, "b": 10.0}, GREY, null)
    assert lacks.models == 50
    assert set(lacks.z_scores) == {"a", "b"}


def test_calibration_refuses_what_is_no_null():
    with pytest.raises(DataError, match="at least"):
        calibrate(models(GREY, normal(5)))
    with pytest.raises(DataError, match="differs"):
        calibrate([*models(GREY, normal(30)), CleanModel(model="z", kind=GREY, statistics={"a": 1.0})])
    with pytest.raises(DataError, match="differs"):
        calibrate([*models(GREY, normal(30)), CleanModel(model="z", kind=GREY, statistics={"a": 1.0})], ["c"])
    with pytest.raises(DataError, match="finite"):
        calibrate([*models(GREY, normal(30)), CleanModel(model="z", kind=GREY, statistics={"a": 1.0, "b": np.inf})])


def test_files_come_back(tmp_path):
    nulls = {"x": calibrate(models(GREY, normal(20))), "y": calibrate(models(COLOUR, normal(19)))}
    save_nulls(nulls, tmp_path / "null.json")
    assert load_nulls(tmp_path / "null.json") == nulls
    (tmp_path / "null.json").write_text("{")
    with pytest.raises(LoadError, match="null"):
        load_nulls(tmp_path / "null.json")
    shipped_nulls()


def test_the_kind_of_a_network():
    plain = Kind(labels=3, channels=3, side=6, normalised=False)
    assert kind_of(WhiteBox(toy_target(classes=3, shape=(3, 6, 8)))) == plain
    target = toy_target()
    target.module.add_module("norm", torch.nn.LayerNorm(3))
    assert kind_of(WhiteBox(target)).transformer
