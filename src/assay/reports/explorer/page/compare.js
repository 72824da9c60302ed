"use strict";
// Models side by side. A row is one measure under one protocol: numbers of two protocols never share a row.

(() => {
  const { h } = assay;
  const FACTS = [["dataset", "data set"], ["family", "family"], ["licence", "licence"], ["year", "year"], ["parameters", "parameters"], ["top1", "top-1 accuracy"]];
  const SPELL = { parameters: assay.count, top1: assay.percent };
  const OFFERED = 8;

  assay.pages.compare = async function (main, query) {
    const [site, models, protocols] = await Promise.all([assay.load("site"), assay.load("models"), assay.load("protocols")]);
    const asked = [...new Set(query.getAll("m"))];
    const keys = asked.filter((key) => models.key.includes(key));
    const gone = asked.filter((key) => !models.key.includes(key));
    const every = query.get("all") === "1";
    const shown = await Promise.all(keys.map(assay.modelData));
    const go = (values) => {
      location.hash = assay.address("compare", { m: keys, all: every ? "1" : "", ...values });
    };
    assay.fill(main,
      h("h1", null, keys.length ? `${assay.plural(keys.length, "model")} side by side` : "Compare models"),
      gone.length ? h("p", { class: "warning" }, `Not in this explorer: ${gone.join(", ")}.`) : null,
      adder(models, keys, go),
      keys.length ? table(site, models, protocols, shown, keys, every, go) : h("p", { class: "quiet" }, "Search for models above, or tick them in the list of models."),
    );
  };

  function adder(models, keys, go) {
    const offers = h("ul", { class: "offers" });
    const input = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => offer() });
    function offer() {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = words.length ? models.key.filter((key) => !keys.includes(key) && words.every((word) => key.toLowerCase().includes(word))) : [];
      assay.fill(offers,
        ...found.slice(0, OFFERED).map((key) => h("li", null, h("button", { type: "button", onclick: () => go({ m: [...keys, key] }) }, `Add ${key}`))),
        ...(found.length > OFFERED ? [h("li", { class: "quiet" }, `and ${assay.whole(found.length - OFFERED)} more`)] : []),
        ...(words.length && !found.length ? [h("li", { class: "quiet" }, "No other model bears such a name.")] : []),
      );
    }
    return h("div", { class: "tools" }, h("label", { class: "field" }, h("span", null, "Add a model"), input), offers);
  }

  function table(site, models, protocols, shown, keys, every, go) {
    const grouped = shown.map((model) => assay.byProtocol(model.outcomes));
    const head = h("tr", null, h("th", { scope: "col" }, "Measure"), shown.map((model) => h("th", { scope: "col", class: "model" },
      assay.modelLink(model.key), h("button", { type: "button", "aria-label": `Leave ${model.key} out`, onclick: () => go({ m: keys.filter((key) => key !== model.key) }) }, "Leave out"))));
    const facts = FACTS.map(([name, title]) => h("tr", null, h("th", { scope: "row" }, title), shown.map((model) => h("td", null, spelled(name, models[name][model.row])))));
    const answers = site.families.map(([family, question], place) => {
      if (shown.every((model) => models.levels[model.row][place] === "n")) return null;
      const names = assay.levelNames(site);
      return h("tr", null, h("th", { scope: "row" }, question), shown.map((model) => h("td", null, assay.badge(names.get(models.levels[model.row][place])))));
    });
    const bodies = site.families.map(([family]) => measures(family, protocols, grouped, every, keys.length));
    return h("div", null,
      h("p", { class: "tools" }, h("label", { class: "option" }, checkbox(every, (on) => go({ all: on ? "1" : "" })), h("span", null, "All measures, not only those that verdicts rest on"))),
      h("p", { class: "quiet" }, "A row is one measure under one protocol: the same method, version, options, serving and data. Several seeds stand below each other."),
      assay.region("Models side by side", h("table", { class: "compare" }, h("thead", null, head),
        h("tbody", null, facts, answers), bodies)));
  }

  function checkbox(on, changed) {
    const box = h("input", { type: "checkbox", onchange: () => changed(box.checked) });
    box.checked = on;
    return box;
  }

  const spelled = (name, value) => (SPELL[name] ? SPELL[name](value) : value === null ? "" : String(value)) || h("span", { class: "quiet" }, "unknown");

  // Protocols of a family, those that most of the models share first.
  function measures(family, protocols, grouped, every, size) {
    const ids = [...new Set(grouped.flatMap((groups) => [...groups.keys()]))].filter((id) => protocols[id].family === family);
    const share = (id) => grouped.filter((groups) => groups.has(id)).length;
    ids.sort((a, b) => share(b) - share(a) || (protocols[a].title < protocols[b].title ? -1 : 1));
    return ids.map((id) => {
      const cells = grouped.map((groups) => groups.get(id) || []);
      const headlines = new Set(cells.flat().map((outcome) => outcome.headline));
      const rows = protocols[id].metrics.filter(([name]) => every || headlines.has(name));
      const data = protocols[id].data.map(([, text]) => text)[0];
      return h("tbody", null,
        h("tr", { class: "protocol" }, h("th", { scope: "rowgroup", colspan: size + 1 }, protocols[id].title, h("small", null, ` ${protocols[id].access}; ${data || "no data"}`))),
        rows.map(([name, label]) => h("tr", null, h("th", { scope: "row" }, label), cells.map((outcomes) => h("td", null, outcomes.length
          ? [...outcomes].sort((a, b) => a.seed - b.seed).map((outcome) => {
              const metric = outcome.metrics.find((one) => one[0] === name);
              return metric ? h("div", { class: "cell" }, assay.value(metric), outcomes.length > 1 ? h("small", null, ` seed ${outcome.seed}`) : null, assay.scale(metric[7])) : null;
            })
          : h("span", { class: "quiet" }, "not measured so"))))));
    });
  }
})();
