"use strict";
// The catalogue: every model, narrowed by facets and words, sorted, and chosen from for a comparison.

(() => {
  const { h } = assay;
  const SHOWN = 8; // values of a facet before the rest is folded away
  const UNKNOWN = "unknown";

  assay.levelNames = (site) => new Map(site.levels.map(([level]) => [level[0], level]));

  function facetsOf(site, models) {
    const names = assay.levelNames(site);
    const plain = (name, title) => ({ name, title, of: (i) => models[name][i] ?? UNKNOWN });
    const facets = [
      { name: "assessed", title: "Assessed here", of: (i) => (models.done[i] + models.failed[i] ? "yes" : "no") },
      ...site.families.map(([family], place) => ({
        name: family, title: assay.familyTitle(family), of: (i) => names.get(models.levels[i][place]), levels: true,
      })),
      plain("dataset", "Data set"),
      plain("family", "Family"),
      plain("licence", "Licence"),
      { name: "year", title: "Year", of: (i) => (models.year[i] === null ? UNKNOWN : String(models.year[i])), latest: true },
      { name: "failures", title: "Failed trials", of: (i) => (models.failed[i] ? "some" : "none") },
    ];
    for (const facet of facets) encode(facet, models.key.length, site);
    return facets;
  }

  // Each facet's values, most frequent first (levels and years in their own order), and each model's value by number.
  function encode(facet, size, site) {
    const counts = new Map();
    for (let i = 0; i < size; i++) counts.set(facet.of(i), (counts.get(facet.of(i)) || 0) + 1);
    const known = [...counts.keys()];
    if (facet.name === "assessed") facet.values = ["yes", "no"].filter((value) => counts.has(value));
    else if (facet.levels) facet.values = site.levels.map(([level]) => level).filter((level) => counts.has(level));
    else if (facet.latest) facet.values = known.sort((a, b) => (a === UNKNOWN) - (b === UNKNOWN) || b - a);
    else facet.values = known.sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    const place = new Map(facet.values.map((value, code) => [value, code]));
    facet.codes = Int32Array.from({ length: size }, (_, i) => place.get(facet.of(i)));
    facet.chosen = new Set();
    facet.boxes = [];
  }

  assay.familyTitle = (family) => family[0].toUpperCase() + family.slice(1);

  assay.pages.catalogue = async function (main, query) {
    const [site, models] = await Promise.all([assay.load("site"), assay.load("models")]);
    const size = models.key.length;
    const facets = facetsOf(site, models);
    const words = models.key.map((key, i) => `${key} ${models.architecture[i] ?? ""} ${models.dataset[i] ?? ""}`.toLowerCase());
    const chosen = new Set(query.getAll("m").filter((key) => models.key.includes(key)));
    for (const facet of facets) {
      for (const value of query.getAll(facet.name)) {
        const code = facet.values.indexOf(value);
        if (code >= 0) facet.chosen.add(code);
      }
    }

    const search = h("input", { type: "search", id: "search", autocomplete: "off", spellcheck: "false", oninput: () => filter() });
    search.value = query.get("q") || "";
    const total = h("p", { class: "total", role: "status" });
    const compare = h("p", { class: "chosen" });
    const table = assay.table({
      label: "Models",
      columns: columnsOf(site, models, chosen, () => drawChosen()),
      sort: query.get("sort"),
      descending: query.get("down") === "1",
      changed: () => keep(),
    });

    function keep() {
      const values = { q: search.value, sort: table.state.sort, down: table.state.descending ? "1" : "", m: [...chosen] };
      for (const facet of facets) values[facet.name] = [...facet.chosen].map((code) => facet.values[code]);
      assay.remember("catalogue", values);
    }

    function filter() {
      const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const counts = facets.map((facet) => new Int32Array(facet.values.length));
      const rows = [];
      for (let i = 0; i < size; i++) {
        if (!asked.every((word) => words[i].includes(word))) continue;
        let missed = 0;
        let where = -1;
        for (let f = 0; f < facets.length && missed < 2; f++) {
          const facet = facets[f];
          if (facet.chosen.size && !facet.chosen.has(facet.codes[i])) {
            missed += 1;
            where = f;
          }
        }
        if (missed === 0) {
          rows.push(i);
          for (let f = 0; f < facets.length; f++) counts[f][facets[f].codes[i]] += 1;
        } else if (missed === 1) {
          counts[where][facets[where].codes[i]] += 1;
        }
      }
      facets.forEach((facet, f) => facet.boxes.forEach((drawn, code) => {
        const { row, number, box } = drawn;
        if (drawn.shown === counts[f][code]) return;
        drawn.shown = counts[f][code];
        number.textContent = assay.whole(drawn.shown);
        row.classList.toggle("none", drawn.shown === 0 && !box.checked);
      }));
      total.textContent = rows.length === size ? assay.plural(size, "model") : `${assay.whole(rows.length)} of ${assay.plural(size, "model")}`;
      clear.hidden = rows.length === size;
      table.show(rows);
    }

    function drawChosen() {
      const keys = [...chosen];
      assay.fill(compare,
        ...(keys.length
          ? [
              keys.length > 1 ? assay.h("a", { class: "button", href: assay.address("compare", { m: keys }) }, `Compare ${keys.length} models`) : "Choose another to compare with ",
              keys.length > 1 ? " " : h("strong", null, keys[0]),
              " ",
              h("button", { type: "button", onclick: () => {
                chosen.clear();
                drawChosen();
                table.show(table.state.rows);
              } }, "Choose none"),
            ]
          : ["Tick models to compare them."]),
      );
      keep();
    }

    const clear = h("button", { type: "button", onclick: () => {
      search.value = "";
      for (const facet of facets) {
        facet.chosen.clear();
        for (const { box } of facet.boxes) box.checked = false;
      }
      filter();
      keep();
      search.focus();
    } }, "Show all");

    const sides = facets.filter((facet) => facet.values.length > 1 || facet.chosen.size).map((facet) => drawFacet(facet, () => {
      filter();
      keep();
    }));
    const narrow = matchMedia("(max-width: 62rem)").matches;
    assay.fill(main,
      h("h1", null, "Models"),
      site.damaged.length
        ? h("p", { class: "warning" }, `${assay.plural(site.damaged.length, "file")} of the workspace cannot be read and ${site.damaged.length === 1 ? "is" : "are"} left out: ${site.damaged.slice(0, 3).join(", ")}${site.damaged.length > 3 ? ", ..." : ""}. Run the study again to measure them anew.`)
        : null,
      site.trials ? null : h("p", { class: "quiet" }, "Nothing was measured in this workspace yet; this is what the catalogue knows."),
      h("div", { class: "browse" },
        h("details", { class: "facets", open: !narrow }, h("summary", null, "Narrow down"), h("form", { onsubmit: (event) => event.preventDefault() }, sides)),
        h("div", { class: "results" },
          h("div", { class: "tools" }, h("label", { class: "field", for: "search" }, h("span", null, "Search"), search), total, clear),
          compare, table.node)),
    );
    drawChosen();
    filter();
  };

  function columnsOf(site, models, chosen, changed) {
    const names = assay.levelNames(site);
    const rank = { n: -1, l: 0, u: 1, e: 2, h: 3 };
    // Equal levels are ordered by where the deciding number lies on its scale.
    const nearer = (position) => (position === null ? 0 : 0.5 + Math.atan(position) / Math.PI);
    const text = (name, title) => ({ name, title, cell: (i) => models[name][i] ?? "", sort: (i) => models[name][i]?.toLowerCase?.() ?? null });
    const number = (name, title, spell) => ({ name, title, kind: "number", cell: (i) => spell(models[name][i]), sort: (i) => models[name][i] });
    const columns = [
      {
        title: h("span", { class: "hidden" }, "Compare"),
        cell: (i) => {
          const key = models.key[i];
          const box = h("input", { type: "checkbox", "aria-label": `Compare ${key}`, onchange: () => {
            if (box.checked) chosen.add(key);
            else chosen.delete(key);
            changed();
          } });
          box.checked = chosen.has(key);
          return box;
        },
      },
      { name: "key", title: "Model", kind: "name", cell: (i) => assay.modelLink(models.key[i]), sort: (i) => models.key[i].toLowerCase() },
      ...site.families.map(([family], place) => ({
        name: family,
        title: assay.familyTitle(family),
        asked: models.levels.some((letters) => letters[place] !== "n"),
        cell: (i) => (models.levels[i][place] === "n" ? h("span", { class: "quiet", title: "not assessed" }, "–", h("span", { class: "hidden" }, " not assessed")) : assay.badge(names.get(models.levels[i][place]))),
        sort: (i) => (models.levels[i][place] === "n" ? null : rank[models.levels[i][place]] + 0.9 * nearer(models.positions[i][place])),
      })).filter((column) => column.asked),
      { name: "done", title: "Trials", kind: "number", cell: (i) => trials(models.done[i], models.failed[i]), sort: (i) => models.done[i] + models.failed[i] || null },
      text("dataset", "Data set"),
      text("family", "Family"),
      number("parameters", "Parameters", assay.count),
      number("top1", "Top-1", assay.percent),
      number("year", "Year", (year) => year ?? ""),
    ];
    columns.head = 1;
    return columns;
  }

  const trials = (done, failed) => (done || failed ? [assay.whole(done), failed ? h("small", null, ` ${failed} failed`) : null] : "");

  function drawFacet(facet, changed) {
    const rows = facet.values.map((value, code) => {
      const number = h("span", { class: "count" });
      const box = h("input", { type: "checkbox", onchange: () => {
        if (box.checked) facet.chosen.add(code);
        else facet.chosen.delete(code);
        changed();
      } });
      box.checked = facet.chosen.has(code);
      const row = h("label", { class: "option" }, box, facet.levels ? assay.badge(value) : h("span", null, value), number);
      facet.boxes.push({ row, number, box });
      return row;
    });
    const rest = rows.slice(SHOWN);
    return h("fieldset", { "data-facet": facet.name }, h("legend", null, facet.title), rows.slice(0, SHOWN),
      rest.length ? h("details", { open: rest.some((row) => row.firstChild.checked) }, h("summary", null, `${rest.length} more`), rest) : null);
  }
})();
