// What was done to the captions of the form's folders, from the journal that lies beside them: taken back, or done again.
"use strict";
Loratory.past = (root) => {
  const L = Loratory, { el } = L;
  let shown = "";
  const newest = L.latest();
  const list = el("div", {});
  const box = el("details", { class: "lor-details", open: true, hidden: true }, el("summary", {}, "What was done before"),
    el("p", { class: "lor-help" }, "Kept beside the pictures, also when the window is closed. A caption that was changed since by hand or by another program is left as it is."), list);
  root.append(box);
  const STATES = { done: "", undone: "taken back", interrupted: "interrupted", running: "going on now" };
  const step = async (folder, entry, what) => {
    const reply = await L.attempt(() => L.post("/api/journal", { folder, action: entry.id, what }));
    if (reply) L.toast((what === "undo" ? L.undone : L.redone)(reply));
    L.captionsChanged?.();
  };
  const line = (folder, entry) => el("li", { class: "lor-file" }, el("span", { class: "lor-path" }, entry.label), el("span", { class: "lor-note" }, `${L.when(entry.time)} · ${L.counted(entry.files, "file")}${STATES[entry.state] ? ` · ${STATES[entry.state]}` : ""}`),
    entry.state !== "running" && (entry.state === "undone" ? L.button("Redo", () => step(folder, entry, "redo")) : L.button("Undo", () => step(folder, entry, "undo"))));
  const refresh = async () => {
    const found = await newest(L.get("/api/journal"));
    if (JSON.stringify(found) === shown) return;
    shown = JSON.stringify(found);
    const some = found.filter((one) => one.entries.length);
    box.hidden = !some.length;
    L.fill(list, some.map((one) => [found.length > 1 && el("p", { class: "lor-label lor-path" }, one.folder), el("ul", { class: "lor-files" }, one.entries.slice(0, 20).map((entry) => line(one.folder, entry)))]));
  };
  L.poll(root, 3, refresh);
  const changed = L.captionsChanged;
  L.captionsChanged = () => { changed?.(); L.attempt(refresh); };
};
