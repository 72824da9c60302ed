"use strict";
// Two numbers of every model against each other: metrics of protocols, or fields of the catalogue.

(() => {
  const { h } = assay;
  const CATALOGUE = "catalogue";
  const OTHERS = "other data sets";
  const WIDE = 50; // how many times the largest is the smallest from which on an axis is logarithmic

  assay.pages.correlate = async function (main, query) {
    const [site, models, protocols] = await Promise.all([assay.load("site"), assay.load("models"), assay.load("protocols")]);
    const sources = sourcesOf(site, protocols);
    const chosen = defaults(sources);
    for (const side of ["x", "y"]) {
      const [source, name] = (query.get(side) || "").split(/:(.*)/s);
      if (sources.find((one) => one.id === source)?.metrics.some(([known]) => known === name)) chosen[side] = { source, name };
    }
    const result = h("div");
    const fields = h("div", { class: "axes" });
    assay.fill(main,
      h("h1", null, "Correlations"),
      h("p", { class: "quiet" }, "Each point is a model that has both numbers. Of several seeds the mean counts. Numbers of different protocols are never pooled."),
      fields, result,
    );
    if (!sources.some((source) => source.metrics.length)) {
      assay.fill(result, h("p", null, "There are no numbers yet."));
      return;
    }

    function drawFields() {
      assay.fill(fields, ...["x", "y"].map((side) => {
        const metrics = sources.find((source) => source.id === chosen[side].source).metrics;
        return h("fieldset", null, h("legend", null, side === "x" ? "Across" : "Up"),
          assay.choice("Measured by", sources.map((source) => [source.id, source.title]), chosen[side].source, (source) => {
            chosen[side] = { source, name: sources.find((one) => one.id === source).metrics[0][0] };
            drawFields();
            draw();
          }),
          assay.choice("Number", metrics.map(([name, label]) => [name, label]), chosen[side].name, (name) => {
            chosen[side].name = name;
            draw();
          }));
      }));
    }

    async function draw() {
      assay.remember("correlate", { x: `${chosen.x.source}:${chosen.x.name}`, y: `${chosen.y.source}:${chosen.y.name}` });
      const asked = JSON.stringify(chosen);
      const [x, y] = await Promise.all([column(chosen.x, models, sources), column(chosen.y, models, sources)]);
      if (asked !== JSON.stringify(chosen)) return;
      const points = models.key.flatMap((key, i) => (x.values.has(key) && y.values.has(key) ? [{ key, x: x.values.get(key), y: y.values.get(key), group: models.dataset[i] ?? "unknown" }] : []));
      const { shown, judge } = show(points, x, y);
      assay.fill(result, shown);
      await judge(() => asked === JSON.stringify(chosen) && result.isConnected);
    }

    drawFields();
    draw();
  };

  function sourcesOf(site, protocols) {
    const measured = Object.entries(protocols)
      .map(([id, protocol]) => ({ id, title: `${protocol.title}: ${assay.plural(protocol.models, "model")}, ${protocol.method} v${protocol.version} #${id.slice(0, 6)}`, short: protocol.title, metrics: protocol.metrics, models: protocol.models }))
      .filter((source) => source.metrics.length)
      .sort((a, b) => b.models - a.models || (a.title < b.title ? -1 : 1));
    return [{ id: CATALOGUE, title: "The catalogue", short: "catalogue", metrics: site.numbers, models: 0 }, ...measured];
  }

  function defaults(sources) {
    const [catalogue, first] = sources;
    const x = { source: catalogue.id, name: "parameters" };
    return { x, y: first ? { source: first.id, name: first.metrics[0][0] } : { source: catalogue.id, name: "top1" } };
  }

  async function column({ source, name }, models, sources) {
    const values = new Map();
    const add = (keys, numbers) => keys.forEach((key, i) => {
      if (numbers[i] !== null) values.set(key, numbers[i]);
    });
    const known = sources.find((one) => one.id === source);
    const label = known.metrics.find(([one]) => one === name)[1];
    if (source === CATALOGUE) {
      add(models.key, models[name]);
      return { values, label };
    }
    const file = await assay.load(`protocol-${source}`);
    add(file.models, file.metrics.find((metric) => metric.name === name).values);
    return { values, label: `${label} (${known.short})` };
  }

  function grouped(points) {
    const counts = new Map();
    for (const point of points) counts.set(point.group, (counts.get(point.group) || 0) + 1);
    const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    if (names.length <= assay.scatter.SHAPES) return names;
    const kept = names.slice(0, assay.scatter.SHAPES - 1);
    for (const point of points) if (!kept.includes(point.group)) point.group = OTHERS;
    return [...kept, OTHERS];
  }

  const interval = ([low, high]) => `[${low.toFixed(3)}, ${high.toFixed(3)}]`;

  function show(points, x, y) {
    if (!points.length) return { shown: [h("p", null, "No model has both numbers.")], judge: async () => {} };
    const groups = grouped(points);
    const log = (values) => values.every((value) => value > 0) && Math.max(...values) > WIDE * Math.min(...values);
    const parts = [["all", points], ...(groups.length > 1 ? groups.map((group) => [group, points.filter((point) => point.group === group)]) : [])];
    const rows = parts.map(([name, part]) => h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "number" }, assay.whole(part.length)), h("td", { colspan: 5, class: "quiet" }, "resampling")));

    // The correlations, one group after another, so that the picture is there first and the page stays responsive.
    async function judge(wanted) {
      for (const [place, [, part]] of parts.entries()) {
        await new Promise((done) => setTimeout(done));
        if (!wanted()) return;
        rows[place].lastChild.remove();
        rows[place].append(...judged(part).map((text) => h("td", { class: "number" }, text)));
      }
    }

    const table = assay.table({
      label: "Models of the picture",
      columns: [
        { name: "key", title: "Model", kind: "name", cell: (p) => assay.modelLink(p.key), sort: (p) => p.key.toLowerCase() },
        { name: "group", title: "Data set", cell: (p) => p.group, sort: (p) => p.group },
        { name: "x", title: x.label, kind: "number", cell: (p) => assay.scatter.spell(p.x), sort: (p) => p.x },
        { name: "y", title: y.label, kind: "number", cell: (p) => assay.scatter.spell(p.y), sort: (p) => p.y },
      ],
      size: 20, sort: "y", descending: true,
    });
    table.show(points);
    const shown = [
      assay.scatter.draw({
        points, groups, labels: { x: x.label, y: y.label }, log: { x: log(points.map((p) => p.x)), y: log(points.map((p) => p.y)) },
        open: (key) => { location.hash = assay.address("model", { key }); },
      }),
      h("h2", null, "Correlation"),
      assay.region("Correlation", h("table", { class: "plain correlation" },
        h("thead", null, h("tr", null, ["Models", "n", "Pearson's r", "95 % interval", "Spearman's rho", "95 % interval"].map((title, place) => h("th", { scope: "col", class: place ? "number" : null }, title)))),
        h("tbody", null, rows))),
      h("p", { class: "quiet" }, "Intervals are Fisher's, with the jackknife's error where that is larger. Looking at many pairs finds some by chance: what is to be reported should be tested with assay analysis, which corrects for that. On a logarithmic axis r is still that of the numbers themselves."),
      h("h2", null, "Models"), table.node,
    ];
    return { shown, judge };
  }

  function judged(part) {
    const found = assay.statistics.correlate(Float64Array.from(part, (p) => p.x), Float64Array.from(part, (p) => p.y));
    if (!found) return [h("span", { class: "quiet" }, part.length < assay.statistics.FEWEST ? "too few" : "constant"), "", "", ""];
    return [found.r.toFixed(3), interval(found.rInterval), found.rho.toFixed(3), interval(found.rhoInterval)];
  }
})();
