"use strict";
// One model: the answers, every finding with its seeds and its place among others, and where all of it comes from.

(() => {
  const { h } = assay;

  assay.modelData = async function (key) {
    const models = await assay.load("models");
    const row = models.key.indexOf(key);
    if (row < 0) throw new Error(`There is no model ${key} in this explorer.`);
    const part = await assay.load(`models-${models.part[row]}`);
    return { key, row, ...part[key] };
  };

  // Trials by protocol, in the order in which they come; unfinished ones are left out.
  assay.byProtocol = function (outcomes) {
    const groups = new Map();
    for (const outcome of outcomes || []) {
      if (outcome.status !== "done") continue;
      if (!groups.has(outcome.protocol)) groups.set(outcome.protocol, []);
      groups.get(outcome.protocol).push(outcome);
    }
    return groups;
  };

  assay.value = (metric) =>
    !metric ? "" : [h("span", { class: metric[2] === "no number" ? "refused" : "value" }, metric[2]), metric[3] ? [" ", h("span", { class: "interval" }, metric[3])] : null];

  assay.pages.model = async function (main, query) {
    const key = query.get("key") || "";
    const [site, protocols, model] = await Promise.all([assay.load("site"), assay.load("protocols"), assay.modelData(key)]);
    const groups = assay.byProtocol(model.outcomes);
    const columns = new Map(await Promise.all([...groups.keys()].map(async (id) => [id, await assay.load(`protocol-${id}`)])));
    const unfinished = (model.outcomes || []).filter((outcome) => outcome.status !== "done");
    assay.fill(main,
      h("p", { class: "eyebrow" }, assay.link("catalogue", {}, "Models")),
      h("h1", null, key),
      model.decision ? decided(model.decision) : null,
      h("p", { class: model.decision ? "quiet" : "lede" }, model.summary || "Nothing was measured of this model in this workspace; this is what the catalogue knows."),
      h("p", null, assay.h("a", { class: "button", href: assay.address("compare", { m: key }) }, "Compare with others")),
      model.answers ? h("ol", { class: "cards" }, model.answers.map((answer) => card(answer, site, model))) : null,
      site.families.map(([family, question]) => {
        const own = [...groups].filter(([id]) => protocols[id].family === family);
        return own.length
          ? h("section", { class: "question", id: family },
              h("header", null, h("p", { class: "eyebrow" }, family), h("h2", null, question)),
              own.map(([id, outcomes]) => method(protocols[id], outcomes, columns.get(id), key, site)))
          : null;
      }),
      unfinished.length ? notFinished(unfinished, protocols) : null,
      model.record ? record(model.record) : null,
      model.target ? section("Target", "As it was measured in this workspace.", assay.pairs(model.target)) : null,
    );
  };

  const decided = ([choice, reason, title]) =>
    h("div", { class: `decision choice-${choice.replaceAll(" ", "-")}` },
      h("p", { class: "choice" }, choice[0].toUpperCase() + choice.slice(1)), h("p", { class: "reason" }, reason),
      h("p", { class: "quiet" }, `Decided for ${title}.`));

  function card(answer, site, model) {
    const question = site.families.find(([family]) => family === answer.family)[1];
    const decided = (model.outcomes || []).find((outcome) => outcome.key === answer.decided_by);
    const metric = decided?.metrics.find((one) => one[0] === decided.headline);
    return h("li", { class: `card level-${answer.level.replaceAll(" ", "-")}` },
      h("h2", null, question), assay.badge(answer.level),
      answer.metric ? h("p", { class: "reading" }, h("strong", null, metric ? metric[2] : answer.metric), " ", h("span", { class: "interval" }, metric ? metric[3] : ""), h("br"), h("span", { class: "label" }, answer.label)) : null,
      assay.scale(metric?.[7], metric?.[8]),
      h("p", { class: "sentence" }, answer.sentence));
  }

  function method(protocol, outcomes, column, key, site) {
    const seeds = [...outcomes].sort((a, b) => a.seed - b.seed);
    const names = new Map();
    for (const outcome of seeds) for (const metric of outcome.metrics) if (!names.has(metric[0])) names.set(metric[0], metric);
    const row = column ? column.models.indexOf(key) : -1;
    const placed = new Map(column && row >= 0 ? column.metrics.map((metric) => [metric.name, metric]) : []);
    const anywhere = [...placed.values()].some((metric) => metric.places[row]);
    const others = (metric) => metric.values.filter((value) => value !== null).length - 1;
    const headline = seeds[0].metrics.find((metric) => metric[0] === seeds[0].headline);
    return h("details", { class: "method" },
      h("summary", null, h("h3", null, protocol.title), [...new Set(seeds.map((outcome) => outcome.level))].map(assay.badge),
        h("span", { class: "figure-of" }, assay.value(headline)),
        h("span", { class: "meta" }, `${protocol.access}; ${protocol.method}, version ${protocol.version}`)),
      h("p", { class: "finding" }, seeds[0].sentence),
      assay.region(`Measures of ${protocol.title}`, h("table", { class: "metrics" },
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Measure"), seeds.map((outcome) => h("th", { scope: "col" }, `Seed ${outcome.seed}`)), h("th", { scope: "col", class: "number" }, "Sample"), anywhere ? h("th", { scope: "col" }, "Among others") : null)),
        h("tbody", null, [...names].map(([name, first]) => {
          const found = placed.get(name);
          const place = found?.places[row];
          return h("tr", { class: name === seeds[0].headline ? "headline" : null },
            h("th", { scope: "row" }, h("span", { class: "name" }, first[1]), first[6] ? h("span", { class: "note" }, first[6]) : null),
            seeds.map((outcome) => {
              const metric = outcome.metrics.find((one) => one[0] === name);
              return h("td", null, assay.value(metric), metric?.[4] ? h("small", { class: "how" }, metric[4]) : null);
            }),
            h("td", { class: "number" }, first[5]),
            anywhere ? h("td", { class: "among" }, place ? assay.placeText(place, others(found), found.risk) : null) : null);
        })))),
      column && !anywhere ? h("p", { class: "quiet" }, `${assay.plural(column.models.length - 1, "other model")} measured under this protocol; a place among others needs ${site.fewest}.`) : null,
      h("details", null, h("summary", null, "Protocol, cost and provenance"),
        h("h4", null, "Threat model"), h("p", null, protocol.threat_model),
        h("h4", null, "Source"), h("p", null, assay.linked(protocol.paper), protocol.atlas.length ? ` MITRE ATLAS: ${protocol.atlas.join(", ")}.` : null),
        h("h4", null, "Options"), assay.pairs(protocol.options, "pairs"),
        protocol.serving.length ? [h("h4", null, "Serving"), assay.pairs(protocol.serving, "pairs")] : null,
        h("h4", null, "Data"), assay.pairs(protocol.data, "pairs"),
        seeds.map((outcome) => [h("h4", null, `Seed ${outcome.seed}`), assay.pairs([...outcome.provenance, ["identity", outcome.key]])])));
  }

  function notFinished(outcomes, protocols) {
    return section("Not finished", null, assay.region("Methods that did not finish", h("table", { class: "plain" },
      h("thead", null, h("tr", null, ["Method", "Seed", "What happened", "Why"].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", null, outcomes.map((outcome) => h("tr", null, h("th", { scope: "row" }, protocols[outcome.protocol].title), h("td", null, String(outcome.seed)), h("td", null, outcome.status), h("td", null, outcome.reason)))))));
  }

  function record(known) {
    const also = known.names.length ? ` Also known as ${known.names.join(", ")}.` : "";
    return section("Catalogue", `${known.id}, according to ${known.sources.join(", ")}.${also}`,
      assay.region("What the catalogue knows", h("table", { class: "plain" },
        h("thead", null, h("tr", null, ["Field", "Value", "According to"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", null, known.facts.map(([name, value, unit, origin]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, assay.linked(value), unit ? ` ${unit}` : null), h("td", null, origin)))))),
      known.conflicts.length ? [h("h3", null, "Contradictions"), h("ul", null, known.conflicts.map(([field, value, source]) => h("li", null, `${field}: ${value}, according to ${source}`)))] : null,
      known.unknown.length ? h("p", { class: "quiet" }, `Unknown: ${known.unknown.join(", ")}.`) : null);
  }

  const section = (title, note, ...content) =>
    h("section", { class: "plain-section" }, h("h2", null, title), note ? h("p", { class: "quiet" }, note) : null, ...content);
})();
