/* Draws the graph of models and columns, lights up lineages, searches. All data is in the page; nothing is fetched. */
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 190, GAP_X = 46, GAP_Y = 8, HEAD = 26, ROW = 17, TOP = 34, MARGIN = 14, LETTERS = 28;
  const { nodes, edges } = JSON.parse(document.getElementById("lineage").textContent);
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const graph = document.getElementById("graph");
  const panel = document.getElementById("chosen");
  const key = (name, column) => `${name}.${column}`;

  // column → the columns above and below it
  const above = new Map(), below = new Map();
  const add = (map, from, to) => (map.get(from) ?? map.set(from, []).get(from)).push(to);
  for (const [fromName, fromColumn, name, column] of edges) {
    add(above, key(name, column), [fromName, fromColumn]);
    add(below, key(fromName, fromColumn), [name, column]);
  }
  const readers = new Map();
  for (const node of nodes) for (const name of node.reads) add(readers, name, node.name);

  // a node stands one layer right of the last that it reads
  const layerOf = new Map();
  const layer = (name) => {
    if (!layerOf.has(name)) layerOf.set(name, Math.max(-1, ...byName.get(name).reads.map(layer)) + 1);
    return layerOf.get(name);
  };
  nodes.forEach((node) => layer(node.name));
  const layers = [];
  for (const node of nodes) (layers[layerOf.get(node.name)] ??= []).push(node.name);
  const order = () => {
    const place = new Map();
    const mean = (names) => names.reduce((sum, name) => sum + place.get(name), 0) / names.length;
    const note = (names) => names.forEach((name, i) => place.set(name, (i + 0.5) / names.length));
    layers.forEach(note);
    for (let round = 0; round < 4; round++) {
      const down = round % 2 === 0;
      for (const names of down ? layers : [...layers].reverse()) {
        const near = (name) => (down ? byName.get(name).reads : readers.get(name) ?? []);
        const weight = new Map(names.map((name) => [name, near(name).length ? mean(near(name)) : place.get(name)]));
        names.sort((a, b) => weight.get(a) - weight.get(b));
        note(names);
      }
    }
  };
  order();

  const reach = (start, next) => {
    const seen = new Set(), waiting = [start];
    while (waiting.length) for (const one of next(waiting.pop())) if (!seen.has(one)) seen.add(one), waiting.push(one);
    return seen;
  };
  const columnsReached = (name, column, map) => {
    const seen = new Map(), waiting = [[name, column]];
    while (waiting.length) {
      for (const [n, c] of map.get(key(...waiting.pop())) ?? []) {
        if (!seen.has(key(n, c))) seen.set(key(n, c), [n, c]), waiting.push([n, c]);
      }
    }
    return [...seen.values()];
  };

  let chosen = null; // {name, column?}

  const lit = () => {
    if (!chosen) return null;
    const { name, column } = chosen;
    if (!column) {
      const up = reach(name, (one) => byName.get(one).reads), down = reach(name, (one) => readers.get(one) ?? []);
      return { up, down, columns: new Map() };
    }
    const up = columnsReached(name, column, above), down = columnsReached(name, column, below);
    const columns = new Map([[name, [column]]]);
    for (const [n, c] of [...up, ...down]) if (!columns.get(n)?.includes(c)) add(columns, n, c);
    return { up: new Set(up.map(([n]) => n)), down: new Set(down.map(([n]) => n)), columns };
  };

  const make = (tag, attributes, parent, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const short = (text) => (text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text);

  const draw = () => {
    const light = lit();
    const boxes = new Map();
    let height = 0;
    layers.forEach((names, x) => {
      let y = TOP;
      for (const name of names) {
        const shown = light?.columns.get(name) ?? [];
        const box = { x: MARGIN + x * (WIDTH + GAP_X), y, h: HEAD + shown.length * ROW + (shown.length ? 6 : 0), shown };
        boxes.set(name, box);
        y += box.h + GAP_Y;
      }
      height = Math.max(height, y);
    });
    const width = MARGIN * 2 + layers.length * (WIDTH + GAP_X) - GAP_X;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("width", width);
    svg.setAttribute("height", height + MARGIN);
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", "Assets and models from left to right, each right of what it reads");
    layers.forEach((_, x) => {
      const title = x === 0 ? "assets" : x === 1 ? "staging" : `after ${x} steps`;
      make("text", { x: MARGIN + x * (WIDTH + GAP_X), y: 20, class: "head" }, svg, title);
    });
    const side = (name) => (name === chosen?.name ? "on" : light?.up.has(name) ? "up" : light?.down.has(name) ? "down" : "off");
    const curve = (from, to, fromY, toY, kind) => {
      const x1 = from.x + WIDTH, x2 = to.x, bend = Math.max(24, (x2 - x1) / 2);
      make("path", { d: `M${x1},${fromY}C${x1 + bend},${fromY} ${x2 - bend},${toY} ${x2},${toY}`, class: `edge ${kind}` }, svg);
    };
    const middle = (box) => box.y + HEAD / 2;
    if (chosen?.column) {
      const rowY = (name, column) => boxes.get(name).y + HEAD + ROW * (boxes.get(name).shown.indexOf(column) + 0.45);
      const inside = (name, column) => light.columns.get(name)?.includes(column);
      const upward = new Set(columnsReached(chosen.name, chosen.column, above).map(([n, c]) => key(n, c)));
      for (const [n1, c1, n2, c2] of edges) {
        if (inside(n1, c1) && inside(n2, c2)) {
          const kind = upward.has(key(n1, c1)) ? "up" : "down";
          curve(boxes.get(n1), boxes.get(n2), rowY(n1, c1), rowY(n2, c2), kind);
        }
      }
    } else {
      for (const node of nodes) {
        for (const name of node.reads) {
          const ends = [side(name), side(node.name)];
          const kind = !light ? "" : ends.includes("off") ? "off" : ends.includes("up") ? "up" : "down";
          curve(boxes.get(name), boxes.get(node.name), middle(boxes.get(name)), middle(boxes.get(node.name)), kind);
        }
      }
    }
    for (const names of layers) {
      for (const name of names) {
        const node = byName.get(name), box = boxes.get(name);
        const told = `${name}, ${node.kind}${node.failing ? `, ${node.failing} tests failing` : ""}`;
        const group = make("g", {
          class: `node ${node.kind} ${light ? side(name) : ""}`, tabindex: 0, role: "button", "aria-label": told,
          "aria-pressed": chosen?.name === name, "data-name": name, transform: `translate(${box.x},${box.y})`,
        }, svg);
        make("rect", { width: WIDTH, height: box.h, rx: 5 }, group);
        make("text", { x: 9, y: 17 }, group, short(name));
        if (node.failing) make("text", { x: WIDTH - 18, y: 17, class: "bad" }, group, "!");
        box.shown.forEach((column, i) => make("text", { x: 16, y: HEAD + ROW * (i + 0.7), class: "col" }, group, short(column)));
        make("title", {}, group, [told, ...box.shown].join("\n"));
      }
    }
    const place = [graph.scrollLeft, graph.scrollTop];
    graph.replaceChildren(svg);
    graph.hidden = false;
    graph.scrollTo(...place);
    return boxes;
  };

  const tell = () => {
    panel.hidden = !chosen;
    panel.replaceChildren();
    if (!chosen) return;
    const node = byName.get(chosen.name);
    const line = document.createElement("p");
    const title = document.createElement("strong");
    title.textContent = chosen.column ? key(chosen.name, chosen.column) : chosen.name;
    const light = lit();
    line.append(title, `: from ${light.up.size} and into ${light.down.size} others. `);
    const details = document.getElementById(title.textContent);
    if (details) {
      const more = document.createElement("button");
      more.type = "button";
      more.textContent = "Show its description";
      more.addEventListener("click", () => (details.scrollIntoView({ block: "center" }), details.querySelector("a, summary")?.focus()));
      line.append(more);
    }
    panel.append(line);
    for (const column of node.columns) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column;
      button.setAttribute("aria-pressed", column === chosen.column);
      button.addEventListener("click", () => choose(chosen.name, column));
      panel.append(button);
    }
  };

  const choose = (name, column, quiet) => {
    chosen = name ? { name, column } : null;
    const boxes = draw();
    tell();
    if (chosen) {
      const box = boxes.get(name);
      const seen = box.x >= graph.scrollLeft && box.x + WIDTH <= graph.scrollLeft + graph.clientWidth
        && box.y >= graph.scrollTop && box.y + box.h <= graph.scrollTop + graph.clientHeight;
      if (!seen) graph.scrollTo(box.x - graph.clientWidth / 2 + WIDTH / 2, box.y - graph.clientHeight / 3);
    }
    if (!quiet) history.replaceState(null, "", chosen ? `#${column ? key(name, column) : name}` : location.pathname);
  };
  const refocus = (name) => graph.querySelector(`[data-name="${CSS.escape(name)}"]`)?.focus();

  graph.addEventListener("click", (event) => {
    const name = event.target.closest("g.node")?.dataset.name;
    if (name) choose(name), refocus(name);
  });
  graph.addEventListener("keydown", (event) => {
    const name = event.target.closest("g.node")?.dataset.name;
    if (name && (event.key === "Enter" || event.key === " ")) event.preventDefault(), choose(name), refocus(name);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen && event.target.id !== "search") {
      const { name } = chosen;
      choose(null);
      refocus(name);
    }
  });

  const fromHash = () => {
    const hash = decodeURIComponent(location.hash.slice(1));
    const [name, ...rest] = hash.split(".");
    const column = rest.join(".");
    if (!byName.has(name)) return void (chosen || draw());
    choose(name, byName.get(name).columns.includes(column) ? column : undefined, true);
    // the drawing is what such an address asks for; the description is one step from there
    requestAnimationFrame(() => document.getElementById("graph-title").scrollIntoView());
  };
  window.addEventListener("hashchange", fromHash);
  window.addEventListener("load", fromHash);
  draw();

  const search = document.getElementById("search"), found = document.getElementById("found");
  const sections = [...document.querySelectorAll("section.model")];
  const texts = sections.map((section) => section.textContent.toLowerCase());
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    sections.forEach((section, i) => {
      const hit = words.every((word) => texts[i].includes(word));
      section.hidden = !hit;
      n += hit;
    });
    found.textContent = words.length ? `${n} of ${sections.length} models` : "";
  });
})();
