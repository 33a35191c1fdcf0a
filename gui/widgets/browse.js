// Choosing a folder, a file or a model on the machine on which Loratory runs (which need not be the one with the browser).
"use strict";
Loratory.browse = (kind, start, label) => Loratory.dialog(label || "Choose a folder", (close, dialog) => {
  const L = Loratory, { el } = L;
  dialog.classList.add("lor-browser");
  const folders = kind === "folder" || kind === "model";
  let here = "";
  const newest = L.latest();
  const path = el("input", { class: "lor-input", "aria-label": "Path", spellcheck: "false", autofocus: true,
    onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); open(path.value); } } });
  const list = el("div", { class: "lor-entries", role: "listbox", "aria-label": "Folders and files", tabindex: "0" });
  const places = el("div", { class: "lor-row" });
  const note = el("p", { class: "lor-note", role: "status" });
  const choose = L.button("Choose this folder", () => close(here), "primary", { hidden: !folders });

  const open = async (wanted) => {
    const before = path.value;
    try {
      const found = await newest(L.post("/api/browse", { path: wanted, kind }));
      here = found.path;
      if (path.value === before) path.value = found.path;  // else another path is being typed
      L.fill(places, found.places.map((place) => L.button(place.name, () => open(place.path), "quiet")));
      L.fill(list, found.parent !== null && entry({ name: "..", folder: true, hint: "up" }, found.parent),
        found.entries.map((item) => entry(item, item.path)));
      list.scrollTop = 0;
      note.textContent = found.note;
      choose.disabled = false;
    } catch (error) { note.textContent = error.message; }
  };
  const entry = (item, target) => el("button", { type: "button", class: `lor-entry ${item.folder ? "folder" : "file"}`, role: "option",
    onclick: () => (item.folder ? open(target) : close(target)) },
  el("span", { class: "lor-entry-name" }, item.name), el("span", { class: "lor-note" }, item.hint || ""));
  open(start || "");
  return [
    el("div", { class: "lor-row tight" }, path, L.button("Go", () => open(path.value))), places, list, note,
    el("div", { class: "lor-row end" }, L.button("Cancel", () => close()), choose),
  ];
});
