// Every tag with how many captions have it: to filter by, to see what goes together, to rename or remove.
"use strict";
Loratory.tagTable = (desk) => {
  const L = Loratory, { el } = L;
  const HEIGHT = 34;
  let rows = [], shown = [], total = 0, timer, here = 0, chosen = null;
  const newest = L.latest(), newestPair = L.latest();
  const search = el("input", { type: "search", class: "lor-input", placeholder: "Find a tag", "aria-label": "Find a tag", oninput: () => draw() });
  const sort = el("select", { class: "lor-input short", "aria-label": "Order of the tags", onchange: () => { L.keep("tags-sort", sort.value); draw(); } },
    Object.entries({ most: "most", least: "fewest", name: "name", kind: "kind" }).map(([value, word]) => el("option", { value }, word)));
  sort.value = L.kept("tags-sort", "most");
  const single = el("input", { type: "checkbox", onchange: () => draw() }), within = el("input", { type: "checkbox", onchange: () => load() });
  const note = el("p", { class: "lor-note grow", role: "status" });
  const box = el("div", { class: "lor-taglist", role: "listbox", "aria-label": "Tags", tabindex: "0" });
  const detail = el("div", { class: "lor-tagdetail", hidden: true, role: "region", "aria-label": "One tag" });
  const node = el("section", { class: "lor-pane lor-tagtable", "aria-label": "Tags" }, el("div", { class: "lor-row tight lor-pane-head" }, search, sort),
    el("div", { class: "lor-row tight" }, el("label", { class: "lor-row tight" }, within, "shown only"), el("label", { class: "lor-row tight" }, single, "used once")),
    el("div", { class: "lor-row tight" }, note, L.button("List…", () => own(), "quiet small", { title: "A file with tags to choose from" })), box, detail);

  const wanted = (tag, mode) => desk.filterTag(tag, mode);
  const use = (index, event) => { const row = shown[index]; if (!row) return; here = index; choose(row); wanted(row[0], event.ctrlKey || event.metaKey ? "not" : event.shiftKey ? "and" : "only"); };
  const cell = (index) => {
    const [tag, count, kind] = shown[index], bar = el("span", { class: "lor-bar" });
    bar.style.width = `${total ? (100 * count) / total : 0}%`;
    return el("div", { class: "lor-tagrow", role: "option", id: `lor-tagrow-${index}`, "aria-selected": index === here ? "true" : "false", "aria-posinset": index + 1, "aria-setsize": shown.length,
      onclick: (event) => use(index, event), title: `${tag}: click shows these pictures, Shift+click also these, Ctrl+click not these` },
    el("span", { class: `lor-tagname lor-kind-${kind || "none"}` }, tag), el("span", { class: "lor-bar-track" }, bar), el("span", { class: "lor-tagcount" }, count.toLocaleString("en")),
    el("button", { type: "button", class: "lor-tagmore", tabindex: "-1", "aria-label": `More about ${tag}`, onclick: (event) => { event.stopPropagation(); here = index; choose(shown[index]); } }, "⋯"));
  };
  const view = L.virtual(box, { layout: () => ({ count: shown.length, columns: 1, width: box.clientWidth, height: HEIGHT }), cell });
  const order = { most: (a, b) => b[1] - a[1], least: (a, b) => a[1] - b[1], name: (a, b) => a[0].localeCompare(b[0]), kind: (a, b) => String(a[2] || "~").localeCompare(String(b[2] || "~")) || b[1] - a[1] };
  const draw = () => {
    const sought = search.value.trim().toLowerCase().replaceAll("_", " ");
    shown = rows.filter((row) => (!sought || row[0].toLowerCase().replaceAll("_", " ").includes(sought)) && (!single.checked || row[1] === 1)).sort(order[sort.value] || order.most);
    const once = rows.filter((row) => row[1] === 1).length;
    note.textContent = `${L.counted(shown.length, "tag")}${shown.length < rows.length ? ` of ${rows.length.toLocaleString("en")}` : ""}${once ? `, ${once.toLocaleString("en")} only once` : ""}${rows.length ? "" : ". Captions that are sentences are not split."}`;
    here = Math.min(here, Math.max(0, shown.length - 1));
    view.clear();
  };
  const load = async () => {
    if (!desk.album || !node.getClientRects().length) return;
    const found = await newest(desk.ask("table", within.checked ? { numbers: desk.order } : {}));
    ({ rows, total } = found);
    draw();
    if (chosen) choose(rows.find((row) => row[0] === chosen) || null);
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(() => load().catch(() => {}), 250); };

  const choose = async (row) => {
    chosen = row?.[0] ?? null;
    detail.hidden = !row;
    view.clear();
    if (!row) return;
    const [tag, count] = row, pairs = el("div", { class: "lor-chips" });
    if (detail.dataset.tag === tag && detail.contains(document.activeElement)) return;
    detail.dataset.tag = tag;
    const name = el("input", { class: "lor-input", value: tag, "aria-label": `New name for ${tag}` });
    const field = L.suggest(name, L.suggestTags(desk), { take: (taken) => { if (!taken) rename(); } });
    const rename = () => { if (name.value.trim() && name.value.trim() !== tag) desk.bulk("rename", { old: tag, new: name.value.trim() }, `Rename ${tag}?`); };
    L.fill(detail, el("div", { class: "lor-row tight" }, el("b", { class: "lor-path grow" }, tag), L.button("×", () => choose(null), "quiet small", { "aria-label": "Close" })),
      el("div", { class: "lor-row tight" }, ["only", "and", "not"].map((mode) => L.button({ only: "Show", and: "and", not: "not" }[mode], () => wanted(tag, mode), "quiet small", { "aria-label": { only: `Show pictures with ${tag}`, and: `Also with ${tag}`, not: `Without ${tag}` }[mode] })),
        el("span", { class: "lor-note lor-whole" }, `${count.toLocaleString("en")} · ${((100 * count) / Math.max(1, total)).toFixed(count * 100 < total ? 2 : 0)} %`)),
      el("div", { class: "lor-row tight" }, field, L.button("Rename", rename, "small")), el("div", { class: "lor-row tight" }, L.button("Remove everywhere", () => desk.bulk("remove", { tags: tag }, `Remove ${tag}?`), "small"), L.button("Sweep…", () => desk.sweep(tag), "small", { title: "Yes or no, picture by picture" })),
      el("p", { class: "lor-label" }, "Goes together with"), pairs);
    const found = await newestPair(desk.ask("together", { tag })).catch(() => null);
    if (found && chosen === tag) L.fill(pairs, found.rows.length ? found.rows.slice(0, 24).map(([other, many]) => el("button", { type: "button", class: "lor-chip", onclick: (event) => wanted(other, event.ctrlKey ? "not" : "and"), title: `${many} of ${count}` }, other, " ", el("span", { class: "lor-note" }, `${Math.round((100 * many) / Math.max(1, count))} %`))) : el("span", { class: "lor-note" }, "nothing else"));
  };
  // A person's own list of tags: names are suggested from it, and have its colours.
  const own = async () => {
    const path = await L.browse("file", "", "A list of tags: name,category,count,\"other names\" or one tag a line");
    const found = path && await L.attempt(() => desk.ask("list", { path }));
    if (found) { L.toast(`${L.counted(found.count, "tag")} to choose from.`); soon(); }
  };
  // A change of many captions from this page: what it would do is counted first.
  desk.bulk = async (edit, values, question, scope = "all") => {
    await desk.flush();
    const found = await L.attempt(() => desk.ask("preview", { edit, values, scope, numbers: scope === "selected" ? desk.numbers("selected") : undefined, filter: desk.filter() }));
    if (!found) return;
    if (!found.count) { L.toast("No caption would change."); return; }
    const example = found.changes.slice(0, 3).map((one) => el("p", { class: "lor-said lor-diff" }, L.difference(one.before, one.after)));
    const yes = await L.dialog(question, (close) => [el("p", {}, `${L.counted(found.count, "caption")} will change. It can be undone.`), example,
      el("div", { class: "lor-row end" }, L.button("Cancel", () => close(false)), L.button(`Change ${L.counted(found.count, "caption")}`, () => close(true), "primary", { autofocus: true }))]);
    if (!yes) return;
    const done = await L.attempt(() => desk.ask("apply", { edit, values, scope, numbers: scope === "selected" ? desk.numbers("selected") : undefined, filter: desk.filter(), revision: found.revision }));
    if (done) { L.toast(L.written(done)); await desk.refresh(); }
  };

  box.addEventListener("keydown", (event) => {
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: shown.length - 1, PageDown: here + 12, PageUp: here - 12 }[event.key];
    if (to !== undefined) { event.preventDefault(); event.stopPropagation(); here = Math.min(Math.max(0, to), Math.max(0, shown.length - 1)); view.clear(); view.reveal(here); box.setAttribute("aria-activedescendant", `lor-tagrow-${here}`); }
    else if (event.key === "Enter") { event.preventDefault(); use(here, event); }
    else if (event.key === " " && shown[here]) { event.preventDefault(); choose(shown[here]); detail.querySelector("input")?.focus(); }
    else if ((event.key === "Delete") && shown[here]) { event.preventDefault(); desk.bulk("remove", { tags: shown[here][0] }, `Remove ${shown[here][0]}?`); }
  });
  desk.on("changed", soon);
  desk.on("order", () => { if (within.checked) soon(); });
  desk.on("opened", () => { rows = []; chosen = null; detail.hidden = true; draw(); });
  new ResizeObserver(() => { if (node.clientHeight && !rows.length) soon(); }).observe(node);
  return node;
};
