"use strict";
// Everything foreign is text: it comes from the JSON above, and gets into the page by textContent alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { names, parents, views, layers } = data;
  const count = names.length;
  const MAX_CHILDREN = 600, MAX_CELLS = 4000, MAX_DEPTH = 8, SMALLEST = 5, HEAD = 18, ROWS = 100;
  const DELETED = 3, CHANGED = 2, WASTED = 4;
  const $ = (id) => document.getElementById(id);

  const paths = new Array(count);
  paths[0] = "";
  for (let node = 1; node < count; node++) paths[node] = paths[parents[node]] + "/" + names[node];
  let folded = null;

  const state = { view: 0, at: 0, query: "", tab: "largest" };
  let shown = null;

  // -- words ---------------------------------------------------------------------------------------
  const UNITS = ["B", "kB", "MB", "GB", "TB"];
  const size = (bytes) => {
    let value = bytes, unit = 0;
    while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit++; }
    return (unit && value < 99.95 ? value.toPrecision(3) : Math.round(value)) + " " + UNITS[unit];
  };
  const share = (part, whole) => (whole ? (100 * part / whole).toFixed(1) : "0.0") + " %";
  const hue = (layer) => Math.round(40 + (172 + layer * 166.9) % 270);  // reds say waste
  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const button = (className, text, act) => {
    const made = element("button", className, text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };

  // -- what is shown: sizes summed up over the files of the view that match ------------------------
  const matching = (query) => {
    if (!query) return null;
    folded = folded || paths.map((path) => path.toLowerCase());
    const wanted = query.toLowerCase();
    return folded.map((path) => path.includes(wanted));
  };
  const compute = () => {
    const rows = views[state.view], wanted = matching(state.query);
    const total = new Float64Array(count), own = new Float64Array(count), flags = new Int32Array(count).fill(-1);
    let files = 0;
    for (let i = 0; i < rows.length; i += 3) {
      const [node, bytes, flag] = [rows[i], rows[i + 1], rows[i + 2]];
      if (wanted && !wanted[node]) continue;
      files++;
      flags[node] = flag;
      if (state.view && (flag & 3) === DELETED) continue;
      own[node] = total[node] = bytes;
    }
    const lead = flags.slice(), heaviest = own.slice();  // a directory looks like the heaviest thing in it
    for (let node = count - 1; node > 0; node--) {
      const parent = parents[node];
      total[parent] += total[node];
      if (total[node] > heaviest[parent]) { heaviest[parent] = total[node]; lead[parent] = lead[node]; }
    }
    const children = new Map();
    for (let node = 1; node < count; node++) {
      if (!total[node]) continue;
      const known = children.get(parents[node]);
      if (known) known.push(node); else children.set(parents[node], [node]);
    }
    for (const list of children.values()) list.sort((a, b) => total[b] - total[a] || a - b);
    return { total, own, flags, lead, children, files };
  };

  // -- the treemap: Bruls, Huizing, van Wijk, "Squarified Treemaps" --------------------------------
  const worst = (row, sum, side, scale) => {
    const area = sum * scale, length = area / side;
    const big = row[0].bytes * scale, small = row[row.length - 1].bytes * scale;
    return Math.max(big / (length * length), (length * length) / small);
  };
  const squarify = (items, x, y, width, height, place) => {
    const whole = items.reduce((sum, item) => sum + item.bytes, 0);
    if (!(whole > 0 && width > 0 && height > 0)) return;
    const scale = width * height / whole;
    let start = 0;
    while (start < items.length) {
      const side = Math.min(width, height), row = [items[start]];
      let sum = items[start].bytes, end = start + 1;
      while (end < items.length) {
        const longer = row.concat(items[end]);
        if (worst(longer, sum + items[end].bytes, side, scale) > worst(row, sum, side, scale)) break;
        row.push(items[end]); sum += items[end].bytes; end++;
      }
      const thickness = sum * scale / side;
      let offset = 0;
      for (const item of row) {
        const length = item.bytes * scale / thickness;
        if (width >= height) place(item, x, y + offset, thickness, length);
        else place(item, x + offset, y, length, thickness);
        offset += length;
      }
      if (width >= height) { x += thickness; width -= thickness; } else { y += thickness; height -= thickness; }
      start = end;
    }
  };
  const itemsOf = (node) => {
    const all = shown.children.get(node) || [];
    const items = all.slice(0, MAX_CHILDREN).map((child) => ({ node: child, bytes: shown.total[child] }));
    const rest = all.slice(MAX_CHILDREN);
    if (rest.length) {
      const bytes = rest.reduce((sum, child) => sum + shown.total[child], 0);
      items.push({ node: -1, bytes, label: rest.length + " smaller ones" });
      items.sort((a, b) => b.bytes - a.bytes);
    }
    return items;
  };
  const told = (node, bytes) => {
    const flag = shown.flags[node];
    const words = [paths[node] || "/", size(bytes), share(bytes, shown.total[state.at]) + " of what is shown"];
    if (flag >= 0 && !shown.children.has(node)) {
      if (!state.view) words.push("from layer " + flag);
      else {
        words.push((flag & 3) === CHANGED ? "changed here" : "added here");
        if (flag & WASTED) words.push("hidden by a layer above");
      }
    }
    return words.join(" · ");
  };
  const drawMap = () => {
    const map = $("map"), cells = [];
    const pending = [{ node: state.at, box: [0, 0, map.clientWidth, map.clientHeight], depth: 1 }];
    for (let next; (next = pending.shift()) && cells.length < MAX_CELLS;) {  // level by level: the coarse picture first
      const depth = next.depth;
      squarify(itemsOf(next.node), ...next.box, (item, left, top, width, height) => {
        if (depth > 1 && (width < SMALLEST || height < SMALLEST)) return;
        const isDirectory = item.node >= 0 && shown.children.has(item.node);
        const isOpen = isDirectory && depth < MAX_DEPTH && width > 36 && height > HEAD + 14;
        cells.push(cell(item, isDirectory, isOpen, [left, top, width, height], depth));
        if (isOpen) pending.push({ node: item.node, box: [left + 3, top + HEAD, width - 7, height - HEAD - 4], depth: depth + 1 });
      });
    }
    if (!cells.length) {
      cells.push(element("div", "empty", state.query ? "No content matches." : "No content here."));
    }
    map.replaceChildren(...cells);
  };
  const cell = (item, isDirectory, isOpen, [left, top, width, height], depth) => {
    const made = button("cell", undefined, () => (isDirectory ? go(item.node) : undefined));
    const label = item.label || names[item.node];
    const text = item.label ? item.label + " · " + size(item.bytes) : told(item.node, item.bytes);
    made.dataset.depth = depth;
    made.dataset.node = item.node;
    made.setAttribute("aria-label", text + (isDirectory ? " · directory, opens" : ""));
    made.title = text;
    if (isDirectory) made.classList.add("directory");
    if (isOpen || item.node < 0) made.classList.add("open", depth % 2 ? "odd" : "even");
    else colour(made, shown.lead[item.node]);
    Object.assign(made.style, {
      left: left + "px", top: top + "px", width: Math.max(width - 1, 1) + "px", height: Math.max(height - 1, 1) + "px",
    });
    if (width > 34 && height > 17) {
      const caption = element("span", "", label);
      if (width > 110) caption.append(element("small", "", size(item.bytes)));
      made.append(caption);
    }
    const say = () => { $("details").textContent = text; };
    made.addEventListener("mouseenter", say);
    made.addEventListener("focus", say);
    return made;
  };
  const colour = (made, flag) => {
    const layer = state.view ? state.view - 1 : flag;
    made.style.setProperty("--hue", hue(layer));
    if (!state.view) return;
    if ((flag & 3) === CHANGED) made.classList.add("changed");
    if (flag & WASTED) made.classList.add("wasted");
  };

  // -- around it -----------------------------------------------------------------------------------
  const drawHead = () => {
    $("image").textContent = data.image;
    $("identity").textContent = data.id + " · " + data.platform;
    const grade = data.efficiency >= 0.95 ? "good" : data.efficiency >= 0.85 ? "fair" : "poor";
    const numbers = [
      ["efficiency", (Math.floor(data.efficiency * 1000) / 10).toFixed(1) + " %", grade],
      ["stored", size(data.stored), ""],
      ["not shown", size(data.wasted), ""],
      ["duplicated", size(data.duplicated), ""],
    ];
    $("numbers").replaceChildren(...numbers.map(([name, value, className]) => {
      const made = element("div", className);
      made.append(element("dt", "", name), element("dd", "", value));
      return made;
    }));
  };
  const drawLayers = () => {
    const largest = Math.max(1, ...layers.map((layer) => layer.stored));
    const rows = [layerRow(0, "∑", "The whole image", data.stored - data.wasted, "", 1, 0, "all")];
    layers.forEach((layer, number) => {
      const counts = "+" + layer.added + "  ~" + layer.changed + "  −" + layer.deleted;
      const hides = layer.hides ? "  hides " + size(layer.hides) : "";
      rows.push(layerRow(number + 1, String(number), layer.step || "(not told)", layer.stored, counts + hides,
        (layer.stored - layer.wasted) / largest, layer.wasted / largest, ""));
    });
    $("layers").replaceChildren(...rows);
  };
  const layerRow = (view, number, step, bytes, counts, kept, hidden, className) => {
    const made = button("layer", undefined, () => choose(view));
    made.setAttribute("role", "radio");
    made.setAttribute("aria-checked", String(view === state.view));
    made.tabIndex = view === state.view ? 0 : -1;
    made.title = step;
    made.style.setProperty("--hue", hue(Math.max(view - 1, 0)));
    const gauge = element("span", "gauge");
    for (const [name, part] of [["kept", kept], ["hidden", hidden]]) {
      const bar = element("span", name + " " + className);
      bar.style.width = 100 * part + "%";
      gauge.append(bar);
    }
    made.append(element("span", "number " + className, number), element("span", "step", step),
      element("span", "size", size(bytes)), gauge);
    if (counts) made.append(element("span", "told", counts));
    return made;
  };
  const drawCrumbs = () => {
    const trail = [];
    for (let node = state.at; node; node = parents[node]) trail.unshift(node);
    $("crumbs").replaceChildren(...[0, ...trail].map((node) => {
      const made = element("li");
      made.append(button("", node ? names[node] : data.image, () => go(node)));
      return made;
    }));
  };
  const drawDetails = () => {
    const bytes = shown.total[state.at];
    $("details").textContent = (state.query ? shown.files + " paths match. " : "")
      + (paths[state.at] || "/") + " · " + size(bytes)
      + (state.view ? " in layer " + (state.view - 1) : " in the image");
  };

  // -- lists ---------------------------------------------------------------------------------------
  const within = (node) => {
    for (; node > 0; node = parents[node]) if (node === state.at) return true;
    return state.at === 0;
  };
  const pathCell = (text, node, more) => {
    const made = element("td", "path");
    made.append(node > 0 ? button("", text, () => go(parents[node])) : text);
    for (const line of more || []) made.append(element("div", "", line));
    return made;
  };
  const numberCell = (text) => element("td", "number", text);
  const isWanted = (text) => text.toLowerCase().includes(state.query.toLowerCase());
  const lists = {
    largest: () => {
      const found = [];
      for (let node = 1; node < count; node++) if (shown.own[node] && within(node)) found.push(node);
      found.sort((a, b) => shown.own[b] - shown.own[a] || a - b);
      return [["Size", "Share", "Path"], found.slice(0, ROWS).map((node) => [
        numberCell(size(shown.own[node])), numberCell(share(shown.own[node], shown.total[state.at])),
        pathCell(paths[node], node)])];
    },
    waste: () => [["Size", "Path"], data.waste.filter((each) => isWanted(each.path)).slice(0, ROWS).map((each) => [
      numberCell(size(each.bytes)),
      pathCell(each.path, 0, each.copies.map(([layer, bytes, by]) =>
        size(bytes) + " in layer " + layer + ", hidden by layer " + by))])],
    duplicates: () => [["Extra", "Copies", "Paths"], data.duplicates
      .filter((each) => each.places.some(([, path]) => isWanted(path))).slice(0, ROWS).map((each) => [
        numberCell(size(each.extra)), numberCell(String(each.copies)),
        pathCell(each.places[0][1], 0, ["in layer " + each.places[0][0],
          ...each.places.slice(1).map(([layer, path]) => path + " in layer " + layer)])])],
  };
  const drawList = () => {
    const [head, rows] = lists[state.tab]();
    const [thead, tbody] = [document.querySelector("#list thead"), document.querySelector("#list tbody")];
    const line = element("tr");
    head.forEach((word, index) => {
      const made = element("th", index < head.length - 1 ? "number" : "", word);
      made.scope = "col";
      line.append(made);
    });
    thead.replaceChildren(line);
    tbody.replaceChildren(...rows.map((cells) => {
      const made = element("tr");
      made.append(...cells);
      return made;
    }));
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const isOn = tab.id === "tab-" + state.tab;
      tab.setAttribute("aria-selected", String(isOn));
      tab.tabIndex = isOn ? 0 : -1;
      if (isOn) $("list").setAttribute("aria-labelledby", tab.id);
    }
  };

  // -- what people do ------------------------------------------------------------------------------
  const refresh = () => { shown = compute(); drawMap(); drawCrumbs(); drawDetails(); drawList(); };
  const go = (node) => { state.at = node; drawMap(); drawCrumbs(); drawDetails(); drawList(); $("map").focus(); };
  const choose = (view) => {
    state.view = view;
    state.at = 0;
    drawLayers();
    refresh();
    $("layers").querySelector("[aria-checked=true]").focus();
  };
  const pick = (tab) => { state.tab = tab; drawList(); };
  const arrows = (container, selector, move) => container.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const all = [...container.querySelectorAll(selector)];
    const index = all.indexOf(document.activeElement);
    if (!step || index < 0) return;
    event.preventDefault();
    move((index + step + all.length) % all.length);
  });
  arrows($("layers"), "[role=radio]", choose);
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab) => tab.addEventListener("click", () => pick(tab.id.slice(4))));
  arrows(document.querySelector("[role=tablist]"), "[role=tab]", (index) => {
    pick(tabs[index].id.slice(4));
    tabs[index].focus();
  });
  $("search").addEventListener("input", (event) => {
    state.query = event.target.value;
    state.at = 0;
    refresh();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== $("search")) { event.preventDefault(); $("search").focus(); }
    if (event.key === "Escape" && document.activeElement !== $("search") && state.at) go(parents[state.at]);
  });
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const dress = (dark) => { document.documentElement.dataset.theme = dark ? "dark" : "light"; };
  $("theme").addEventListener("click", () => dress(document.documentElement.dataset.theme !== "dark"));
  isDark.addEventListener("change", () => dress(isDark.matches));
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(drawMap); });

  dress(isDark.matches);
  drawHead();
  drawLayers();
  refresh();
})();
