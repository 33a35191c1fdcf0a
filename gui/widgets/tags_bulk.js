// Edits of many captions at once: chosen from a list, with a form that each describes itself, shown before they are done.
"use strict";
// A notice with something to press in it.
Loratory.offer = (text, label, act) => {
  const L = Loratory, toast = L.el("div", { class: "lor-toast lor-offer", role: "status" }, L.el("span", {}, text),
    L.button(label, () => { toast.remove(); act(); }, "small"));
  document.body.append(toast);
  setTimeout(() => toast.remove(), 12000);
};
// What changed many captions is taken back from the notice that tells of it.
Loratory.offerUndo = (desk, text) => Loratory.offer(text, "Undo", async () => {
  const L = Loratory, found = await L.attempt(() => desk.ask("step", { what: "undo" }));
  if (found) { L.toast(L.undone(found)); await desk.refresh(); }
});

// The fields of one edit. `changed()` whenever a value does; values(); show(problems) writes under each what is wrong with it.
Loratory.editForm = (desk, edit, kept, changed) => {
  const L = Loratory, { el } = L;
  const WORDS = ["tags", "old", "new", "into", "first", "word"];  // fields that hold tags
  const values = Object.fromEntries(edit.fields.map((field) => [field.name, kept[field.name] ?? field.default]));
  const touched = new Set(Object.keys(kept)), rows = {};
  const set = (field, value) => { values[field.name] = value; touched.add(field.name); seen(); changed(); };
  const lastTag = (find) => async (text, cursor) => {
    const from = text.lastIndexOf(",", cursor - 1) + 1, piece = text.slice(from, cursor), start = from + piece.length - piece.trimStart().length;
    const found = await find(piece.trim());
    return found && { ...found, from: start, to: cursor };
  };
  const control = (field, id) => {
    const about = { id, class: "lor-input", "aria-describedby": `${id}-help`, spellcheck: "false" };
    if (field.type === "choice") return el("select", { ...about, onchange: (event) => set(field, event.target.value) }, field.choices.map((choice) => el("option", { value: choice, selected: choice === values[field.name] }, choice)));
    if (field.type === "switch") return el("input", { id, type: "checkbox", checked: values[field.name], "aria-describedby": `${id}-help`, onchange: (event) => set(field, event.target.checked) });
    if (field.type === "number") return el("input", { ...about, type: "number", min: field.minimum, max: field.maximum, value: values[field.name], oninput: (event) => set(field, event.target.value) });
    const input = el(field.long && !WORDS.includes(field.name) ? "textarea" : "input", { ...about, rows: 2, value: values[field.name], oninput: (event) => set(field, event.target.value) });
    return WORDS.includes(field.name) ? L.suggest(input, lastTag(L.suggestTags(desk))) : input;
  };
  const node = el("div", { class: "lor-edit-fields" }, edit.fields.map((field) => {
    const id = `lor-edit-${edit.name}-${field.name}`, problem = el("p", { class: "lor-problem", role: "status" });
    const label = el("label", { class: "lor-label", for: id }, field.label), help = el("p", { class: "lor-help", id: `${id}-help` }, L.marked(field.help));
    rows[field.name] = { problem, row: el("div", { class: `lor-edit-field ${field.type}` }, field.type === "switch" ? el("div", { class: "lor-row tight" }, control(field, id), label) : [label, control(field, id)], help, problem), when: field.when };
    return rows[field.name].row;
  }));
  const seen = () => {
    for (const { row, when } of Object.values(rows)) {
      const [name, wanted] = when.split("=");
      row.hidden = Boolean(when) && !(wanted === undefined ? values[name] : wanted.split("|").includes(String(values[name])));
    }
  };
  seen();
  return {
    node, values: () => ({ ...values }),
    focus: () => node.querySelector("input, textarea, select")?.focus(),
    show: (problems) => {
      const waits = [];
      for (const [name, { problem, row }] of Object.entries(rows)) {
        const said = problems[name] || "";
        const told = said && touched.has(name);
        problem.textContent = told ? `${said.charAt(0).toUpperCase()}${said.slice(1)}.` : "";
        row.classList.toggle("bad", Boolean(told));
        if (said && !told) waits.push(said);
      }
      return waits;  // what wasn't filled in yet
    },
  };
};
// `code` in a text, as code.
Loratory.marked = (text) => text.split("`").map((part, index) => (index % 2 ? Loratory.el("code", {}, part) : part));

