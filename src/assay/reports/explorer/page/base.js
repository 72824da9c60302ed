"use strict";
// Elements, data files and addresses. No text of a workspace ever becomes markup: elements are made one by one.

const assay = { pages: {}, timings: {}, stamp: "" };

assay.build = function (node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
};

assay.h = (tag, attributes, ...children) => assay.build(document.createElement(tag), attributes, children);

assay.svg = (tag, attributes, ...children) =>
  assay.build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// A node with these children and no others.
assay.fill = (node, ...children) => {
  node.replaceChildren();
  return assay.build(node, null, children);
};

// Data files. Each calls assay.put when its script runs; that works from a disk, where fetching does not.

assay.files = { held: new Map(), asked: new Map() };

assay.put = function (name, value) {
  assay.files.held.set(name, value);
};

assay.script = function (name, version) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `data/${name}.js?${encodeURIComponent(version)}`;
    script.onload = () => {
      script.remove();
      resolve(assay.files.held.get(name));
    };
    script.onerror = () => {
      script.remove();
      reject(new Error(`The file data/${name}.js cannot be read; export the explorer again.`));
    };
    document.head.append(script);
  });
};

assay.load = function (name) {
  if (!assay.files.asked.has(name)) {
    const asked = assay.script(name, assay.stamp);
    asked.catch(() => assay.files.asked.delete(name));
    assay.files.asked.set(name, asked);
  }
  return assay.files.asked.get(name);
};

assay.forget = function (stamp) {
  assay.stamp = stamp;
  assay.files.asked.clear();
  assay.files.held.clear();
};

// Addresses: #/page?name=value&name=value

assay.address = function (page, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values || {})) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  const text = query.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
};

assay.here = function () {
  const [path, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { page: path || "catalogue", query: new URLSearchParams(query || "") };
};

assay.remember = function (page, values) {
  history.replaceState(null, "", assay.address(page, values));
};

assay.link = (page, values, ...children) => assay.h("a", { href: assay.address(page, values) }, ...children);

assay.modelLink = (key, ...children) => assay.link("model", { key }, ...(children.length ? children : [key]));

// Numbers of the catalogue. Measured numbers come spelled.

assay.count = function (value) {
  if (value === null || value === undefined) return "";
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return String(value);
};

assay.percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`);

assay.whole = (value) => value.toLocaleString("en-US");

assay.plural = (value, thing) => `${assay.whole(value)} ${thing}${value === 1 ? "" : "s"}`;
