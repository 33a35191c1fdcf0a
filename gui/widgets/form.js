// The bar above a form (levels, search), and what is seen of the form: hidden fields, folded groups, messages beside fields.
"use strict";
Loratory.form = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const LEVELS = ["quick", "standard", "expert"];
  const kept = (name, fallback) => { try { return localStorage.getItem(`loratory-${about.form}-${name}`) ?? fallback; } catch { return fallback; } };
  const keep = (name, value) => { try { localStorage.setItem(`loratory-${about.form}-${name}`, value); } catch { /* private window */ } };
  let level = LEVELS.includes(kept("level", "quick")) ? kept("level", "quick") : "quick";
  let folded = new Set((kept("folded", "") || "").split(" ").filter(Boolean));
  let state = props.value || { hidden: [], problems: {}, warnings: {}, attempt: 0 };
  let first = props.value?.problems;  // those of a form that has just come up
  const touched = new Set(), revealed = new Set();  // revealed: whoever followed a link to a hidden field sees it
  let telling, attempted = 0, untold = 0;  // untold: when something was typed that the window has not answered to yet
  const byPath = new Map(about.fields.map((field) => [field.path, field]));
  const byId = new Map(about.fields.map((field) => [field.id, field]));

  // Gradio owns the fields' elements, so they are hidden by a style sheet and not by changing them.
  const sheet = document.head.appendChild(el("style", { "data-form": about.form }));
  const search = el("input", { type: "search", class: "lor-input", id: `${about.form}-search`, autocomplete: "off",
    placeholder: "Find a setting, by its name here or in kohya_ss", "aria-label": "Find a setting", oninput: () => { revealed.clear(); apply(); } });
  const count = el("span", { class: "lor-note", role: "status" });
  const levels = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "How many settings to show" },
    LEVELS.map((name) => el("label", {}, el("input", { type: "radio", name: `${about.form}-level`, value: name,
      checked: name === level, onchange: () => { level = name; keep("level", name); revealed.clear(); apply(); } }),
    el("span", {}, name[0].toUpperCase() + name.slice(1)))));
  if (about.whole) root.append(el("div", { class: "lor-form-bar" }, levels, search, count));

  const matches = (field, sought) => sought.every((word) => field.words.includes(word));
  const seen = (field, sought) => {
    if (!about.whole) return !state.hidden?.includes(field.path);
    if (revealed.has(field.path) || (state.attempt && problemsOf(field).length)) return true;
    if (sought.length) return matches(field, sought);  // a search finds what the level hides, and what does not apply now
    return !state.hidden?.includes(field.path) && LEVELS.indexOf(field.level) <= LEVELS.indexOf(level);
  };
  const of = (field, entries) => Object.entries(entries || {}).filter(([path]) => path === field.path || path.startsWith(`${field.path}.`));
  // What is missing from the beginning is not called wrong before somebody comes to that field, or the form is sent.
  const early = (field, [path, text]) => !state.attempt && !touched.has(field.path) && first?.[path] === text && empty(document.getElementById(field.id));
  const empty = (block) => !block?.querySelector("input[type=checkbox]") && [...(block?.querySelectorAll("input, textarea") || [])].every((input) => !input.value);
  const inWords = (field, entries) => entries.map(([path, text]) => place(field, path) + text).join("; ");
  const problemsOf = (field) => of(field, state.problems).filter((problem) => !early(field, problem));
  const warningsOf = (field) => of(field, state.warnings);

  const apply = () => {
    const sought = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = about.fields.filter((field) => seen(field, sought));
    const groups = new Set(shown.map((field) => field.group)), filled = new Set(groups);
    const unseen = !about.whole || sought.length ? [] : about.fields.filter((field) => (!shown.includes(field) || folded.has(field.group))
      && problemsOf(field).length + warningsOf(field).length);
    for (const field of unseen) groups.add(field.group);
    const rules = about.fields.filter((field) => !shown.includes(field)).map((field) => `#${CSS.escape(field.id)}`)
      .concat(about.groups.filter((group) => !groups.has(group)).map((group) => `#${CSS.escape(group)}`));
    const closed = sought.length ? [] : [...groups].filter((group) => folded.has(group) || !filled.has(group));
    sheet.textContent = (rules.length ? `${rules.join(",")}{display:none!important}` : "")
      + closed.map((group) => `#${CSS.escape(group)} .lor-fields{display:none!important}`).join("");
    count.textContent = sought.length ? `${shown.length} found` : `${shown.length} of ${about.fields.length}`;
    for (const head of document.querySelectorAll(`#${CSS.escape(about.form)}-form .lor-group-head`)) {
      head.setAttribute("aria-expanded", String(!closed.includes(head.dataset.group)));
      tellOf(head, unseen.filter((field) => field.group === head.dataset.group));
    }
    say();
  };
  // Below a group's name: what is said of fields in it that are folded away, or that the level hides.
  const tellOf = (head, fields) => {
    const old = head.nextElementSibling, key = JSON.stringify(fields.map((field) => [field.path, problemsOf(field), warningsOf(field)]));
    if (old?.dataset.key === key) return;
    old?.remove();
    const line = (kind, field, entries) => entries.length > 0 && el("p", { class: kind },
      el("button", { type: "button", class: "lor-link", onclick: () => L.forms[about.form].show(field.path) }, field.label), `: ${inWords(field, entries)}`);
    if (fields.length) head.after(el("div", { class: "lor-group-told", "data-key": key }, fields.map((field) => [
      line("lor-problem", field, problemsOf(field)), line("lor-warning", field, warningsOf(field))])));
  };

  // Messages beside their fields.
  const say = () => {
    for (const field of about.fields) {
      const block = document.getElementById(field.id);
      if (!block) continue;
      const wrong = inWords(field, problemsOf(field));
      message(block, "lor-problem", wrong);
      message(block, "lor-warning", inWords(field, warningsOf(field)));
      const input = block.querySelector("input, textarea");
      if (wrong) { input?.setAttribute("aria-invalid", "true"); block.dataset.bad = ""; }
      else { input?.removeAttribute("aria-invalid"); delete block.dataset.bad; }
      if (["file", "folder", "model"].includes(field.kind)) addPicker(block, field);
    }
  };
  const place = (field, path) => {
    const [row, ...rest] = path.slice(field.path.length + 1).split(".");
    return row === "" ? "" : `row ${Number(row) + 1}${rest.length ? `, ${rest.join(" ").replaceAll("_", " ")}` : ""}: `;
  };
  const message = (block, kind, text) => {
    let node = block.querySelector(`:scope > .${kind}`);
    if (!text) { node?.remove(); return; }
    if (!node) { node = el("p", { class: kind, role: kind === "lor-problem" ? "alert" : null }); block.append(node); }
    if (node.textContent !== text) node.textContent = text;
  };
  const addPicker = (block, field) => {
    if (block.querySelector(":scope > .lor-pick")) return;
    block.append(L.button("Browse…", async () => {
      const input = block.querySelector("input, textarea");
      if (!input || input.disabled) return;
      const path = await L.browse(field.kind, input.value, field.label);
      if (path) { L.type(input, path); }
    }, "lor-pick", { "aria-label": `Browse for ${field.label}` }));
  };

  // Names to choose from while typing, which depend on other fields: the blocks of the chosen family.
  const offer = () => {
    for (const [path, names] of Object.entries(state.offers || {})) {
      const list = document.getElementById(`${byPath.get(path).id}-offers`);
      if (list && [...list.children].map((option) => option.value).join() !== names.join()) L.fill(list, names.map((value) => el("option", { value })));
    }
  };

  const form = () => document.getElementById(`${about.form}-form`);
  document.addEventListener("input", (event) => {
    let node = event.target;
    while (node && !byId.has(node.id)) node = node.parentElement;
    if (!node) return;
    const field = byId.get(node.id);
    touched.add(field.path);
    clearTimeout(telling);
    telling = setTimeout(tell, 250);
  });
  const tell = () => { untold = Date.now(); trigger("input"); say(); };
  // A connection that was cut just then has taken it along: said again until there is an answer, nothing typed is lost.
  setInterval(() => { if (untold && Date.now() - untold > 5000) tell(); }, 1000);
  document.addEventListener("click", (event) => {
    const head = event.target.closest?.(".lor-group-head");
    if (!head || !form()?.contains(head)) return;
    const link = head.nextElementSibling?.querySelector(".lor-link");
    if (link && !about.fields.some((field) => field.group === head.dataset.group && seen(field, []))) return void link.click();  // it has nothing else to show
    folded[folded.has(head.dataset.group) ? "delete" : "add"](head.dataset.group);
    keep("folded", [...folded].join(" "));
    apply();
  });

  // Shows a field wherever it hides, and puts the cursor into it.
  L.forms ||= {};
  L.forms[about.form] = {
    show: (path) => {
      const field = byPath.get(path) || about.fields.find((candidate) => path.startsWith(`${candidate.path}.`));
      if (!field) return;
      search.value = "";
      folded.delete(field.group);
      if (LEVELS.indexOf(field.level) > LEVELS.indexOf(level)) {
        level = field.level;
        for (const radio of levels.querySelectorAll("input")) radio.checked = radio.value === level;
      }
      touched.add(field.path);
      revealed.add(field.path);
      apply();
      const block = document.getElementById(field.id);
      block?.scrollIntoView({ block: "center" });
      block?.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
    },
    label: (path) => {
      const field = byPath.get(path) || about.fields.find((candidate) => path.startsWith(`${candidate.path}.`));
      return field ? field.label : path;
    },
    search,
  };
  watch("value", () => {
    untold = 0;
    state = props.value || state;
    first ??= props.value?.problems;
    apply();
    offer();
    const [worst] = Object.keys(state.problems || {});
    if (state.attempt > attempted && worst) L.forms[about.form].show(worst);
    attempted = Math.max(attempted, state.attempt || 0);
  });
  apply();
  L.untilSettled(root, props, watch);
  let tries = 0;
  const settle = () => {  // the fields are drawn by Gradio after this bar
    say();
    offer();
    if (about.fields.some((field) => !document.getElementById(field.id)) && (tries += 1) < 100) setTimeout(settle, 100);
  };
  settle();
};

// Puts text into an input as if it had been typed, so that Gradio notices.
Loratory.type = (input, text) => {
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
};