Loratory.tagBulk = async (desk, start = {}) => {
  const L = Loratory, { el } = L;
  const GROUPS = { add: "Add", take: "Take out", replace: "Replace", order: "Order", tidy: "Tidy up" };
  await desk.flush?.();
  const known = await L.attempt(() => desk.ask("edits"));
  if (!known) return;
  const kept = L.kept("tags-bulk", {});
  let edit = known.edits.find((one) => one.name === (start.edit || kept.edit)) || known.edits[0];
  let scope = start.scope || (desk.selection.size > 1 ? "selected" : desk.filter().trim() ? "filtered" : "all");
  await L.dialog("Edit many captions", (close, dialog) => {
    dialog.classList.add("lor-bulk");
    const newest = L.latest();
    let form, found = null, timer, busy = false;
    const which = el("select", { class: "lor-input", id: "lor-bulk-edit", onchange: () => pick(which.value) }, Object.entries(GROUPS).map(([group, word]) =>
      el("optgroup", { label: word }, known.edits.filter((one) => one.group === group).map((one) => el("option", { value: one.name }, one.label)))));
    const help = el("p", { class: "lor-help" }), fields = el("div", {});
    const many = { selected: desk.selection.size, filtered: desk.order.length, all: desk.album.shown };
    const scopes = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "In which pictures" }, Object.entries({ selected: "Chosen", filtered: "Shown", all: "All" }).map(([value, word]) =>
      el("label", {}, el("input", { type: "radio", name: "lor-bulk-scope", value, checked: value === scope, disabled: !many[value], onchange: () => { scope = value; look(); } }), el("span", {}, `${word} (${many[value].toLocaleString("en")})`))));
    const sum = el("p", { class: "lor-bulk-sum", role: "status" }), list = el("ul", { class: "lor-files lor-bulk-list", "aria-label": "What changes" });
    const go = L.button("Change", () => apply(), "primary", { disabled: true, id: "lor-bulk-apply" });
    const wish = () => ({ edit: edit.name, values: form.values(), scope, numbers: scope === "selected" ? desk.numbers("selected") : undefined, filter: desk.filter() });

    const pick = (name) => {
      edit = known.edits.find((one) => one.name === name);
      which.value = name;
      const before = start.edit === name ? start.values : kept.values?.[name];
      form = L.editForm(desk, edit, before || {}, soon);
      L.fill(help, L.marked(edit.help));
      L.fill(fields, form.node);
      look();
    };
    const change = (one) => el("li", { class: "lor-file" }, el("img", { src: `/api/pictures/${one.id}?side=256`, alt: "", loading: "lazy", width: 48, height: 48 }),
      el("div", { class: "grow" }, el("b", { class: "lor-path" }, one.name), el("div", { class: "lor-diff" }, one.after ? L.difference(one.before, one.after) : [el("del", {}, one.before), el("i", {}, " no caption")])));
    const look = async () => {
      clearTimeout(timer);
      found = null; go.disabled = true;
      sum.textContent = "Looking…";
      let answer;
      const none = (words) => { sum.textContent = words; go.textContent = "Change"; list.replaceChildren(); };
      try { answer = await newest(desk.ask("preview", { ...wish(), typing: true })); }
      catch (error) { none(error.message); return; }
      const waits = form.show(answer.problems || {});
      if (answer.problems) { none(waits[0] ? `First ${waits[0]}.` : "Something isn't right yet."); return; }
      found = answer;
      const { count, of } = found;
      sum.textContent = count ? `${L.counted(count, "caption")} of ${of.toLocaleString("en")} will change${count > found.changes.length ? `; the first ${found.changes.length}:` : ":"}` : `Nothing changes in ${L.counted(of, "caption")}.`;
      go.textContent = count ? `Change ${L.counted(count, "caption")}` : "Change";
      go.disabled = !count || busy;
      L.fill(list, found.changes.map(change));
      list.scrollTop = 0;
    };
    const soon = () => { clearTimeout(timer); found = null; go.disabled = true; timer = setTimeout(look, 250); };
    const apply = async () => {
      busy = true; go.disabled = true; go.textContent = "Working…";
      kept.edit = edit.name;
      kept.values = { ...kept.values, [edit.name]: form.values() };
      L.keep("tags-bulk", kept);
      const done = await L.attempt(() => desk.ask("apply", { ...wish(), revision: found.revision }));
      busy = false;
      if (!done) { look(); return; }
      close();
      await desk.refresh();
      L.offerUndo(desk, `${done.label}: ${L.written(done)}`);
    };
    setTimeout(() => { pick(edit.name); form.focus(); });
    return [el("div", { class: "lor-bulk-body" },
      el("div", { class: "lor-bulk-form" }, el("label", { class: "lor-label", for: "lor-bulk-edit" }, "What to do"), which, help, fields, el("p", { class: "lor-label" }, "In which pictures"), scopes),
      el("div", { class: "lor-bulk-preview" }, sum, list)),
    el("div", { class: "lor-row end" }, L.button("Cancel", () => close()), go)];
  });
};
(Loratory.tagTools ||= []).push((desk) => {
  const L = Loratory;
  desk.editMany = (start) => L.tagBulk(desk, start);
  desk.toolbar.append(L.button("Edit many…", () => desk.editMany(), "", { title: "Change the captions of all chosen, shown or all pictures (B)", id: "tags-bulk" }));
  L.tagKey("b", () => desk.editMany(), desk);
  (L.moreKeys ||= []).push(["Tag editor, many pictures", [["B", "Edit many captions at once"], ["S", "Sweep: one tag, yes or no, picture by picture"], ["Y, N", "In a sweep: the picture has the tag, or hasn't"], ["Space, ← →", "In a sweep: leave it as it is; back and forth"]]]);
});
// A key of the tag editor's, while nothing is typed and no dialog is open.
Loratory.tagKey = (key, act, desk) => document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]");
  if (event.key.toLowerCase() !== key || event.ctrlKey || event.metaKey || event.altKey || typing || !desk.album || !desk.toolbar.getClientRects().length || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  act();
});
