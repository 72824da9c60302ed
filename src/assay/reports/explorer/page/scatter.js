"use strict";
// A scatter plot whose points are models: shapes besides colours, the mouse or the arrow keys to look at them.

assay.scatter = (() => {
  const { h, svg } = assay;
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 460, 72, 16, 14, 52];
  const NEAR = 14; // pixels from a point at which the mouse means it
  const SHAPES = [
    (x, y) => `M${x - 4} ${y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0`,
    (x, y) => `M${x} ${y - 5}L${x + 4.8} ${y + 3.6}H${x - 4.8}Z`,
    (x, y) => `M${x - 3.6} ${y - 3.6}h7.2v7.2h-7.2Z`,
    (x, y) => `M${x} ${y - 5}L${x + 5} ${y}L${x} ${y + 5}L${x - 5} ${y}Z`,
    (x, y) => `M${x - 4} ${y - 1.3}h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7Z`,
    (x, y) => `M${x} ${y + 5}L${x + 4.8} ${y - 3.6}H${x - 4.8}Z`,
  ];

  function ticks(low, high, log) {
    if (log) {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(10 ** power);
      return found.filter((value) => value >= low && value <= high);
    }
    const rough = (high - low) / 6;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((part) => part * size).find((one) => one >= rough);
    const found = [];
    for (let place = Math.ceil(low / step); place * step <= high; place++) found.push(place * step);
    return found;
  }

  const spell = (value) => (Math.abs(value) >= 1e4 ? assay.count(Number(value.toPrecision(3))) : String(Number(value.toPrecision(4))));

  function axis(values, log) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (log) [low, high] = [low / 1.3, high * 1.3];
    else {
      const room = (high - low || Math.abs(high) || 1) * 0.05;
      [low, high] = [low - room, high + room];
    }
    const part = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
    return { part, ticks: ticks(low, high, log) };
  }

  // points: {key, x, y, group}; groups: names in the order of their shapes; labels: {x, y}; log: {x, y}.
  function draw({ points, groups, labels, log, open }) {
    const [across, up] = [axis(points.map((p) => p.x), log.x), axis(points.map((p) => p.y), log.y)];
    const px = (value) => LEFT + across.part(value) * (WIDTH - LEFT - RIGHT);
    const py = (value) => HEIGHT - BOTTOM - up.part(value) * (HEIGHT - TOP - BOTTOM);
    const placed = points.map((point) => ({ ...point, px: px(point.x), py: py(point.y) })).sort((a, b) => a.px - b.px || a.py - b.py);
    const marks = groups.map((group, place) => {
      const shape = SHAPES[place % SHAPES.length];
      const path = placed.filter((point) => point.group === group).map((point) => shape(Math.round(point.px * 10) / 10, Math.round(point.py * 10) / 10)).join("");
      return svg("path", { class: `marks marks-${place + 1}`, d: path });
    });
    const ring = svg("circle", { class: "ring", r: 9, cx: -99, cy: -99 });
    const told = h("p", { class: "told", role: "status" }, "Point at a model, or use the arrow keys in the picture; Enter opens it.");
    let at = -1;

    function tell(place) {
      at = place;
      const point = placed[at];
      ring.setAttribute("cx", point.px);
      ring.setAttribute("cy", point.py);
      assay.fill(told, assay.modelLink(point.key), ` (${point.group}): ${labels.x} ${spell(point.x)}, ${labels.y} ${spell(point.y)}`);
    }

    function nearest(event) {
      const box = picture.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) * WIDTH / box.width, (event.clientY - box.top) * HEIGHT / box.height];
      let [best, distance] = [-1, NEAR];
      placed.forEach((point, place) => {
        const away = Math.hypot(point.px - x, point.py - y);
        if (away < distance) [best, distance] = [place, away];
      });
      return best;
    }

    const picture = svg("svg", {
      class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "group",
      "aria-label": `${labels.y} against ${labels.x}, ${points.length} models. Arrow keys go from model to model, Enter opens one.`,
      onmousemove: (event) => { const found = nearest(event); picture.classList.toggle("on", found >= 0); if (found >= 0) tell(found); },
      onclick: (event) => { const found = nearest(event); if (found >= 0) open(placed[found].key); },
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (step) { event.preventDefault(); tell((at + step + placed.length + (at < 0 && step < 0 ? 1 : 0)) % placed.length); }
        else if (event.key === "Home" || event.key === "End") { event.preventDefault(); tell(event.key === "Home" ? 0 : placed.length - 1); }
        else if (event.key === "Enter" && at >= 0) open(placed[at].key);
      },
    },
      across.ticks.map((value) => [svg("path", { class: "grid", d: `M${px(value)} ${TOP}V${HEIGHT - BOTTOM}` }), svg("text", { x: px(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, spell(value))]),
      up.ticks.map((value) => [svg("path", { class: "grid", d: `M${LEFT} ${py(value)}H${WIDTH - RIGHT}` }), svg("text", { x: LEFT - 8, y: py(value) + 4, "text-anchor": "end" }, spell(value))]),
      marks, ring,
      svg("text", { class: "title", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, labels.x),
      svg("text", { class: "title", transform: `translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, labels.y));

    const legend = h("ul", { class: "legend" }, groups.map((group, place) => h("li", null,
      svg("svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" }, svg("path", { class: `marks marks-${place + 1}`, d: SHAPES[place % SHAPES.length](7, 7) })), ` ${group}`)));
    return h("figure", { class: "scatter" }, groups.length > 1 ? legend : null, picture, told);
  }

  return { draw, ticks, spell, SHAPES: SHAPES.length };
})();
