from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.analysis.measured import measurements, protocol
from assay.analysis.position import meaning, place, standings
from assay.base.intervals import clopper_pearson
from assay.catalogue.catalogue import Catalogue
from assay.catalogue.entry import Entry, Source, listing
from assay.catalogue.measurement import Measurement
from assay.catalogue.merge import merge
from assay.methods.finding import Interval, Metric
from assay.studies.outcome import MethodFacts, Outcome, PartFacts, TargetFacts


def measured(record: str, value: float, how: str = "p", metric: str = "attack_accuracy") -> Measurement:
    return Measurement(record=record, protocol=how, metric=metric, value=value, source="us")


def catalogue(*found: Measurement, dataset: str = "cifar10") -> Catalogue:
    entries = [Entry(id=f"a/{i}", dataset="svhn" if i == 9 else dataset) for i in range(10)]
    return Catalogue(merge([listing(Source(name="a", title="A"), entries)]), found)


@given(value=st.integers(0, 5), others=st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_a_place_is_the_share_below_with_ties_in_half(value: int, others: list[int]) -> None:
    share, interval = place(float(value), [float(other) for other in others])
    wins = sum(1.0 if other < value else 0.5 if other == value else 0.0 for other in others)
    assert share == wins / len(others)
    assert interval == clopper_pearson(wins, len(others))


def test_the_sentence_of_a_report() -> None:
    known = catalogue(*(measured(f"a/{i}", i / 10) for i in range(7)), measured("a/9", 0.99))
    (standing,) = standings(known, known.get("a/5"))
    assert (standing.peers, standing.share) == (6, pytest.approx(5 / 6))
    assert standing.sentence.startswith(
        "More stealable than 83 % of the 6 other CIFAR-10 models measured under the same protocol (p); 95 % interval "
    )


def test_protocols_and_data_sets_are_never_mixed() -> None:
    found = [measured(f"a/{i}", i / 10, "p" if i % 2 else "q") for i in range(9)] + [measured("a/9", 0.5)]
    known = catalogue(*found)
    assert all(standings(known, record) == [] for record in known.records)
    whole = catalogue(*found, *(measured(f"a/{i}", i / 10, "q") for i in range(9)))
    assert [(s.protocol, s.peers) for s in standings(whole, whole.get("a/1"))] == [("q", 8)]


def test_measurements_of_one_model_by_several_people_count_once() -> None:
    found = [measured(f"a/{i}", i / 10) for i in range(6)]
    found += [Measurement(record="a/3", protocol="p", metric="attack_accuracy", value=0.9, source="them")]
    (standing,) = standings(catalogue(*found), catalogue().get("a/3"))
    assert standing.value == pytest.approx(0.6)
    assert standing.peers == 5


def test_a_model_of_an_unknown_data_set_has_no_standing() -> None:
    known = Catalogue(merge([listing(Source(name="a", title="A"), [Entry(id="a/x")])]), [measured("a/x", 0.1)])
    assert standings(known, known.get("a/x")) == []


def outcome(name: str, digest: str, *, size: int = 100, status: str = "done", seed: int = 0) -> Outcome:
    return Outcome(
        key="0" * 64,
        status=status,  # type: ignore[arg-type]
        target=TargetFacts(
            name=name,
            digest="1" * 64,
            weights_digest=digest,
            input_shape=(3, 32, 32),
            num_classes=10,
            preprocessing={},
            data={"members": PartFacts(name="cifar10", size=size, digest=digest)},
        ),
        method=MethodFacts(
            name="membership.loss",
            version=2,
            family="membership",
            title="Loss",
            threat_model="",
            access="posteriors",
            paper="",
            options={"x": 1},
        ),
        serving={"output": "posteriors"},
        seed=seed,
        metrics=[
            Metric(name="auc", label="AUC", value=0.6, interval=Interval(low=0.5, high=0.7, method="DeLong"), n=200),
            Metric(name="tpr", label="TPR", value=None, note="too few"),
        ],
        started=datetime(2026, 1, 1, tzinfo=UTC),
        versions={},
    )


def test_outcomes_join_records_by_the_digest_of_their_weights_or_by_name() -> None:
    digest = "a" * 64
    entries = [Entry(id="a/one", weights_digest=f"sha256:{digest}"), Entry(id="a/two")]
    known = Catalogue(merge([listing(Source(name="a", title="A"), entries)]))
    found = [outcome("other name", digest), outcome("a/two", "b" * 64), outcome("stranger", "c" * 64)]
    joined = measurements([*found, outcome("a/two", "d" * 64, status="failed")], known, "us")
    assert [(m.record, m.metric, m.value, m.low, m.high, m.n) for m in joined.measurements] == [
        ("a/one", "auc", 0.6, 0.5, 0.7, 200),
        ("a/two", "auc", 0.6, 0.5, 0.7, 200),
    ]
    assert joined.unknown == ["stranger"]
    assert joined.summary()[1] == "stranger is not in the catalogue; assay catalogue add adds it."


def test_seeds_of_one_trial_are_one_measurement() -> None:
    known = Catalogue(merge([listing(Source(name="a", title="A"), [Entry(id="a/two")])]))
    first, second = outcome("a/two", "b" * 64), outcome("a/two", "b" * 64, seed=1)
    second = second.model_copy(update={"metrics": [Metric(name="auc", label="AUC", value=0.8)]})
    (one,) = measurements([first, second], known, "us").measurements
    assert (one.value, one.low, one.high) == (pytest.approx(0.7), None, None)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("surrogate_accuracy", "more stealable"),
        ("auc_loss", "leakier about its training data (auc loss)"),
        ("tpr_at_fpr_0.01", "leakier about its training data (tpr at fpr 0.01)"),
        ("success_at_0.03", "more easily evaded (success at 0.03)"),
        ("price", None),
    ],
)
def test_what_a_higher_value_means(metric: str, words: str | None) -> None:
    assert meaning(metric) == words


def test_a_protocol_is_everything_but_the_model_and_the_seed() -> None:
    one, other = outcome("x", "a" * 64), outcome("y", "b" * 64, seed=5)
    assert protocol(one) == protocol(other)
    assert protocol(one).startswith("membership.loss v2 #")
    assert protocol(one) != protocol(outcome("x", "a" * 64, size=200))
