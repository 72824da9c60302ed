"""Slow, obviously right references for membership inference: one sample, one pair, one threshold at a time."""

from __future__ import annotations

import itertools
import math

import scipy.special
import scipy.stats

FLOOR = 1e-30


def log(value: float) -> float:
    return math.log(max(value, FLOOR))


def correctness(row, label):
    return 1.0 if max(range(len(row)), key=lambda c: (row[c], -c)) == label else 0.0


def confidence(row, label):
    return row[label]


def loss(row, label):
    return log(row[label])


def entropy(row, label):
    return sum(p * log(p) for p in row)


def modified_entropy(row, label):
    total = -(1 - row[label]) * log(row[label])
    for c, p in enumerate(row):
        if c != label:
            total -= p * log(1 - p)
    return -total


def log_odds(row, label):
    others = math.fsum(p for c, p in enumerate(row) if c != label)
    return math.log(row[label] + 1e-45) - math.log(others + 1e-45)


def margin(row, label):
    return math.log(row[label] + 1e-45) - math.log(max(p for c, p in enumerate(row) if c != label) + 1e-45)


def auc(members, non_members):
    wins = 0.0
    for a in members:
        for b in non_members:
            wins += 1.0 if a > b else 0.5 if a == b else 0.0
    return wins / (len(members) * len(non_members))


def delong_variance(members, non_members):
    def kernel(a, b):
        return 1.0 if a > b else 0.5 if a == b else 0.0

    value = auc(members, non_members)
    m, n = len(members), len(non_members)
    first = [sum(kernel(a, b) for b in non_members) / n for a in members]
    second = [sum(kernel(a, b) for a in members) / m for b in non_members]
    s_first = sum((v - value) ** 2 for v in first) / (m - 1)
    s_second = sum((v - value) ** 2 for v in second) / (n - 1)
    return s_first / m + s_second / n


def operating_points(members, non_members):
    """(threshold, true positives, false positives) from strict to lax; nothing is flagged at the first."""
    thresholds = sorted({*members, *non_members}, reverse=True)
    return [(math.inf, 0, 0)] + [
        (threshold, sum(s >= threshold for s in members), sum(s >= threshold for s in non_members))
        for threshold in thresholds
    ]


def tpr_at_fpr(members, non_members, rate):
    best = 0.0
    for _, true, false in operating_points(members, non_members):
        if false <= rate * len(non_members) + 1e-12 * len(non_members):
            best = true / len(members)
    return best


def tpr_at_most(members, non_members, false_positives):
    """The true-positive rate of the most permissive threshold that flags so many non-members at most."""
    best = 0.0
    for _, true, false in operating_points(members, non_members):
        if false <= false_positives:
            best = max(best, true / len(members))
    return best


def binomial_quantile(share, n, rate):
    total = 0.0
    for k in range(n + 1):
        total += math.comb(n, k) * rate**k * (1 - rate) ** (n - k)
        if total >= share - 1e-12:
            return k
    return n


def tpr_bounds(members, non_members, rate):
    """Zou and Donner's combination of the interval at a known threshold and of the band of likely thresholds."""
    m, n = len(members), len(non_members)
    value = tpr_at_fpr(members, non_members, rate)
    strict = tpr_at_most(members, non_members, binomial_quantile(0.025, n, rate) - 1)
    lax = tpr_at_most(members, non_members, binomial_quantile(0.975, n, rate))
    hits = round(value * m)
    low = scipy.stats.beta.ppf(0.025, hits, m - hits + 1) if hits else 0.0
    high = scipy.stats.beta.ppf(0.975, hits + 1, m - hits) if hits < m else 1.0
    below = math.sqrt((value - low) ** 2 + (value - strict) ** 2)
    above = math.sqrt((high - value) ** 2 + (lax - value) ** 2)
    return max(0.0, value - below), min(1.0, value + above)


def balanced_accuracy(members, non_members):
    return max(
        (true / len(members) + 1 - false / len(non_members)) / 2
        for _, true, false in operating_points(members, non_members)
    )


