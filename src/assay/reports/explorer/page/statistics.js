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

  // Ranks, ties sharing their mean rank.
  function ranked({ codes, size }) {
    const counts = new Float64Array(size);
    for (const code of codes) counts[code] += 1;
    let before = 0;
    for (let code = 0; code < size; code++) {
      const own = counts[code];
      counts[code] = before + (own + 1) / 2;
      before += own;
    }
    return Float64Array.from(codes, (code) => counts[code]);
  }

  function spearman(x, y) {
    return pearson(ranked(dense(x)), ranked(dense(y)));
  }

  const FEWEST = 5;
  const NEARLY_ONE = 1 - 1e-12;
  const NORMAL = 1.959963984540054;

  // The 95 % interval of r of pairs on Fisher's scale, as `assay.analysis.correlation.z_interval` has it: the error of z
  // is the larger of that for normal pairs (or ranks) and the jackknife's.
  function interval(x, y, r, ofRanks) {
    const n = x.length;
    const clip = (value) => Math.max(-NEARLY_ONE, Math.min(NEARLY_ONE, value));
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / n;
    const [middleX, middleY] = [mean(x), mean(y)];
    const sums = [0, 0, 0, 0, 0];
    const terms = (i) => {
      const [a, b] = [x[i] - middleX, y[i] - middleY];
      return [a, b, a * a, b * b, a * b];
    };
    for (let i = 0; i < n; i++) terms(i).forEach((value, k) => { sums[k] += value; });
    const zs = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const left = terms(i).map((value, k) => (sums[k] - value) / (n - 1));
      const spread = (left[2] - left[0] ** 2) * (left[3] - left[1] ** 2);
      zs[i] = Math.atanh(clip(spread > 0 ? (left[4] - left[0] * left[1]) / Math.sqrt(spread) : 0));
    }
    const centre = mean(zs);
    const jackknife = Math.sqrt(((n - 1) / n) * zs.reduce((sum, z) => sum + (z - centre) ** 2, 0));
    const half = NORMAL * Math.max(Math.sqrt((ofRanks ? 1 + r ** 2 / 2 : 1) / (n - 3)), jackknife);
    const z = Math.atanh(clip(r));
    return [Math.min(Math.tanh(z - half), r), Math.max(Math.tanh(z + half), r)];
  }

  // n, r and rho of pairs, each with its 95 % interval; null if there are fewer than 5 pairs or a side does not vary.
  function correlate(x, y) {
    const n = x.length;
    const [a, b] = [dense(x), dense(y)];
    if (n < FEWEST || a.size < 2 || b.size < 2) return null;
    const r = pearson(x, y);
    const placed = [ranked(a), ranked(b)];
    const rho = pearson(placed[0], placed[1]);
    return { n, r, rInterval: interval(x, y, r, false), rho, rhoInterval: interval(placed[0], placed[1], rho, true) };
  }

  return { pearson, spearman, correlate, FEWEST };
})();
