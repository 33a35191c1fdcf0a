// The line that says which pictures are shown, with suggestions, and with mistakes pointed at.
"use strict";
Loratory.tagFilter = (desk) => {
  const L = Loratory, { el } = L;
  const RECENT = 12;
  let line = "", timer;
  const newest = L.latest();
  const input = el("input", { type: "text", class: "lor-input", id: "tags-filter", spellcheck: "false", placeholder: 'All pictures. For example: tag:cat -tag:dog, untagged, tokens>75, /re(d|ed)/', "aria-label": "Filter line", "data-eager": "1", "aria-describedby": "tags-filter-note", oninput: () => soon() });
  const note = el("div", { id: "tags-filter-note", class: "lor-filter-note", role: "status" });
  const recent = () => L.kept("tags-recent", []);
  const remember = () => { if (line && !note.classList.contains("bad")) L.keep("tags-recent", [line, ...recent().filter((one) => one !== line)].slice(0, RECENT)); };
  const find = async (text, cursor) => {
    if (!text.trim()) { const list = recent(); return { from: 0, to: text.length, list: list.map((one) => ({ text: one, note: "used before" })) }; }
    return desk.ask("complete", { line: text, cursor });
  };
  const wrong = (asked, { problem, position }) => {
    input.setAttribute("aria-invalid", "true");
    note.classList.add("bad");
    L.fill(note, el("code", {}, asked.slice(0, position), el("mark", {}, asked.slice(position, position + 1) || " "), asked.slice(position + 1)), el("span", {}, ` Character ${position + 1}: ${problem}`));
  };
  // Copies are found by looking at every picture: a work of its own, the first time; until it is done, what is known is shown.
  const looking = el("div", { class: "lor-filter-work" });
  let watched = "";
  const work = L.work(looking, { done: (report) => { if (report.state !== "failed") work.clear(); watched = ""; apply(); } });
  const compared = (copies) => {
    if (copies?.work && copies.work !== watched) work.watch(copies.work);
    if (!copies) work.clear();
    watched = copies?.work || "";
    if (!copies) return;
    const left = copies.pictures - copies.looked - copies.unread;
    L.put(note, left > 0 && ` · copies among ${copies.looked.toLocaleString("en")} of ${copies.pictures.toLocaleString("en")} pictures; the others were not looked at yet`,
      copies.unread > 0 && ` · ${L.counted(copies.unread, "picture")} can't be read`,
      left > 0 && !copies.work && [" ", L.button("Look at them", async () => { await L.attempt(() => desk.ask("look")); apply(); }, "quiet small")]);
  };
  const order = el("select", { class: "lor-input", id: "tags-order", "aria-label": "Order of the pictures", onchange: () => apply() });
  desk.on("opened", async () => {
    if (order.options.length) return;
    const { rows } = await desk.ask("orders");
    L.fill(order, rows.map(([value, words]) => el("option", { value }, words)));
  });
  const apply = async () => {
    clearTimeout(timer);
    if (!desk.album) return;
    const asked = input.value;
    try {
      const found = await newest(desk.ask("filter", { line: asked, by: order.value }));
      if (found.problem) { wrong(asked, found); return; }
      line = asked;
      input.removeAttribute("aria-invalid");
      note.classList.remove("bad");
      L.fill(note, asked.trim() ? `${found.numbers.length.toLocaleString("en")} of ${desk.album.shown.toLocaleString("en")}` : "");
      compared(found.copies);
      desk.show(found.numbers);
    } catch (error) { if (!(error instanceof TypeError)) L.toast(error.message, true); }  // a lost connection is told elsewhere
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(apply, 180); };
  desk.filter = () => line;
  desk.refilter = apply;
  desk.setFilter = (words) => { input.value = words; return apply().then(remember); };
  const quoted = (tag) => `tag:${/^[\p{L}\p{N}_'.+-]+$/u.test(tag) ? tag : `"${tag.replace(/["\\]/g, "\\$&")}"`}`;
  desk.filterTag = (tag, mode) => desk.setFilter(mode === "only" ? quoted(tag) : `${/\b(OR|XOR)\b/i.test(input.value) ? `(${input.value.trim()})` : input.value.trim()} ${mode === "not" ? "-" : ""}${quoted(tag)}`.trim());
  desk.on("opened", (again) => { if (!again) { input.value = ""; line = ""; } });
  input.addEventListener("blur", remember);
  input.addEventListener("keydown", (event) => { if (event.key === "Escape" && input.value && !event.defaultPrevented) { event.stopPropagation(); desk.setFilter(""); } });
  return el("div", { class: "lor-filter" }, el("div", { class: "lor-row tight" }, L.suggest(input, find, { take: () => { apply().then(remember); } }),
    order, L.button("All", () => desk.setFilter(""), "quiet", { title: "Show all pictures" }), L.button("Help", () => L.filterHelp(desk), "quiet", { "aria-label": "What the filter understands" })), note, looking);
};
Loratory.filterHelp = async (desk) => {
  const L = Loratory, { el } = L;
  const found = await L.attempt(() => desk.ask("grammar"));
  if (found) L.dialog("What the filter understands", (close) => [el("dl", { class: "lor-keys" }, found.rows.map(([words, meaning]) => [el("dt", {}, el("kbd", {}, words)), el("dd", {}, meaning)])),
    el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))]);
};
// Everything that was done to this folder's captions, newest first; each can be taken back on its own.
Loratory.tagHistory = (desk) => {
  const L = Loratory, { el } = L;
  const STATES = { done: "", undone: "taken back", interrupted: "interrupted", running: "going on now" };
  return L.dialog("What was done", (close, dialog) => {
    dialog.classList.add("lor-browser");
    const list = el("ul", { class: "lor-files" });
    const step = (what, id) => async () => { const found = await L.attempt(() => desk.ask("step", { what, id })); if (found) L.toast((what === "undo" ? L.undone : L.redone)(found)); await load(); await desk.refresh(); };
    const load = async () => {
      const found = await L.attempt(() => desk.ask("history"));
      if (found) L.fill(list, found.entries.length ? found.entries.map((one) => el("li", { class: "lor-file" }, el("span", { class: "lor-path" }, one.label), el("span", { class: "lor-note" }, `${L.when(one.time)} · ${L.counted(one.files, "file")}${STATES[one.state] ? ` · ${STATES[one.state]}` : ""}`),
        one.state !== "running" && (one.state === "undone" ? L.button("Redo", step("redo", one.id)) : L.button("Undo", step("undo", one.id))))) : el("p", { class: "lor-note" }, "Nothing yet."));
    };
    load();
    return [el("p", { class: "lor-help" }, "Kept beside the pictures, also when the window is closed. A caption that was changed since is left as it is."), list, el("div", { class: "lor-row end" }, L.button("Close", () => close(), "", { autofocus: true }))];
  });
};
