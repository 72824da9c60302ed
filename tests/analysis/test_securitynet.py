"""SecurityNet's claims, recomputed from its released table."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.analysis.securitynet import Analysis, Quantity, analyse
from assay.base.intervals import Bounds
from assay.catalogue.importers.securitynet import read_tables

EXPECTED = [
    ("D1", "r(agreement, attack accuracy), five data sets", 0.9875, 263),
    ("D1", "... with the medical models", 0.676, 437),
    ("D1", "... medical models alone", 0.205, 174),
    ("D2a", "r(attack, task accuracy), CIFAR-10", -0.703, 47),
    ("D2b", "r(attack, task accuracy), SVHN", -0.579, 40),
    ("D2c", "r(attack, task accuracy), ImageNet-1k", -0.739, 117),
    ("D2c", "... without resnesta152", -0.743, 116),
    ("D2c", "... and task accuracy over 0.5", -0.805, 115),
    ("D2c", "... and task accuracy over 0.6", -0.872, 109),
    ("D2d", "r(attack, task accuracy), CIFAR-100", -0.780, 45),
    ("D2e", "r(attack, task accuracy), CUB", -0.637, 14),
    ("D3a", "mean attack accuracy, ImageNet-1k", 0.380, 117),
    ("D3a", "mean task accuracy, ImageNet-1k", 0.720, 117),
    ("D3a", "mean attack over mean task accuracy, ImageNet-1k", 0.528, 117),
    ("D3b", "mean attack over mean task accuracy, CIFAR-10", 0.7915, 47),
    ("D3c", "mean attack over mean task accuracy, SVHN", 0.9503, 40),
    ("D3d", "mean attack over mean task accuracy, CIFAR-100", 0.561, 45),
    ("D3e", "mean attack over mean task accuracy, CUB", 0.371, 14),
    ("D4", "relative drop of attack accuracy with ImageNet queries, SVHN", 0.307, 40),
    ("D4", "relative drop of attack accuracy with ImageNet queries, CIFAR-10", 0.201, 47),
    ("D4", "relative drop of attack accuracy with ImageNet queries, CIFAR-100", 0.432, 45),
    ("D4", "relative drop of attack accuracy with ImageNet queries, CUB", 0.219, 14),
    ("D4", "absolute drop of attack accuracy with ImageNet queries, SVHN", 0.284, 40),
    ("D4", "absolute drop of attack accuracy with ImageNet queries, CIFAR-10", 0.153, 47),
    ("D4", "absolute drop of attack accuracy with ImageNet queries, CIFAR-100", 0.193, 45),
    ("D4", "absolute drop of attack accuracy with ImageNet queries, CUB", 0.055, 14),
    ("D5", "relative drop of attack accuracy with a WRN-50 surrogate, SVHN", 0.056, 40),
    ("D5", "relative drop of attack accuracy with a WRN-50 surrogate, CIFAR-10", 0.233, 47),
    ("D5", "relative drop of attack accuracy with a WRN-50 surrogate, CIFAR-100", 0.498, 45),
    ("D6", "attack accuracy at most 0.4, ImageNet-1k models over 0.75", 1.0, 50),
    ("D7", "lowest attack accuracy released, ImageNet-1k", 0.0173, 117),
    ("D8", "r(modified-entropy AUC, gap), CIFAR-10", 0.148, 47),
    ("D8", "r(modified-entropy AUC, gap), ImageNet-1k", 0.927, 104),
    ("D8", "r(modified-entropy AUC, gap), SVHN", -0.351, 40),
    ("D8", "r(modified-entropy AUC, gap), CIFAR-100", 0.389, 45),
    ("D8", "r(modified-entropy AUC, gap), CUB", -0.072, 14),
    ("D8", "... five data sets", 0.894, 250),
    ("D9", "mean modified-entropy AUC, CIFAR-10 and SVHN", 0.547, 87),
    ("D9", "... CIFAR-10", 0.553, 47),
    ("D9", "... SVHN", 0.540, 40),
    ("D9", "... ImageNet-1k", 0.5654, 104),
    ("D10", "modified-entropy AUC over 0.8, CUB", 12 / 14, 14),
    ("D10", "... under 0.6, CIFAR-10 and ImageNet-1k", 149 / 151, 151),
    ("D11", "r(correctness AUC, gap), CIFAR-10", 0.986, 47),
    ("D11", "r(correctness AUC, gap), ImageNet-1k", 0.963, 104),
    ("D11", "r(correctness AUC, gap), CIFAR-100", 0.984, 45),
    ("D11", "r(correctness AUC, gap), CUB", 0.972, 14),
    ("D11", "r(correctness AUC, gap), SVHN", -0.445, 40),
    ("D11", "largest |AUC - (0.5 + gap/2)|, benchmark", 0.011, 250),
    ("D11", "largest |AUC - (0.5 + gap/2)|, security", 0.0, 92),
    ("D12", "r(attack, task accuracy), security models, CIFAR-10", 0.979, 72),
    ("D12", "... resnet", 0.961, 36),
    ("D12", "... vgg", 0.930, 36),
    ("D14", "r(attack accuracy, agreement), security models, CIFAR-10", -0.581, 72),
    ("D14", "lowest agreement, security models, CIFAR-10", 0.783, 72),
    ("D14", "highest agreement, security models, CIFAR-10", 0.829, 72),
    ("D14", "lowest attack accuracy, security models, CIFAR-10", 0.642, 72),
    ("D14", "highest attack accuracy, security models, CIFAR-10", 0.735, 72),
    ("D15", "r(modified-entropy AUC, gap), CIFAR-10, benchmark and security", 0.573, 119),
    ("D15", "r(modified-entropy AUC, gap), CIFAR-10, security", 0.985, 72),
    ("D15", "mean modified-entropy AUC, gap 0.02 to 0.04, security", 0.5226, 46),
    ("D15", "mean modified-entropy AUC, gap 0.02 to 0.04, benchmark", 0.5521, 36),
    ("D15", "mean modified-entropy AUC, gap 0.04 to 0.06, security", 0.5293, 10),
    ("D15", "mean modified-entropy AUC, gap 0.04 to 0.06, benchmark", 0.5557, 11),
    ("D17", "mean task accuracy, CIFAR-100", 0.794, 45),
    ("D18", "r(year, attack accuracy), ImageNet-1k", -0.355, 117),
    ("D18", "r(year, task accuracy), ImageNet-1k", 0.162, 117),
    ("D18", "r(year, attack accuracy) given task accuracy", -0.353, 117),
    ("D19", "mean attack accuracy, venues of the kind CV, ImageNet-1k", 0.382, 82),
    ("D19", "mean attack accuracy, venues of the kind ML, ImageNet-1k", 0.417, 21),
    ("D19", "mean attack accuracy, venues of the kind arXiv, ImageNet-1k", 0.315, 14),
    ("D19", "p of a difference of attack accuracy between kinds of venue", 0.126, 117),
    ("D19", "r(year, modified-entropy AUC), ImageNet-1k", 0.067, 104),
    ("D19", "p of a difference of modified-entropy AUC between kinds of venue", 0.0009, 104),
]
"""Claim, quantity, the value to its last printed digit, and the number of models."""

RHO = {"D2a": -0.365, "D2b": -0.305, "D2c": -0.870, "D2d": -0.867, "D18": -0.278}
INTERVALS = {"D1": (0.983, 0.991), "D2a": (-0.845, -0.404), "D2b": (-0.749, -0.250), "D2d": (-0.850, -0.708)}
LEVERAGE = {
    "cifar10": [-0.703, -0.521, -0.172, 0.125],
    "svhn": [-0.579, -0.382, -0.078, -0.033],
    "cifar100": [-0.780, -0.762, -0.765, -0.751],
}
VERDICTS = {
    "r(agreement, attack accuracy), five data sets": "same sign",
    "r(attack, task accuracy), CIFAR-10": "within the interval",
    "r(attack, task accuracy), ImageNet-1k": "within the interval",
    "r(attack, task accuracy), CIFAR-100": "within the interval",
    "relative drop of attack accuracy with a WRN-50 surrogate, CIFAR-10": "further off",
    "mean modified-entropy AUC, CIFAR-10 and SVHN": "further off",
    "attack accuracy of RegNetY-320, ImageNet-1k": "not testable",
}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    import os

    path = Path(os.environ["ASSAY_DATA"]) / "securitynet" / "Database_README.MD"
    if not path.exists():
        pytest.skip("needs SecurityNet's table")
    return analyse(read_tables(path))


@pytest.mark.data
@pytest.mark.parametrize(("claim", "label", "value", "n"), EXPECTED)
def test_each_recomputed_value(analysis: Analysis, claim: str, label: str, value: float, n: int) -> None:
    (found,) = [q for q in analysis.quantities if (q.claim, q.label) == (claim, label)]
    digits = len(f"{value:.4f}".rstrip("0").partition(".")[2])
    assert found.n == n
    assert found.value == pytest.approx(value, abs=0.75 * 10 ** -max(3, digits))


@pytest.mark.data
def test_ranks_intervals_leverage_and_verdicts(analysis: Analysis) -> None:
    first = {}
    for quantity in analysis.quantities:
        first.setdefault(quantity.claim, quantity)
        if quantity.label in VERDICTS:
            assert quantity.verdict == VERDICTS[quantity.label]
    for claim, rho in RHO.items():
        assert first[claim].rho == pytest.approx(rho, abs=1e-3)
    for claim, (low, high) in INTERVALS.items():
        interval = first[claim].interval
        assert interval is not None
        # Bootstrap intervals of another program: near, though ours are on another scale.
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.08)
    for name, values in LEVERAGE.items():
        assert [step.r for step in analysis.leverage[name]] == pytest.approx(values, abs=1e-3)
    assert {f"D{i}" for i in range(1, 21)} == {q.claim.rstrip("abcde") for q in analysis.quantities}


@pytest.mark.data
def test_p_values_are_adjusted_over_all_correlations(analysis: Analysis) -> None:
    asked = [q for q in analysis.quantities if q.p is not None]
    assert len(asked) > 30
    for quantity in asked:
        assert quantity.p <= quantity.bh <= quantity.holm <= 1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("paper", "value", "p", "verdict"),
    [
        (0.5, None, None, "not testable"),
        (None, 0.5, None, "not in the paper"),
        (0.5, 0.55, None, "within the interval"),
        (0.8, 0.55, 0.01, "same sign"),
        (-0.8, 0.55, 0.01, "other sign"),
        (0.8, 0.55, None, "further off"),
    ],
)
def test_verdicts(paper: float | None, value: float | None, p: float | None, verdict: str) -> None:
    interval = Bounds(0.45, 0.65, 0.95, "bootstrap")
    assert Quantity("D0", "x", paper, value, interval, p=p).verdict == verdict
