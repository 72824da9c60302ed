"use strict";
// What pages share: levels, scales, tables that show a part at a time, pairs, and links out of untrusted text.

(() => {
  const { h, svg } = assay;

  const SHAPES = {
    low: () => svg("circle", { cx: 8, cy: 8, r: 5.5, fill: "none", stroke: "currentColor", "stroke-width": 2.5 }),
    elevated: () => svg("path", { d: "M8 1.5 15 14H1Z", fill: "currentColor" }),
    high: () => svg("path", { d: "M8 0 16 8 8 16 0 8Z", fill: "currentColor" }),
    undecided: () =>
      svg("circle", {
        cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 1.75, "stroke-dasharray": "2.5 2.2",
      }),
    "not assessed": () => svg("path", { d: "M3 8H13", stroke: "currentColor", "stroke-width": 2.5 }),
  };

  assay.badge = function (level) {
    const shape = svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, SHAPES[level]());
    const name = level[0].toUpperCase() + level.slice(1);
    return h("span", { class: `level level-${level.replaceAll(" ", "-")}` }, shape, name);
  };

  // A number and its interval on its own scale, chance at the left, riskier to the right; place is [value, low, high,
  // thresholds ...] in percent, text the scale in words.
  assay.scale = function (place, text) {
    if (!place) return null;
    const [value, low, high, ...marks] = place.map((part) => 1.6 * part);
    const last = marks[marks.length - 1];
    const drawn = svg(
      "svg",
      { class: "scale", viewBox: "0 0 160 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("path", { class: "track", d: "M0 7H160M0 3V11" }),
      last === undefined ? null : svg("rect", { class: "zone", x: last, y: 4, width: 160 - last, height: 6 }),
      ...marks.map((mark) => svg("path", { class: "mark", d: `M${mark} 2V12` })),
      svg("rect", { class: "span", x: low, y: 4, width: Math.max(high - low, 1.5), height: 6, rx: 1 }),
      svg("path", { class: "tick", d: `M${value} 1V13` }),
    );
    return h("div", { class: "scaled" }, drawn, text ? h("p", { class: "thresholds" }, text) : null);
  };

  assay.placeText = ([share, low, high], others, risk) =>
    `${risk ? "riskier than" : "above"} ${Math.round(100 * share)} % [${Math.round(100 * low)}, ${Math.round(100 * high)}] of ${others} others`;

  assay.pairs = (pairs, kind) =>
    h("dl", { class: kind || "pairs wide" }, pairs.map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, text))));

  // Text with its web addresses as links; nothing but http and https is ever linked.
  assay.linked = (text) =>
    text.split(/(https?:\/\/[^\s<>"')]+)/).map((part, place) =>
      place % 2 ? h("a", { href: part, rel: "noreferrer" }, part) : part,
    );

  assay.region = (label, ...children) =>
    h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, ...children);

  // A table of many rows, so many at a time. columns: {title, cell(row), kind, sort(row)}; a column without sort
  // cannot be sorted by. show(rows) replaces the rows; the state (sort column, direction, page) is kept.
  assay.table = function ({ label, columns, size = 50, sort = null, descending = false, changed = () => {} }) {
    const state = { rows: [], order: [], sort, descending, page: 0 };
    const body = h("tbody");
    const position = h("span", { role: "status" });
    const step = (by, text) =>
      h("button", { type: "button", onclick: () => { state.page += by; draw(); } }, text);
    const [first, back, on] = [
      h("button", { type: "button", onclick: () => { state.page = 0; draw(); } }, "First"), step(-1, "Previous"), step(1, "Next"),
    ];
    const pager = h("p", { class: "pager" }, first, back, on, position);
    const heads = columns.map((column) => {
      const content = column.sort
        ? h("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title)
        : column.title;
      return h("th", { scope: "col", class: column.kind }, content);
    });

    function sortBy(column) {
      state.descending = state.sort === column.name ? !state.descending : column.kind === "number";
      state.sort = column.name;
      state.page = 0;
      order();
      draw();
      changed(state);
    }

    // Rows without a value come last in either direction; rows that are equal keep the order they were given in.
    function order() {
      const column = columns.find((one) => one.name === state.sort && one.sort);
      if (!column) {
        state.order = state.rows;
        return;
      }
      const keyed = state.rows.map((row) => [column.sort(row), row]);
      const missing = (key) => key === null || key === undefined || key === "";
      const way = state.descending ? -1 : 1;
      const compare = (a, b) => {
        if (missing(a[0]) || missing(b[0])) return missing(a[0]) - missing(b[0]);
        return a[0] < b[0] ? -way : a[0] > b[0] ? way : 0;
      };
      state.order = keyed.sort(compare).map((pair) => pair[1]);
    }

    function draw() {
      const total = state.order.length;
      const last = Math.max(0, Math.ceil(total / size) - 1);
      state.page = Math.min(Math.max(state.page, 0), last);
      const start = state.page * size;
      const shown = state.order.slice(start, start + size);
      assay.fill(body, ...shown.map((row) =>
        h("tr", null, columns.map((column, place) =>
          h(place === (columns.head ?? 0) ? "th" : "td", { scope: place === (columns.head ?? 0) ? "row" : null, class: column.kind }, column.cell(row)),
        )),
      ));
      heads.forEach((head, place) => {
        const sorted = columns[place].sort && columns[place].name === state.sort;
        if (sorted) head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      pager.hidden = total <= size;
      position.textContent = `${assay.whole(start + 1)} to ${assay.whole(start + shown.length)} of ${assay.whole(total)}`;
      first.disabled = back.disabled = state.page === 0;
      on.disabled = state.page === last;
    }

    const node = h("div", { class: "paged" },
      assay.region(label, h("table", { class: "plain" }, h("thead", null, h("tr", null, heads)), body)), pager);
    return {
      node,
      state,
      show(rows) {
        state.rows = rows;
        state.page = 0;
        order();
        draw();
      },
    };
  };

  assay.choice = function (label, options, value, chosen) {
    const select = h("select", { onchange: () => chosen(select.value) },
      options.map(([key, text, group]) => h("option", { value: key, "data-group": group }, text)));
    select.value = value;
    return h("label", { class: "field" }, h("span", null, label), select);
  };
})();
