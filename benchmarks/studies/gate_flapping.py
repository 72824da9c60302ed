"""Whether the gate flaps: an unchanged model measured again under other seeds, and models with planted regressions.

    python -m benchmarks.studies.gate_flapping WORKSPACE [--seeds 20]

Audits `starter/digits-cnn` (quick preset) under seed 0, the baseline, and under as many other seeds, which redraw the
images, the splits and everything that methods draw. Prints how often comparisons without any tolerance fail it with
one-sided 97.5 % bounds and with the gate's; what the policy of docs/ci.md says; each metric's spread over the seeds
beside its interval; and the same policy on an overfitted, a backdoored and another network. Needs no data; ten minutes
of one core.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from assay.analysis.difference import tail
from assay.api import audit
from assay.methods.finding import Metric
from assay.reports.gate.baseline import Measured, compare
from assay.reports.gate.check import check
from assay.reports.gate.policy import Policy, read_policy
from assay.reports.report import assemble
from assay.reports.results import Result

UNCHANGED = "starter/digits-cnn"
PLANTED = ("starter/digits-cnn-overfitted", "starter/digits-cnn-backdoored", "starter/digits-mlp-deep")
PLANTED_SEEDS = 5

WATCHED = {
    "stealing.basic": ("agreement", "surrogate_accuracy", "kl_divergence"),
    "membership.metrics": ("auc_modified_entropy", "overfitting_gap", "balanced_accuracy"),
    "membership.mlp": ("auc_mlp_full",),
    "backdoor.strip": ("trigger_success", "strip_auroc", "patch_lead"),
    "evasion.fgsm": ("success_at_0.1", "clean_accuracy"),
    "evasion.transfer": ("success_at_0.1",),
}
"""Metrics compared, in both directions each."""


PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
METHODS = frozenset(re.findall(r"--method (\S+)", PAGE))
"""Those of the recipe."""


def policy_of_the_recipe() -> Policy:
    """The policy that docs/ci.md recommends."""
    found = re.search(r'```toml title="assay-policy.toml"\n(.*?)```', PAGE, re.DOTALL)
    assert found is not None
    with TemporaryDirectory() as folder:
        file = Path(folder) / "assay-policy.toml"
        file.write_text(found[1])
        return read_policy(file)


def measured(model: str, seeds: Iterable[int], workspace: Path) -> list[Result]:
    """The result of each seed, in a workspace of its own."""
    found = []
    for seed in seeds:
        print(f"{model}, seed {seed}", flush=True)
        place = workspace / f"{model.replace('/', '-')}-{seed}"
        found.append(Result(audit(model, seed=seed, workspace=place).report, place / "artefacts"))
    return found


def of_the_recipe(result: Result) -> Result:
    """The same with the methods of the recipe only."""
    kept = [outcome for outcome in result.report.outcomes if outcome.method.name in METHODS]
    return Result(assemble(kept), result.artefacts)


def number(result: Result, method: str, name: str) -> Measured:
    """One metric of a result."""
    outcome = next(outcome for outcome in result.report.outcomes if outcome.method.name == method)
    return Measured(outcome.metric(name), outcome, result.artefacts)


def fails(new: Result, old: Result, alpha: float) -> list[str]:
    """The watched metrics that differ by more than nothing, at one-sided 1 - ``alpha``."""
    moved = []
    for method, names in WATCHED.items():
        for name in names:
            difference = compare(number(new, method, name), number(old, method, name), alpha)
            if difference.low > 0 or difference.high < 0:
                moved.append(f"{method} {name}")
    return moved


def table(rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    head, *body = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body]) + "\n"


def chance(results: Sequence[Result]) -> str:
    """How often an unchanged model fails comparisons without tolerance."""
    bounds = 2 * sum(len(names) for names in WATCHED.values())
    rows: list[list[object]] = [["bounds", "runs that fail against seed 0", "ordered pairs of runs that fail"]]
    for words, alpha in (("97.5 %, each", 0.025), ("the gate's", tail(bounds))):
        against = [fails(new, results[0], alpha) for new in results[1:]]
        pairs = [fails(new, old, alpha) for new, old in permutations(results, 2)]
        rows.append([words, f"{sum(map(bool, against))} of {len(against)}", f"{sum(map(bool, pairs))} of {len(pairs)}"])
    return f"{bounds} comparisons a run.\n\n{table(rows)}"


def spread(results: Sequence[Result]) -> str:
    """Each metric over the seeds, beside what its own interval says."""
    bounds = 2 * sum(len(names) for names in WATCHED.values())
    pairs = list(permutations(results, 2))
    failing = [Counter(name for new, old in pairs for name in fails(new, old, a)) for a in (0.025, tail(bounds))]
    rows: list[list[object]] = [
        ["metric", "mean", "deviation over seeds", "by its interval", "ratio", "pairs fail, 97.5 %", "the gate's"]
    ]
    for method, names in WATCHED.items():
        for name in names:
            metrics = [number(result, method, name).metric for result in results]
            values = np.array([metric.value for metric in metrics], np.float64)
            own = float(np.mean([_error(metric) for metric in metrics]))
            deviation = float(values.std(ddof=1))
            rows.append([f"`{method} {name}`", f"{values.mean():.3f}", f"{deviation:.4f}", f"{own:.4f}",
                         f"{deviation / own:.2f}", *(counts[f"{method} {name}"] for counts in failing)])  # fmt: skip
    return table(rows)


def _error(metric: Metric) -> float:
    assert metric.interval is not None
    return (metric.interval.high - metric.interval.low) / (2 * 1.96)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    policy = policy_of_the_recipe()
    results = measured(UNCHANGED, range(options.seeds + 1), options.workspace)
    baseline = results[0]
    changed = {model: measured(model, range(1, PLANTED_SEEDS + 1), options.workspace) for model in PLANTED}
    gates = {}
    for model, ran in {UNCHANGED: results[1:], **changed}.items():
        gates[f"`{model}`"] = [check(policy, [of_the_recipe(one)], [of_the_recipe(baseline)]) for one in ran]
        gates[f"`{model}`, whole preset"] = [check(policy, [one], [baseline]) for one in ran]
    rows: list[list[object]] = [["model", "runs that fail", "by"]]
    for model, judged in gates.items():
        by = sorted({f"`{one.rule.subject}`" for gate in judged for one in gate.having("failed")})
        rows.append([model, f"{sum(gate.exit_code == 1 for gate in judged)} of {len(judged)}", ", ".join(by)])
    print(f"\nWithout tolerance: {chance(results)}\nThe policy of the recipe:\n\n{table(rows)}\n{spread(results)}")


if __name__ == "__main__":
    main()
