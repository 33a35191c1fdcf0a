// The pictures as a grid of which only the rows in sight exist, and choosing among them by mouse, finger and keyboard.
"use strict";
// A box of given size in which things lie at computed places, drawn only while they are in sight. `layout()` -> {count,
// columns, width, height} of the cells; `cell(index)` -> a node. Used for the grid (many columns) and for long lists (one).
Loratory.virtual = (box, { layout, cell, settled = () => {} }) => {
  const { el } = Loratory;
  const space = el("div", { class: "lor-space", role: "presentation" }), nodes = new Map();
  let timer = null, asked = false;
  box.append(space);
  const range = ({ count, columns, height }, spare) => {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - spare), last = Math.ceil((box.scrollTop + box.clientHeight) / height) + spare;
    return [first * columns, Math.min(count, last * columns)];
  };
  const draw = () => {
    asked = false;
    if (!box.clientHeight) return;
    const plan = layout();
    space.style.height = `${Math.ceil(plan.count / plan.columns) * plan.height}px`;
    const [from, to] = range(plan, 1);
    for (const [index, node] of nodes) if (index < from || index >= to) { node.remove(); nodes.delete(index); }
    for (let index = to - 1; index >= from; index -= 1) {  // backwards, so that each is put before the next: in reading order
      const node = nodes.get(index) || cell(index);
      node.style.transform = `translate(${(index % plan.columns) * plan.width}px, ${Math.floor(index / plan.columns) * plan.height}px)`;
      node.style.width = `${plan.width}px`; node.style.height = `${plan.height}px`;
      if (!nodes.has(index)) { nodes.set(index, node); space.insertBefore(node, nodes.get(index + 1) || null); }
    }
    clearTimeout(timer);
    timer = setTimeout(() => settled(...range(plan, 2)), 40);
  };
  const soon = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
  box.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(box);
  return {
    soon, nodes,
    clear: () => { for (const node of nodes.values()) node.remove(); nodes.clear(); soon(); },
    forget: (index) => { nodes.get(index)?.remove(); nodes.delete(index); soon(); },
    reveal: (index) => {
      const { columns, height } = layout(), top = Math.floor(index / columns) * height;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
      draw();
    },
  };
};

