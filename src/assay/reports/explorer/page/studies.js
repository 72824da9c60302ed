"use strict";
// Studies: what is done, what failed and why, and every trial.

(() => {
  const { h } = assay;
  const MARKS = { waiting: "·", running: "▸", done: "✓", failed: "✕", skipped: "–" };

  assay.pages.studies = async function (main, query) {
    const [site, studies] = await Promise.all([assay.load("site"), assay.load("studies")]);
    const study = studies.find((one) => one.name === query.get("name")) || studies[0];
    const units = await assay.load(study.file);
    const rows = units.state.map((_, i) => i);
    const total = h("p", { class: "total", role: "status" });
    const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => filter() });
    search.value = query.get("q") || "";
    let state = query.get("state") || "";
    const words = rows.map((i) => `${units.reference[i]} ${units.method[i]} ${units.reason[i]} ${units.worker[i] ?? ""}`.toLowerCase());
    const table = assay.table({
      label: "Trials",
      columns: [
        { name: "reference", title: "Model", kind: "name", cell: (i) => (units.model[i] === null ? units.reference[i] : assay.modelLink(units.model[i])), sort: (i) => units.reference[i].toLowerCase() },
        { name: "method", title: "Method", cell: (i) => units.method[i], sort: (i) => units.method[i] },
        { name: "seed", title: "Seed", kind: "number", cell: (i) => String(units.seed[i]), sort: (i) => units.seed[i] },
        { name: "state", title: "State", cell: (i) => mark(units.state[i]), sort: (i) => units.state[i] },
        { name: "seconds", title: "Seconds", kind: "number", cell: (i) => (units.seconds[i] === null ? "" : units.seconds[i].toFixed(1)), sort: (i) => units.seconds[i] },
        { name: "worker", title: "Worker", cell: (i) => units.worker[i] ?? "", sort: (i) => units.worker[i] },
        { name: "reason", title: "Why", kind: "reason", cell: (i) => units.reason[i], sort: (i) => units.reason[i] },
      ].filter((column) => !["worker", "reason"].includes(column.name) || units[column.name].some(Boolean)),
    });

    function filter() {
      const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((i) => (!state || units.state[i] === state) && asked.every((word) => words[i].includes(word)));
      total.textContent = `${assay.whole(found.length)} of ${assay.plural(rows.length, "trial")}`;
      table.show(found);
      assay.remember("studies", { name: study.name, state, q: search.value });
    }

    assay.fill(main,
      h("h1", null, study.name),
      h("p", { class: "quiet" }, `${study.about} ${study.time} of computing so far.`),
      studies.length > 1
        ? h("nav", { class: "choices", "aria-label": "Studies" }, studies.map((one) => h("a", { href: assay.address("studies", { name: one.name }), "aria-current": one === study ? "true" : null }, one.name)))
        : null,
      progress(study, rows.length),
      site.damaged.length ? h("section", { class: "plain-section" }, h("h2", null, "Damaged files"), h("p", { class: "quiet" }, "Truncated, edited by hand or not what their name says: they count as not measured."), h("ul", null, site.damaged.map((name) => h("li", null, h("code", null, name))))) : null,
      study.causes.length ? causes(study.causes, (reason) => { search.value = reason; state = ""; filter(); search.focus(); }) : null,
      h("section", { class: "plain-section" }, h("h2", null, "Trials"),
        h("div", { class: "tools" },
          assay.choice("State", [["", "any"], ...study.states.map(([name, number]) => [name, `${name} (${assay.whole(number)})`])], state, (value) => { state = value; filter(); }),
          h("label", { class: "field" }, h("span", null, "Search"), search), total),
        table.node),
    );
    filter();
  };

  const mark = (state) => h("span", { class: `state state-${state}` }, h("span", { "aria-hidden": "true" }, MARKS[state] ?? ""), ` ${state}`);

  function progress(study, total) {
    if (!total) return h("p", null, "Nothing was measured here yet.");
    const bar = h("div", { class: "progress", "aria-hidden": "true" }, study.states.map(([state, number]) => {
      const part = h("span", { class: `part part-${state}`, title: `${state}: ${number}` });
      part.style.flexGrow = String(number);
      return part;
    }));
    return h("div", null, h("ul", { class: "states" }, study.states.map(([state, number]) => h("li", null, mark(state), " ", h("strong", null, assay.whole(number)), ` ${(100 * number / total).toFixed(1)} %`))), bar);
  }

  function causes(found, chosen) {
    return h("section", { class: "plain-section" }, h("h2", null, "Why trials failed or were skipped"),
      assay.region("Causes", h("table", { class: "plain" },
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Cause"), h("th", { scope: "col" }, "State"), h("th", { scope: "col", class: "number" }, "Trials"), h("th", { scope: "col" }, ""))),
        h("tbody", null, found.slice(0, 20).map(([state, reason, number]) => h("tr", null, h("th", { scope: "row" }, reason), h("td", null, mark(state)), h("td", { class: "number" }, assay.whole(number)),
          h("td", null, h("button", { type: "button", "aria-label": `Show the trials of: ${reason}`, onclick: () => chosen(reason) }, "Show"))))))),
      found.length > 20 ? h("p", { class: "quiet" }, `and ${assay.whole(found.length - 20)} other causes; search the trials below.`) : null);
  }
})();
