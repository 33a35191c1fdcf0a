// One picture, large, with its caption as chips and as text: both are the same words, and what is typed is saved by itself.
"use strict";
Loratory.tagPicture = (desk) => {
  const L = Loratory, { el } = L;
  let line = null, newest = L.latest(), newestWords = L.latest(), timer;
  let limit = L.kept("tags-limit", ""), mode = "auto";
  const saving = L.tagSaving(desk);
  const image = el("img", { alt: "", class: "lor-large", onclick: () => line && L.enlarged({ ...line, text: text.value }) });
  const name = el("h3", { class: "lor-path" }), about = el("p", { class: "lor-note" }), note = el("p", { class: "lor-note", role: "status" });
  const text = el("textarea", { class: "lor-input lor-words", id: "tags-text", rows: 4, spellcheck: "false", oninput: () => { write(text.value); soon(); }, onscroll: () => { behind.scrollTop = text.scrollTop; } });
  const behind = el("div", { class: "lor-input lor-words lor-behind", "aria-hidden": "true" });
  const count = el("span", { role: "status", class: "lor-tokens" });
  const limits = el("select", { class: "lor-input short", "aria-label": "How much the text encoder reads", onchange: () => { limit = limits.value; L.keep("tags-limit", limit); words(); } });
  const modes = el("select", { class: "lor-input short", "aria-label": "How this caption is read", onchange: () => { mode = modes.value; words(); } },
    Object.entries({ auto: "auto", tags: "tags", prose: "sentences" }).map(([value, word]) => el("option", { value }, word)));
  const chips = L.tagChips(desk, (tags) => { text.value = tags.join(`${desk.album.separator} `); write(text.value); words(tags); }, () => text.focus());
  const stars = el("div", { class: "lor-starring", role: "group", "aria-label": "Stars" }, [1, 2, 3, 4, 5].map((number) => el("button", { type: "button", "aria-label": L.counted(number, "star"), onclick: () => mark({ stars: line.stars === number ? number - 1 : number }) }, "★")));
  const excluded = el("input", { type: "checkbox", onchange: () => mark({ excluded: excluded.checked }) });
  const memo = el("textarea", { class: "lor-input", rows: 2, id: "tags-note", placeholder: "Only for you; never trained", onchange: () => mark({ note: memo.value }) });
  const seen = L.button("What the trainer sees", () => L.seen?.(line.id), "", { hidden: true });
  const decide = L.button("Decide…", () => desk.decide(line.id), "primary", { hidden: true });
  const past = el("div", {}), pastBox = el("details", { class: "lor-past", ontoggle: () => { if (pastBox.open) versions(); } }, el("summary", {}, "What this caption was before"), past);
  const empty = el("p", { class: "lor-note lor-none" }, "Choose a picture.");
  const node = el("div", { class: "lor-picture" }, saving, empty,
    el("div", { hidden: true, class: "lor-picture-body" },
      el("div", { class: "lor-row tight lor-pane-head" }, L.button("‹", () => desk.go(-1), "quiet small", { "aria-label": "Previous picture" }), L.button("›", () => desk.go(1), "quiet small", { "aria-label": "Next picture" }), about),
      image, name, note, decide, chips.node,
      el("div", { class: "lor-row tight lor-text-head" }, el("label", { class: "lor-label grow", for: "tags-text" }, "Text"), modes),
      el("div", { class: "lor-overlaid" }, behind, text), el("div", { class: "lor-row tight" }, count, el("span", { class: "grow" }), limits),
      el("div", { class: "lor-row" }, stars, el("label", { class: "lor-row tight" }, excluded, "Exclude from training"), seen),
      el("label", { class: "lor-label", for: "tags-note" }, "Note"), memo, pastBox));
  const body = node.querySelector(".lor-picture-body");

  const write = (words) => { if (line) desk.edit(line, words); };
  const soon = () => { clearTimeout(timer); timer = setTimeout(words, 150); };
  const tell = (found) => {
    count.textContent = `${found.tokens}${found.exact ? "" : " or so"} of ${found.limit} tokens${found.cut === null ? "" : ": the rest is not read"}`;
    count.classList.toggle("over", found.cut !== null);
    if (limit === "train") limits.options[0].textContent = `${found.reads}, as in LoRA training`;
    const now = text.value;
    L.fill(behind, found.cut === null || now !== found.text ? now : [now.slice(0, found.cut), el("mark", {}, now.slice(found.cut))], "\n");
    behind.scrollTop = text.scrollTop;
    chips.show({ tags: found.tags, prose: found.prose, cut: found.cut_tag ?? Infinity });
  };
  // What the server makes of the words as they stand: pieces, tokens, the cut.
  const words = async () => {
    clearTimeout(timer);
    const asked = { text: text.value, mode, limit };
    try { tell(await newestWords(desk.ask("words", asked))); } catch { /* the words are safe; only the counter waits */ }
  };
  const put = (value) => { if (text.value !== value) text.value = value; behind.textContent = value; words(); };

  const show = (found) => {
    const other = !line || line.id !== found.id, draft = desk.draft(found.id);
    line = found;
    empty.hidden = true; body.hidden = false;
    const src = L.at(`/api/pictures/${found.id}?side=768`);
    if (image.getAttribute("src") !== src) image.src = src;
    image.alt = found.name;
    name.textContent = found.name; name.title = found.folder ? `${found.folder}/${found.name}` : found.name;
    const at = desk.place(found.number);
    about.textContent = [at === undefined ? "not among those shown" : `${(at + 1).toLocaleString("en")} of ${desk.order.length.toLocaleString("en")}`, `${found.width} × ${found.height}`, found.folder, found.repeats > 1 && `${found.repeats} repeats`, found.regularisation && "regularisation"].filter(Boolean).join(" · ");
    for (const [index, star] of [...stars.children].entries()) star.setAttribute("aria-pressed", index < found.stars ? "true" : "false");
    excluded.checked = found.excluded;
    if (document.activeElement !== memo) memo.value = found.note;
    seen.hidden = !L.seen;
    decide.hidden = !draft?.asked;
    if (!L.fillOnce(limits, desk.album.limits.map((one) => [one.name, one.label]))) limits.value = desk.album.limits.some((one) => one.name === limit) ? limit : desk.album.limits[0].name;
    limit = limits.value;
    if (other) { modes.value = mode = "auto"; chips.forget(); note.textContent = ""; pastBox.open = false; past.replaceChildren(); behind.textContent = ""; }
    if (other) chips.show({ tags: draft ? [] : found.tags, prose: found.prose, cut: Infinity });
    const value = draft ? draft.text : found.text;
    if (other || !draft) { if (other || text.value.trim() !== value.trim()) put(value); }
    if (!other && pastBox.open) versions();
  };
  const load = async () => {
    if (desk.active === null) { line = null; empty.hidden = false; body.hidden = true; return; }
    const known = desk.line(desk.active);
    if (known) { newest(Promise.resolve(null)); show(known); return; }
    const number = desk.active;
    try { const [found] = await newest(desk.fetch([number])); if (found && desk.active === number) show(found); } catch { /* the next look brings it */ }
  };
  // One after the other, and only the last answer about a picture counts: an earlier one does not know of what was pressed meanwhile.
  const asked = new Map();
  let marking = Promise.resolve();
  const mark = (values) => {
    const { number } = line;
    Object.assign(line, values);
    show(line);
    asked.set(number, (asked.get(number) || 0) + 1);
    marking = marking.then(() => L.attempt(async () => {
      let found = { lines: [] };
      try { found = await desk.ask("mark", { numbers: [number], ...values }); } finally { asked.set(number, asked.get(number) - 1); }
      for (const one of found.lines) if (!asked.get(number)) desk.lines.set(one.number, one);
    })).then(() => desk.emit("changed", [number]));
  };
  const versions = async () => {
    const now = line, found = await L.attempt(() => desk.ask("versions", { number: now.number }));
    if (!found || line?.id !== now.id) return;
    const before = (one) => el("li", { class: "lor-file" }, el("span", { class: "lor-note" }, `${L.when(one.time)} · ${one.label}`), el("span", { class: "lor-diff grow" }, one.text ? L.difference(now.text, one.text) : el("i", {}, "no caption")),
      one.text !== text.value && L.button("Back to this", () => { text.value = one.text; write(one.text); words(); desk.flush(); }, "quiet"));
    L.fill(past, found.versions.length ? el("ul", { class: "lor-files" }, found.versions.map(before)) : el("p", { class: "lor-note" }, "It was not changed here yet."));
  };

  desk.addTag = () => { if (desk.selection.size > 1) desk.addToAll?.(); else chips.add.focus(); };
  desk.editText = () => { if (desk.selection.size < 2) { text.focus(); text.setSelectionRange(text.value.length, text.value.length); } };
  desk.exclude = () => { if (desk.selection.size > 1) desk.excludeAll?.(); else if (line) mark({ excluded: !line.excluded }); };
  desk.rate = (by) => { if (line && desk.selection.size < 2) mark({ stars: Math.min(5, Math.max(0, line.stars + by)) }); };
  desk.on("active", load);
  desk.on("reads", (label) => { if (!limits.options.length) return; limits.options[0].textContent = label; if (line && limit === "train") words(); });
  desk.on("opened", (again) => { if (!again) { line = null; load(); } });
  desk.on("order", () => { if (line) show(desk.line(line.number) || line); });
  desk.on("text", (id, value) => { if (line?.id === id) { text.value = value; words(); decide.hidden = true; } });
  desk.on("changed", async (numbers) => { if (desk.active !== null && (numbers === null || numbers.includes(desk.active))) { const draft = line && desk.draft(line.id), was = line?.text, id = line?.id; await load(); if (line && line.id === id && !draft && was !== line.text && !desk.draft(id) && text !== document.activeElement) note.textContent = ""; } });
  desk.on("asked", (id) => { if (line?.id === id) decide.hidden = false; });
  desk.on("selection", () => { node.hidden = desk.selection.size > 1; });
  return node;
};
// Options of a select, filled once.
Loratory.fillOnce = (select, options) => { if (select.options.length) return true; Loratory.fill(select, options.map(([value, word]) => Loratory.el("option", { value }, word))); return false; };
