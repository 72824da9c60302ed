"use strict";
// Correlations of two columns of numbers: the same definitions as in assay.analysis.correlation.

assay.statistics = (() => {
  function pearson(x, y) {
    const n = x.length;
    let meanX = 0;
    let meanY = 0;
    for (let i = 0; i < n; i++) {
      meanX += x[i];
      meanY += y[i];
    }
    meanX /= n;
    meanY /= n;
    let xx = 0;
    let yy = 0;
    let xy = 0;
    for (let i = 0; i < n; i++) {
      const a = x[i] - meanX;
      const b = y[i] - meanY;
      xx += a * a;
      yy += b * b;
      xy += a * b;
    }
    const scale = Math.sqrt(xx * yy);
    return scale > 0 ? xy / scale : 0;
  }

  // Places of values among their distinct values, 0 to k - 1, and k.
  function dense(values) {
    const sorted = Float64Array.from(new Set(values)).sort();
    const place = new Map();
    sorted.forEach((value, i) => place.set(value, i));
    const codes = new Int32Array(values.length);
    for (let i = 0; i < codes.length; i++) codes[i] = place.get(values[i]);
    return { codes, size: sorted.length };
  }

  // Ranks of codes 0 to size - 1, ties sharing their mean rank, into ranked; counted, not sorted, because a resample
  // repeats a few codes. counts has room for every code.
  function ranks(codes, counts, ranked) {
    counts.fill(0);
    for (let i = 0; i < codes.length; i++) counts[codes[i]] += 1;
    let before = 0;
    for (let code = 0; code < counts.length; code++) {
      const own = counts[code];
      counts[code] = before + (own + 1) / 2;
      before += own;
    }
    for (let i = 0; i < codes.length; i++) ranked[i] = counts[codes[i]];
    return ranked;
  }

  const ranked = ({ codes, size }) => ranks(codes, new Float64Array(size), new Float64Array(codes.length));

  function spearman(x, y) {
    return pearson(ranked(dense(x)), ranked(dense(y)));
  }

  // Mulberry32: a generator of numbers in [0, 1) from 32 bits of state.
  function generator(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  // The q-th quantile of sorted values, linear between neighbours.
  function quantile(sorted, q) {
    const at = q * (sorted.length - 1);
    const below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  }

  const RESAMPLES = 2000;
  const WORK = 4e6; // resampled pairs: with more models there are fewer resamples, and the page says how many
  const FEWEST = 5;

  // n, r and rho of pairs, each with its 95 % interval from resampled pairs (percentiles); null if there are fewer than
  // 5 pairs or a side does not vary.
  function correlate(x, y, seed = 0) {
    const n = x.length;
    const [a, b] = [dense(x), dense(y)];
    if (n < FEWEST || a.size < 2 || b.size < 2) return null;
    const resamples = Math.max(400, Math.min(RESAMPLES, Math.floor(WORK / n)));
    const random = generator(seed);
    const found = [new Float64Array(resamples), new Float64Array(resamples)];
    const [u, v] = [new Float64Array(n), new Float64Array(n)];
    const [s, t] = [new Int32Array(n), new Int32Array(n)];
    const [countsX, countsY] = [new Float64Array(a.size), new Float64Array(b.size)];
    for (let round = 0; round < resamples; round++) {
      for (let i = 0; i < n; i++) {
        const pick = Math.floor(random() * n);
        u[i] = x[pick];
        v[i] = y[pick];
        s[i] = a.codes[pick];
        t[i] = b.codes[pick];
      }
      found[0][round] = pearson(u, v);
      found[1][round] = pearson(ranks(s, countsX, u), ranks(t, countsY, v));
    }
    const [r, rho] = found.map((values) => {
      values.sort();
      return [quantile(values, 0.025), quantile(values, 0.975)];
    });
    return { n, resamples, r: pearson(x, y), rInterval: r, rho: spearman(x, y), rhoInterval: rho };
  }

  return { pearson, spearman, quantile, correlate, FEWEST };
})();