def mlp_scores(known, judged, seed, batch=64, epochs=50):
    """SecurityNet's network, trained the plain way: small shuffled batches of class-balanced draws.

    Arguments are pairs (members, non-members) of feature rows; the result is a score for each judged row.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    inside, outside = (torch.tensor(part, dtype=torch.float32) for part in known)
    rows, truth = torch.cat([inside, outside]), torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))])
    centre, scale = rows.mean(0), rows.std(0).clamp_min(1e-6)
    sizes = [rows.shape[1], 64, 32, 1]
    layers = []
    for before, after in itertools.pairwise(sizes):
        bound = 1 / math.sqrt(before)
        weight = ((torch.rand(before, after, generator=generator) * 2 - 1) * bound).requires_grad_()
        bias = ((torch.rand(after, generator=generator) * 2 - 1) * bound).requires_grad_()
        layers.append((weight, bias))

    def forward(x):
        x = (x - centre) / scale
        for number, (weight, bias) in enumerate(layers):
            x = x @ weight + bias
            x = torch.relu(x) if number < 2 else x
        return x[:, 0]

    optimiser = torch.optim.Adam([tensor for layer in layers for tensor in layer], lr=0.01)
    for _ in range(epochs):
        draws = torch.multinomial(
            torch.where(truth == 1, 1 / len(inside), 1 / len(outside)), len(rows), True, generator=generator
        )
        for start in range(0, len(rows), batch):
            chosen = draws[start : start + batch]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(forward(rows[chosen]), truth[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return [forward(torch.tensor(part, dtype=torch.float32)).numpy() for part in judged]


def median(values):
    ordered, n = sorted(values), len(values)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def deviation(values, centre=None):
    centre = sum(values) / len(values) if centre is None else centre
    return math.sqrt(sum((v - centre) ** 2 for v in values) / len(values))


def log_normal(value, mean, sigma):
    return -(((value - mean) / sigma) ** 2) / 2 - math.log(sigma * math.sqrt(2 * math.pi))


def lira(target, shadows, inside, online, fixed):
    """One example and one query at a time; ``target[i][q]``, ``shadows[s][i][q]``, ``inside[s][i]``.

    Offline, the mean over queries of minus the log of the upper tail.
    """
    examples, queries = len(target), len(target[0])

    def values(i, q, kind):
        return [shadows[s][i][q] for s in range(len(shadows)) if inside[s][i] == kind]

    pooled = {}
    for kind in (True, False) if online else (False,):
        residuals = [v - median(row) for i in range(examples) for q in range(queries) for row in [values(i, q, kind)]
                     for v in row]  # fmt: skip
        pooled[kind] = deviation(residuals)
    scores = []
    for i in range(examples):
        total = 0.0
        for q in range(queries):
            fitted = {}
            for kind in pooled:
                row = values(i, q, kind)
                fitted[kind] = median(row), (pooled[kind] if fixed else deviation(row)) + 1e-30
            if online:
                total += log_normal(target[i][q], *fitted[True]) - log_normal(target[i][q], *fitted[False])
            else:
                mean, sigma = fitted[False]
                total -= math.log(math.erfc((target[i][q] - mean) / sigma / math.sqrt(2)) / 2)
        scores.append(total / queries)
    return scores


def rmia(ratio_x, ratio_z, gamma):
    """``ratio_x[i][q]`` and ``ratio_z[j][q]``; a pair counts where more than half of the queries say so."""
    scores = []
    for x in ratio_x:
        wins = 0
        for z in ratio_z:
            votes = sum(a > gamma * b for a, b in zip(x, z, strict=True))
            wins += 2 * votes > len(x)
        scores.append(wins / len(ratio_z))
    return scores


def class_threshold(members, non_members):
    best, chosen = 0.0, None
    for value in [*members, *non_members]:
        share = sum(m >= value for m in members) / len(members)
        other = sum(n < value for n in non_members) / len(non_members)
        if 0.5 * (share + other) > best:
            best, chosen = 0.5 * (share + other), value
    return chosen


def risk_score(members, non_members, value, bins):
    """Values of one class; the posterior probability of membership from logarithmic bins."""
    members, non_members = ([max(v, 1e-10) for v in part] for part in (members, non_members))
    low, high = math.log10(min(members + non_members)), math.log10(max(members + non_members))
    edges = [10 ** (low + (high - low) * i / bins) for i in range(bins + 1)]

    def place(v):
        return min(max(sum(edge <= v for edge in edges) - 1, 0), bins - 1)

    counts = [[0.0, 0.0] for _ in range(bins)]
    for kind, part in enumerate((members, non_members)):
        for v in part:
            counts[place(v)][kind] += 1 / len(part)
    at = place(value)
    for distance in range(bins):
        for candidate in (at - distance, at + distance):
            if 0 <= candidate < bins and sum(counts[candidate]):
                return counts[candidate][0] / sum(counts[candidate])
    raise AssertionError("no bin is filled")


def lira_shrunken(target, shadows, inside):
    """One query; the prior's equations solved by bisection."""
    scores = [0.0] * len(target)
    for kind, sign in ((True, 1), (False, -1)):
        chosen = [
            [float(v) for v, c in zip(shadows[:, i], inside[:, i], strict=True) if c == kind]
            for i in range(len(target))
        ]
        middles = [sum(values) / len(values) for values in chosen]
        variances = [
            sum((v - middle) ** 2 for v in values) / (len(values) - 1)
            for values, middle in zip(chosen, middles, strict=True)
        ]
        logs, trigammas = [], []
        for values, variance in zip(chosen, variances, strict=True):
            half = (len(values) - 1) / 2
            logs.append(math.log(variance) - float(scipy.special.digamma(half)) + math.log(half))
            trigammas.append(float(scipy.special.polygamma(1, half)))
        middle = sum(logs) / len(logs)
        spread = sum((v - middle) ** 2 for v in logs) / len(logs) - sum(trigammas) / len(trigammas)
        low, high = 1e-6, 1e6
        for _ in range(200):
            half = math.sqrt(low * high)
            low, high = (half, high) if float(scipy.special.polygamma(1, half)) > spread else (low, half)
        prior = math.exp(middle + float(scipy.special.digamma(half)) - math.log(half))
        for i, (values, centre, variance) in enumerate(zip(chosen, middles, variances, strict=True)):
            freedom = 2 * half + len(values) - 1
            scale = (2 * half * prior + (len(values) - 1) * variance) / freedom * (1 + 1 / len(values))
            scores[i] += sign * float(scipy.stats.t.logpdf(target[i], freedom, centre, math.sqrt(scale)))
    return scores
