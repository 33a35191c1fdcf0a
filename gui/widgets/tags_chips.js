// A caption's tags as chips: dragged or moved by keys, clicked to be edited, removed, added with suggestions.
"use strict";
// Suggestions under a text field. `find(text, cursor)` -> a promise of {from, to, list: [{text, note, kind}]}: choosing one puts
// it in place of the characters from..to. `take()`: called with Enter when nothing is chosen, or after choosing.
Loratory.suggest = (input, find, { take = () => {}, wait = 120 } = {}) => {
  const L = Loratory, { el } = L;
  const list = el("ul", { class: "lor-suggestions", role: "listbox", id: `lor-suggestions-${(L.suggestCount = (L.suggestCount || 0) + 1)}`, hidden: true, "aria-label": "Suggestions" });
  let found = null, at = -1, timer;
  const newest = L.latest();
  const hide = () => { clearTimeout(timer); list.hidden = true; found = null; at = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const mark = (index) => {
    at = index;
    for (const [number, item] of [...list.children].entries()) item.setAttribute("aria-selected", number === at ? "true" : "false");
    if (at >= 0) { input.setAttribute("aria-activedescendant", list.children[at].id); list.children[at].scrollIntoView({ block: "nearest" }); } else input.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    const { from, to, list: items } = found, { text } = items[index];
    input.setRangeText(text, from, to, "end");
    hide();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    take(true);
  };
  const look = async () => {
    let answer;
    try { answer = await newest(find(input.value, input.selectionStart ?? input.value.length)); } catch { return; }  // suggestions are a help, not a promise
    if (!answer || !answer.list.length || document.activeElement !== input) { hide(); return; }
    found = answer; at = -1;
    L.fill(list, answer.list.map((one, index) => el("li", { role: "option", id: `${list.id}-${index}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); choose(index); } },
      el("span", { class: `lor-kind-${one.kind || "none"}` }, one.shown || one.text), one.note && el("span", { class: "lor-note" }, one.note))));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(look, wait); };
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false", autocomplete: "off" })) input.setAttribute(name, value);
  input.addEventListener("input", soon);
  input.addEventListener("focus", () => { if (input.dataset.eager) soon(); });
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden && found, many = found?.list.length;
    if (event.key === "ArrowDown" && !open) { event.preventDefault(); look(); }
    else if (event.key === "ArrowDown" && open) { event.preventDefault(); mark((at + 1) % many); }
    else if (event.key === "ArrowUp" && open) { event.preventDefault(); mark((at - 1 + many) % many); }
    else if (event.key === "Tab" && open && !event.shiftKey) { event.preventDefault(); choose(Math.max(at, 0)); }
    else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); if (open && at >= 0) choose(at); else { hide(); take(false); } }
    else if (event.key === "Escape" && open) { event.preventDefault(); event.stopPropagation(); hide(); }
  });
  return el("span", { class: "lor-suggesting" }, input, list);
};
Loratory.suggestTags = (desk) => async (text) => {
  if (!text.trim()) return null;
  const { list } = await desk.ask("suggest", { prefix: text });
  return { from: 0, to: text.length, list: list.map((one) => ({ ...one, note: [one.via && `for ${one.via}`, one.count && one.count.toLocaleString("en")].filter(Boolean).join(" · ") })) };
};

// `changed(tags)` with the new list. show({tags, prose, cut}): `cut` is the index of the first tag that isn't read whole.
Loratory.tagChips = (desk, changed, editText) => {
  const L = Loratory, { el } = L;
  let tags = [], prose = false, cut = Infinity, editing = false, dragged = null;
  const list = el("ul", { class: "lor-chips", "aria-label": "Tags of this caption" });
  const add = el("input", { class: "lor-input", placeholder: "Add a tag", "aria-label": "Add a tag" });
  const said = el("span", { class: "lor-hidden", role: "status" });
  const put = (next, words, focus = null) => {
    tags = next;
    draw();
    changed(tags);
    said.textContent = words;
    if (focus !== null) (list.children[Math.min(focus, tags.length - 1)]?.querySelector("button") || add).focus();
  };
  const move = (from, to) => {
    if (from === to || to < 0 || to >= tags.length) return;
    const next = [...tags], [moved] = next.splice(from, 1);
    next.splice(to, 0, moved);
    put(next, `${moved} is now number ${to + 1} of ${next.length}`, to);
  };
  const remove = (index, focus) => put(tags.filter((_, other) => other !== index), `${tags[index]} removed`, focus);
  const pieces = (text) => (prose ? [text.trim()] : text.split(desk.album.separator).map((piece) => piece.trim())).filter(Boolean);
  const edit = (index) => {
    if (prose) { editText(); return; }
    const field = el("input", { class: "lor-input", value: tags[index], "aria-label": `Edit ${tags[index]}` });
    let over = false;
    const end = (keep, focus = index) => {
      if (over) return;
      over = true; editing = false;
      if (keep && field.value.trim() !== tags[index]) put([...tags.slice(0, index), ...pieces(field.value), ...tags.slice(index + 1)], "changed", focus);
      else { draw(); if (focus !== null) list.children[focus]?.querySelector("button")?.focus(); }
    };
    field.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); end(false); } });
    field.addEventListener("blur", () => end(true, null));
    editing = true;
    L.fill(list.children[index], L.suggest(field, L.suggestTags(desk), { take: () => end(true) }));
    list.children[index].removeAttribute("draggable");
    field.focus(); field.select();
  };
  const keys = (index) => (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && event.altKey) { event.preventDefault(); move(index, index + step); }
    else if (step) { event.preventDefault(); list.children[index + step]?.querySelector("button")?.focus(); }
    else if ((event.key === "Delete" || event.key === "Backspace") && !event.target.closest("input")) { event.preventDefault(); remove(index, index); }
  };
  const chip = (tag, index) => {
    const made = el("li", { class: `lor-tagchip${index >= cut ? " cut" : ""}${prose ? " prose" : ""}`, draggable: prose ? null : "true" },
      el("button", { type: "button", class: "lor-tagchip-name", onclick: () => edit(index), onkeydown: keys(index), title: index >= cut ? "Beyond what the text encoder reads" : prose ? "A sentence: edited as text" : "Click to edit, drag or Alt + arrows to move" }, tag),
      !prose && el("button", { type: "button", class: "lor-tagchip-x", "aria-label": `Remove ${tag}`, onclick: () => remove(index, null) }, "×"));
    made.addEventListener("dragstart", (event) => { dragged = index; event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", tag); });
    made.addEventListener("dragover", (event) => { if (dragged !== null) { event.preventDefault(); made.classList.add("over"); } });
    made.addEventListener("dragleave", () => made.classList.remove("over"));
    made.addEventListener("drop", (event) => { if (dragged === null) return; event.preventDefault(); const from = dragged; dragged = null; move(from, index); });
    made.addEventListener("dragend", () => { dragged = null; made.classList.remove("over"); });
    return made;
  };
  const draw = () => { if (!editing) L.fill(list, tags.map(chip)); };
  const adder = L.suggest(add, L.suggestTags(desk), { take: (chosen) => {
    const fresh = pieces(add.value).filter((tag) => !tags.includes(tag));
    if (!add.value.trim() && !chosen) return;
    add.value = "";
    if (fresh.length) put([...tags, ...fresh], `${fresh.join(", ")} added`);
  } });
  return {
    node: el("div", {}, list, el("div", { class: "lor-row tight" }, adder), said), add,
    show: (now) => {
      const same = now.prose === prose && now.cut === cut && now.tags.length === tags.length && now.tags.every((tag, index) => tag === tags[index]);
      ({ tags, prose, cut } = now);
      const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
      if (!same || !list.childElementCount) { draw(); if (focused >= 0 && !editing) list.children[Math.min(focused, tags.length - 1)]?.querySelector("button")?.focus(); }
    },
    forget: () => { editing = false; add.value = ""; },
  };
};