Loratory.tagGrid = (desk) => {
  const L = Loratory, { el } = L;
  const CAPTION = 50;
  let side = Number(L.kept("tags-size", 150)), places = new Map(), anchor = null;
  const box = el("div", { class: "lor-pictures", role: "listbox", "aria-multiselectable": "true", "aria-label": "Pictures", tabindex: "0" });
  const nothing = el("p", { class: "lor-note lor-none", hidden: true }, "No picture is like that.");
  const size = el("input", { type: "range", min: 80, max: 320, step: 10, "aria-label": "Size of the pictures", oninput: () => { side = Number(size.value); L.keep("tags-size", side); const shown = places.get(desk.active); view.clear(); if (shown !== undefined) view.reveal(shown); } });
  size.value = side;
  const chosen = el("span", { class: "lor-note lor-whole", role: "status" });
  const node = el("section", { class: "lor-pane lor-picking", "aria-label": "Pictures" },
    el("div", { class: "lor-row tight lor-pane-head" }, chosen, el("span", { class: "grow" }),
      L.button("All", () => all(), "quiet small", { title: "Choose all that are shown (Ctrl+A)" }), L.button("None", () => desk.choose([]), "quiet small", { title: "Choose none (Esc)" }), L.button("Others", () => desk.choose(desk.order.filter((number) => !desk.selection.has(number))), "quiet small", { title: "Choose those that are not chosen now" }),
      el("label", { class: "lor-row tight lor-size" }, el("span", { class: "lor-hidden" }, "Size"), size)), box, nothing);

  const layout = () => {
    const columns = Math.max(1, Math.round(box.clientWidth / side)), width = Math.floor(box.clientWidth / columns);
    return { count: desk.order.length, columns, width, height: width + CAPTION };
  };
  const stars = (count) => "★".repeat(count);
  const paint = (cell, number) => {
    const line = desk.line(number), marked = desk.selection.has(number);
    cell.setAttribute("aria-selected", marked ? "true" : "false");
    cell.classList.toggle("active", number === desk.active);
    if (!line || cell.dataset.drawn === String(line.revision)) return;
    cell.dataset.drawn = String(line.revision);
    cell.classList.toggle("excluded", line.excluded);
    cell.setAttribute("aria-label", [line.name, line.text || "no caption", line.stars ? `${line.stars} stars` : "", line.excluded ? "excluded from training" : ""].filter(Boolean).join(", "));
    const old = cell.querySelector("img"), src = L.at(`/api/pictures/${line.id}?side=${side > 200 ? 768 : 256}`);
    const image = old && old.getAttribute("src") === src ? old : el("img", { decoding: "async", alt: "", src, draggable: "false" });
    L.fill(cell, el("span", { class: "lor-shot" }, image, line.stars > 0 && el("span", { class: "lor-stars" }, stars(line.stars)), line.excluded && el("span", { class: "lor-flag" }, "not trained")),
      el("span", { class: `lor-caption${line.text ? "" : " missing"}` }, line.text || "no caption"));
  };
  const cell = (index) => {
    const number = desk.order[index];
    const made = el("div", { class: "lor-cell", role: "option", id: `lor-cell-${number}`, "aria-posinset": index + 1, "aria-setsize": desk.order.length, onclick: (event) => pick(index, event), ondblclick: () => { desk.turn("picture"); desk.editText?.(); } },
      el("span", { class: "lor-shot" }), el("span", { class: "lor-caption" }));
    paint(made, number);
    return made;
  };
  const repaint = () => { for (const [index, made] of view.nodes) paint(made, desk.order[index]); };
  const settled = async (from, to) => {
    const missing = desk.order.slice(from, to).filter((number) => !desk.line(number));
    if (!missing.length || !desk.album) return;
    try { await desk.fetch(missing); } catch (error) { if (!(error instanceof TypeError)) console.warn(error); setTimeout(view.soon, 2000); }
  };
  const view = L.virtual(box, { layout, cell, settled });

  const tell = () => {
    const { size: some } = desk.selection, shown = desk.order.length;
    chosen.textContent = some > 1 ? `${some.toLocaleString("en")} of ${shown.toLocaleString("en")} chosen` : `${L.counted(shown, "picture")}`;
  };
  const all = () => desk.choose(desk.order, desk.active ?? desk.order[0]);
  const between = (a, b) => desk.order.slice(Math.min(a, b), Math.max(a, b) + 1);
  const pick = (index, event) => {
    const number = desk.order[index];
    box.focus({ preventScroll: true });
    if (event.shiftKey) {
      const from = places.get(anchor) ?? index, more = between(from, index);
      desk.choose(event.ctrlKey || event.metaKey ? [...desk.selection, ...more] : more, number);
      return;
    }
    if (number === desk.active && desk.selection.size === 1 && !event.ctrlKey && !event.metaKey && event.detail === 1) desk.turn("picture");  // on a small screen: on to its caption
    anchor = number;
    if (event.ctrlKey || event.metaKey) {
      const next = new Set(desk.selection);
      if (!next.delete(number)) next.add(number);
      desk.choose(next, number);
    } else desk.choose([number], number);
  };
  const go = (index, event = {}) => {
    const number = desk.order[Math.min(Math.max(index, 0), desk.order.length - 1)];
    if (number === undefined) return;
    if (event.shiftKey) desk.choose(between(places.get(anchor) ?? 0, places.get(number)), number);
    else if (event.ctrlKey || event.metaKey) desk.choose(desk.selection, number);
    else { anchor = number; desk.choose([number], number); }
    view.reveal(places.get(number));
    repaint();
  };
  desk.go = (by) => go((places.get(desk.active) ?? -1) + by);
  desk.place = (number) => places.get(number);
  desk.reveal = (number) => { if (places.has(number)) view.reveal(places.get(number)); };

  box.addEventListener("keydown", (event) => {
    const { columns } = layout(), here = places.get(desk.active) ?? -1, page = Math.max(1, Math.floor(box.clientHeight / layout().height)) * columns;
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + columns, ArrowUp: here - columns, Home: 0, End: desk.order.length - 1, PageDown: here + page, PageUp: here - page }[event.key];
    if (to !== undefined) { event.preventDefault(); event.stopPropagation(); if (here < 0) go(0, event); else if (to >= 0 && (to < desk.order.length || Math.abs(to - here) !== columns)) go(to, event); return; }
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === "a") { event.preventDefault(); all(); }
    else if (control && event.key.toLowerCase() === "i") { event.preventDefault(); desk.choose(desk.order.filter((number) => !desk.selection.has(number))); }
    else if (event.key === "Escape") desk.choose([]);
    else if (event.key === " " && desk.active !== null) { event.preventDefault(); pick(here, { ctrlKey: true }); }
    else if (event.key === "Enter" && !control) { event.preventDefault(); desk.turn("picture"); desk.addTag?.(); }
  });

  // A box drawn with the mouse over the gaps between pictures, or from anywhere with Alt.
  box.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch" || (event.target.closest(".lor-cell") && !event.altKey) || event.offsetX > box.clientWidth) return;
    const edge = box.getBoundingClientRect(), at = (one) => [one.clientX - edge.left, one.clientY - edge.top + box.scrollTop];
    const start = at(event), frame = el("div", { class: "lor-lasso" }), before = event.ctrlKey || event.metaKey || event.shiftKey ? [...desk.selection] : [];
    const move = (one) => {
      const now = at(one), [left, right] = [Math.min(start[0], now[0]), Math.max(start[0], now[0])], [top, bottom] = [Math.min(start[1], now[1]), Math.max(start[1], now[1])];
      if (!frame.isConnected && right - left + bottom - top < 8) return;
      if (!frame.isConnected) { box.append(frame); box.setPointerCapture(event.pointerId); }
      frame.style.transform = `translate(${left}px, ${top}px)`; frame.style.width = `${right - left}px`; frame.style.height = `${bottom - top}px`;
      const { columns, width, height, count } = layout(), inside = [];
      for (let row = Math.floor(top / height); row <= Math.floor(bottom / height); row += 1) for (let column = Math.max(0, Math.floor(left / width)); column <= Math.min(columns - 1, Math.floor(right / width)); column += 1) if (row * columns + column < count) inside.push(desk.order[row * columns + column]);
      desk.choose([...before, ...inside], inside[0] ?? desk.active);
    };
    const end = () => { frame.remove(); box.removeEventListener("pointermove", move); };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end, { once: true });
    box.addEventListener("pointercancel", end, { once: true });
  });

  desk.on("opened", (again) => { view.clear(); anchor = null; if (!again) box.scrollTop = 0; });
  desk.on("order", () => {
    places = new Map(desk.order.map((number, index) => [number, index]));
    nothing.hidden = desk.order.length > 0;
    view.clear();
    if (desk.active !== null && places.has(desk.active)) view.reveal(places.get(desk.active));
    tell();
  });
  desk.on("selection", () => { tell(); repaint(); });
  desk.on("active", () => { if (desk.active !== null) box.setAttribute("aria-activedescendant", `lor-cell-${desk.active}`); repaint(); });
  desk.on("lines", repaint);
  desk.on("changed", () => { repaint(); view.soon(); });
  return node;
};
// Small things kept in this browser: sizes, recent filters, words that were not saved yet.
Loratory.kept = (name, otherwise) => { try { return JSON.parse(localStorage.getItem(`loratory-${name}`)) ?? otherwise; } catch { return otherwise; } };
Loratory.keep = (name, value) => { try { localStorage.setItem(`loratory-${name}`, JSON.stringify(value)); return true; } catch { return false; } };
