"use strict";
// Which page is shown, and looking for changes while a study is running.

(() => {
  const { h } = assay;
  const PAGES = [["catalogue", "Models"], ["compare", "Compare"], ["studies", "Studies"], ["correlate", "Correlations"], ["claims", "Claims"]];
  const EVERY = 3000; // milliseconds between two looks for changes
  const main = document.getElementById("main");
  const notice = document.getElementById("notice");
  let turn = 0;

  async function show(moved) {
    const mine = ++turn;
    const { page, query } = assay.here();
    const draft = h("div");
    try {
      if (!Object.hasOwn(assay.pages, page)) throw new Error(`There is no page ${page}.`);
      await assay.pages[page](draft, query);
    } catch (error) {
      console.error(error);
      assay.fill(draft, h("h1", null, "This page cannot be shown"), h("p", null, error.message), h("p", null, assay.link("catalogue", {}, "All models")));
    }
    if (mine !== turn) return; // another page was asked for in the meantime
    assay.fill(main, [...draft.childNodes]);
    const title = main.querySelector("h1");
    document.title = `${title ? title.textContent : "Assay"} – Assay explorer`;
    for (const link of document.querySelectorAll("#pages a")) {
      if (link.dataset.page === page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (moved) {
      main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    main.dataset.shown = location.hash || "#/";
    requestAnimationFrame(() => setTimeout(() => {
      assay.timings.shown = performance.now();
    }));
  }

  async function look() {
    try {
      const found = await assay.script("stamp", String(Date.now()));
      if (found.stamp !== assay.stamp) {
        if (assay.here().page === "studies" && !main.contains(document.activeElement)) await renew(found.stamp);
        else assay.fill(notice, "There are new results. ", h("button", { type: "button", onclick: () => renew(found.stamp) }, "Show them"));
      }
      if (found.live) setTimeout(look, EVERY);
    } catch (error) {
      assay.fill(notice, "The server has stopped; this is what it showed last.");
    }
  }

  async function renew(stamp) {
    assay.forget(stamp);
    assay.fill(notice);
    await about();
    await show(false);
  }

  async function about() {
    const site = await assay.load("site");
    document.getElementById("about").textContent = `${site.workspace}: ${assay.plural(site.trials, "trial")}${site.until ? `, last of ${site.until}` : ""}. Assay ${site.version}.`;
  }

  document.getElementById("pages").append(...PAGES.map(([page, title]) => h("a", { href: assay.address(page), "data-page": page }, title)));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says which page is shown
    main.focus();
  });
  addEventListener("hashchange", () => show(true));
  assay.script("stamp", String(Date.now())).then(async (found) => {
    assay.stamp = found.stamp;
    await Promise.all([show(false), about()]);
    if (found.live) setTimeout(look, EVERY);
  }).catch((error) => assay.fill(main, h("p", null, error.message)));
})();
