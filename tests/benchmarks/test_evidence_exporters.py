"""What the stealing and siblings benchmarks write for the ledger of claims, from whole and from partial runs."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from assay.analysis.claims.claim import load_claims
from assay.analysis.claims.evidence import Book
from assay.base.errors import NothingAssessedError
from assay.methods.finding import Interval, Metric
from assay.studies import Workspace, make_method
from assay.studies.outcome import MethodFacts, Outcome, PartFacts, TargetFacts
from benchmarks.siblings.evidence import CAP, siblings_evidence
from benchmarks.stealing.evidence import stealing_evidence
from benchmarks.stealing.study import SEEDS, answers, foundation, optimisers, strategies, targets, tuning
from benchmarks.studies.claims_evidence import text

NAMES = ("agreement", "surrogate_accuracy", "target_accuracy", "adversarial_fidelity_flipped")


def outcome(cell, value, extra=None):
    method = make_method("stealing.theft", None, cell.options)
    options = method.model_dump(mode="json") | (extra or {})
    facts = MethodFacts(
        name=method.name, version=1, family="stealing", title="", threat_model="", access="", paper="", options=options
    )
    asked = "Caltech-101" if cell.pool == "caltech" else "cifar10 train (auxiliary images)"
    target = TargetFacts(
        name=cell.target.removeprefix("victim:"), digest=cell.target, weights_digest="w", input_shape=(3, 32, 32),
        num_classes=10, preprocessing={}, data={"auxiliary": PartFacts(name=asked, size=9, digest="d")},
    )  # fmt: skip
    interval = Interval(low=value - 0.03, high=value + 0.03, method="Clopper-Pearson")
    metrics = [Metric(name=name, label="", value=value, interval=interval, n=1000) for name in NAMES]
    return Outcome(
        key=f"{abs(hash((cell.table, cell.row, cell.target, cell.pool, cell.seed))):x}", status="done", target=target,
        method=facts, serving={"output": cell.output, "policies": list(cell.policies)}, seed=cell.seed,
        metrics=metrics, started=datetime(2026, 11, 28, tzinfo=UTC), versions={},
    )  # fmt: skip


def keep(folder, cells, value, extra=None):
    workspace = Workspace(folder)
    for cell in cells:
        one = outcome(cell, value(cell), extra)
        workspace.fresh_artefacts(one.key)
        workspace.save(one, {})
    return workspace


def test_stealing_seeds_are_put_together(tmp_path):
    cells = [cell for cell in strategies() if cell.row in ("random + soft", "k-center + soft")]
    kept = [cell for cell in cells if not (cell.pool == "caltech" and cell.seed == 2)]
    gain = {"random + soft": 0.5, "k-center + soft": 0.4}
    workspace = keep(tmp_path / "w", kept, lambda cell: gain[cell.row] + cell.seed / 100, {"a_later_option": None})
    found = stealing_evidence(workspace)
    assert set(found.tables) == {"strategies", "strategies, caltech"}
    random = found.tables["strategies"]["random + soft"]["agreement"]
    assert random.seeds == pytest.approx((0.5, 0.51, 0.52))
    assert len(found.tables["strategies, caltech"]["random + soft"]["agreement"].seeds) == 2
    (claim,) = [claim for claim in load_claims(Book([found])) if claim.id == "A6"]
    checks = {one.what: one.found for one in claim.checks}
    assert checks["k-center below random, 10,000 training images, ours"].verdict == "reproduced"
    assert checks["k-center below random, Caltech-101, ours"].verdict == "reproduced"
    assert checks["entropy above random, 10,000 training images, ours"].missing
    assert claim.own == "proxy agrees"


def test_targets_and_victims_have_rows_and_columns_of_their_own(tmp_path):
    # The pre-trained surrogate's folder may have moved since: only its name counts.
    moved = [*targets(tmp_path / "elsewhere" / "supervised"), *foundation()]
    best = {"small CNN, random start": 0.4}
    workspace = keep(tmp_path / "w", moved, lambda cell: best.get(cell.row, 0.6) + 0.001 * len(cell.target))
    found = stealing_evidence(workspace)
    assert len(found.tables["targets, random start"]) == len(found.tables["targets, pre-trained on Caltech-101"]) == 18
    one = found.tables["targets, random start"]["akamaster/cifar10-resnet20"]["agreement"]
    assert one.high - one.low == pytest.approx(0.06)
    grid = found.tables["foundation"]
    assert set(grid["victim accuracy"]) == set(grid) - {"victim accuracy"}
    assert len(grid["EfficientNet-Lite0, linear probe"]["small CNN, random start"].seeds) == len(SEEDS)


def test_optimisers_wait_for_their_rates(tmp_path):
    rates = list(tuning())
    workspace = keep(tmp_path / "w", [*rates[:-1], *answers()], lambda cell: cell.options["learning_rate"])
    assert set(stealing_evidence(workspace).tables) == {"answers"}
    keep(tmp_path / "w", rates[-1:], lambda cell: cell.options["learning_rate"])
    tuned = [(cell, outcome(cell, cell.options["learning_rate"])) for cell in rates]
    keep(tmp_path / "w", optimisers(tuned), lambda cell: 0.5)
    rows = stealing_evidence(Workspace(tmp_path / "w")).tables["optimisers"]
    assert set(rows) == {"sgd, no momentum", "sgd, momentum 0.9", "adam", "adamw", "lion"}


def test_an_empty_workspace_is_said(tmp_path):
    with pytest.raises(NothingAssessedError, match="no finished trial"):
        stealing_evidence(Workspace(tmp_path / "w"))
    with pytest.raises(NothingAssessedError, match="no finished cell"):
        siblings_evidence(tmp_path)


def attack(part, name, queries, success=None, **described):
    queries = [queries] * 40 if isinstance(queries, int) else queries
    return {
        "part": part, "attack": name, "queries": queries, "success": success or [True] * len(queries),
        "rows": list(range(len(queries))), **described,
    }  # fmt: skip


def alike(part, cosine, transfer, **described):
    similarity = {"gradient_cosine": [cosine, cosine - 0.01, cosine + 0.01]}
    similarity["transfer_to_target"] = [transfer, transfer - 0.02, transfer + 0.02]
    return {"part": part, "similarity": similarity, **described}


def write(folder, cells):
    for i, cell in enumerate(cells):
        (folder / f"{len(list(folder.iterdir()))}-{i}.json").write_text(json.dumps(cell))


def test_pairs_are_compared_with_the_cheapest_attack_without(tmp_path):
    base = {"target": "t", "prior": "nothing"}
    held = {"target": "t", "prior": "int8"}
    write(tmp_path, [attack("pairs", "p-rgf", 400, **base), attack("pairs", "gfcs", 900, [False] * 40, **base)])
    write(tmp_path, [attack("pairs", "gfcs", 4, **held), alike("pairs", 0.9, 0.8, **held)])
    row = siblings_evidence(tmp_path).tables["pairs"]["t | int8"]
    assert row["gfcs times cheaper"].value == CAP / 4  # failures count as the cap
    assert "times cheaper" not in row
    write(tmp_path, [attack("pairs", "square", 100, **base), attack("pairs", "p-rgf", 20, **held)])
    row = siblings_evidence(tmp_path).tables["pairs"]["t | int8"]
    assert row["times cheaper"].value == 25
    assert row["p-rgf times cheaper"].value == 20
    assert row["gradient_cosine"].value == 0.9


def test_ratios_are_taken_on_common_images(tmp_path):
    queries = np.arange(1, 81).tolist()
    write(tmp_path, [attack("pairs", "gfcs", queries, target="t", prior="nothing")])
    write(tmp_path, [attack("pairs", "gfcs", queries[:40], target="t", prior="int8")])
    found = siblings_evidence(tmp_path).tables["pairs"]["t | int8"]["gfcs times cheaper"]
    assert (found.value, found.n) == (1.0, 40)


def test_claims_and_unpairing_reach_the_ledger(tmp_path):
    for i in range(6):
        base, held = {"target": f"t{i}", "prior": "nothing"}, {"target": f"t{i}", "prior": "int8"}
        write(tmp_path, [attack("claims", name, 500, **base) for name in ("p-rgf", "gfcs", "square")])
        write(tmp_path, [attack("claims", name, 50 - 8 * i, **held) for name in ("p-rgf", "gfcs")])
        write(tmp_path, [alike("claims", 0.2 + i / 10, 0.5, **held)])
    order = "{}, weight 30, rate 0.03, 38000 images x {}, gradients of 25%"
    for name, cosine, transfer in (
        ("paired", 0.95, 0.9),
        (order.format("unpair-then-compress", 5), 0.05, 0.04),
        (order.format("compress-then-unpair", 2), 0.06, 0.3),
    ):
        write(tmp_path, [alike("unpairing", cosine, transfer, sibling=name, accuracy=0.9)])
        for how, dear in (("plain", 60), ("averaged", 50), ("fine-tuned", 8), ("fine-tuned, averaged", 30)):
            cost = 4 if name == "paired" else dear
            for kind in ("p-rgf", "gfcs"):
                write(tmp_path, [attack("unpairing", kind, cost, sibling=name, attacker=how)])
    found = siblings_evidence(tmp_path)
    assert found.tables["correlations"]["gradient_cosine"]["gfcs"].value == pytest.approx(1.0)
    verdicts = {claim.id: claim for claim in load_claims(Book([found])) if claim.id.startswith("C")}
    assert {name: claim.own for name, claim in verdicts.items()} == {
        "C1": "scope-limited",
        "C2": "reproduced",
        "C3": "reproduced",
        "C4": "scope-limited",  # 15 times dearer for the naive attacker, twice for the strongest of four
        "C5": "reproduced",
    }
    assert [one.found.missing for one in verdicts["C4"].checks] == [False] * 4


def test_the_text_study_reaches_the_ledger(tmp_path):
    starts = {
        f"word vectors of MiniLM, {start}": {
            "budget": 400, "agreement": [value, value + 0.01, value + 0.02], "agreement_at": {"50": [0.5, 0.5, 0.6]},
        }
        for start, value in (("pre-trained", 0.9), ("random", 0.55))
    }  # fmt: skip
    file = tmp_path / "text.json"
    file.write_text(json.dumps({"study": "text", "tables": {"starts": starts}}))
    found = text(file)
    row = found.tables["starts"]["word vectors of MiniLM, random"]
    assert set(row) == {"agreement", "agreement_at_50"}
    assert row["agreement"].seeds == pytest.approx((0.55, 0.56, 0.57))
    (claim,) = [claim for claim in load_claims(Book([found])) if claim.id == "B4"]
    assert {one.found.verdict for one in claim.checks if not one.found.missing} == {"reproduced"}
    assert claim.own == "proxy agrees"  # the other checks were not run
