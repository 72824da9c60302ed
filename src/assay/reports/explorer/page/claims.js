"use strict";
// The claims ledger: what papers say, how it was tested, and what came out.

(() => {
  const { h } = assay;
  const MARKS = { reproduced: "✓", contradicted: "✕", "scope-limited": "◐", "proxy agrees": "(✓)", "proxy disagrees": "(✕)", open: "…", "not run": "–", "not testable": "–" };
  const FIELDS = [["published", "Published"], ["test", "Test"], ["rule", "Decided by"], ["written", "Rule as of"], ["recomputed", "By the authors' tables"], ["own", "By our own run"], ["measured", "Measured"], ["why", "Why"], ["source", "Source"]];

  assay.pages.claims = async function (main, query) {
    const claims = await assay.load("claims");
    const counts = new Map();
    for (const claim of claims) counts.set(verdict(claim), (counts.get(verdict(claim)) || 0) + 1);
    const list = h("div", { class: "claims" });
    const search = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => draw() });
    search.value = query.get("q") || "";
    let state = query.get("verdict") || "";
    const total = h("p", { class: "total", role: "status" });

    function draw() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = claims.filter((claim) => {
        const text = Object.values(claim).join(" ").toLowerCase();
        return (!state || verdict(claim) === state) && words.every((word) => text.includes(word));
      });
      total.textContent = `${assay.whole(found.length)} of ${assay.plural(claims.length, "claim")}`;
      assay.fill(list, ...found.map(article));
      assay.remember("claims", { verdict: state, q: search.value });
    }

    assay.fill(main,
      h("h1", null, "Claims"),
      h("p", { class: "quiet" }, claims.length ? "What papers claim, the rule, and two verdicts: by the authors' tables, and by our own runs." : "This explorer holds no claims."),
      claims.length
        ? h("div", { class: "tools" },
            assay.choice("Our own run", [["", "any"], ...[...counts].map(([name, number]) => [name, `${name} (${number})`])], state, (value) => { state = value; draw(); }),
            h("label", { class: "field" }, h("span", null, "Search"), search), total)
        : null,
      list,
    );
    draw();
  };

  const verdict = (claim) => text(claim.own) || "open";

  const text = (value) => (value === null || value === undefined ? "" : String(value));

  function article(claim) {
    const name = verdict(claim);
    return h("article", { class: "claim" },
      h("header", null, h("h2", null, text(claim.id)), h("p", { class: "state" }, h("span", { "aria-hidden": "true" }, MARKS[name] ?? "?"), ` ${name}`), h("p", { class: "quiet" }, text(claim.paper))),
      h("p", { class: "finding" }, text(claim.statement)),
      h("dl", { class: "pairs wide" }, FIELDS.filter(([field]) => text(claim[field])).map(([field, title]) => h("div", null, h("dt", null, title), h("dd", null, assay.linked(text(claim[field])))))));
  }
})();
