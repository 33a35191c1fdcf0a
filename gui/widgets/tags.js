// The tag editor: what its parts share (the desk), opening a folder, noticing what others change, undo and redo.
//
// Every part is given the desk and draws itself: the grid (tags_grid.js), the filter line, the table of tags, one picture,
// several pictures. Tools that are not part of the page's plan add themselves:
//   (Loratory.tagTools ||= []).push((desk) => { desk.toolbar.append(button); });
// The desk: album {key, root, name, count, revision}; order: the numbers of the pictures shown, filtered and sorted;
// selection: a Set of numbers; active: the number of the picture that is shown large, or null; ask(what, values): a POST to
// /api/tags/<what>; numbers("selected" | "filtered" | "all"); filter(): the line; line(number): what is known of a picture, or
// undefined; choose(numbers, active); refresh(): after something was changed; on(event, task) with the events "opened",
// "order", "selection", "active", "changed" (numbers, or null for any), "lines" (more is known).
"use strict";
Loratory.tags = (root) => {
  const L = Loratory, { el } = L;
  const tasks = {};
  const KEPT_LINES = 4000;
  const desk = {
    album: null, order: [], selection: new Set(), active: null, lines: new Map(), toolbar: el("div", { class: "lor-row lor-tagbar", role: "toolbar", "aria-label": "Tools" }),
    on: (event, task) => { (tasks[event] ||= []).push(task); },
    emit: (event, ...values) => { for (const task of tasks[event] || []) task(...values); },
    line: (number) => desk.lines.get(number),
    filter: () => "",
  };

  // One question at a time may reopen the folder: after a restart of the window its pictures have other numbers.
  let reopening = null;
  desk.ask = async (what, values = {}) => {
    const slow = ["apply", "step"].includes(what) && setTimeout(() => { desk.saving("Working…"); undo.disabled = redo.disabled = true; }, 500);
    try {
      const found = await L.finished(await L.post(`/api/tags/${what}`, { album: desk.album?.key, ...values }));
      if (slow) desk.saving("Saved", "good");
      return found;
    }
    catch (error) {
      if (error.status !== 410) throw error;
      await (reopening ||= open(desk.album.root, false).finally(() => { reopening = null; }));  // what waits to be saved waits for this
      throw Object.assign(new L.Refused("The folder was opened anew; please try that again."), { status: 410 });
    } finally { clearTimeout(slow); }
  };
  desk.numbers = (scope) => (scope === "selected" ? [...desk.selection].sort((a, b) => a - b) : scope === "filtered" ? [...desk.order] : desk.album ? [...Array(desk.album.count).keys()] : []);

  desk.fetch = async (numbers) => {
    const found = await desk.ask("lines", { numbers });
    if (desk.lines.size > KEPT_LINES) desk.lines.clear();
    for (const line of found.lines) desk.lines.set(line.number, line);
    desk.emit("lines");
    return found.lines;
  };
  desk.choose = (numbers, active = desk.active) => {
    const before = desk.active;
    desk.selection = new Set(numbers);
    desk.active = active ?? null;
    if (before !== desk.active) desk.emit("active");
    desk.emit("selection");
  };
  desk.show = (order) => {
    desk.order = order;
    const kept = desk.selection.size ? new Set(order) : null;
    desk.emit("order");
    if (kept && [...desk.selection].some((number) => !kept.has(number))) desk.choose([...desk.selection].filter((number) => kept.has(number)));
  };
  desk.refresh = async () => {
    await L.attempt(look);
    await desk.refilter?.();
    desk.emit("changed", null);
  };

  // Others may change captions too: another browser, an editor, a captioning run.
  const look = async () => {
    if (!desk.album) return;
    const { key, revision } = desk.album;
    const found = await desk.ask("changes", { since: revision });
    if (desk.album?.key !== key) return;
    steps(found);
    if (desk.album.limits[0].label !== found.reads) { desk.album.limits[0].label = found.reads; desk.emit("reads", found.reads); }  // the training form
    if (found.revision === revision) return;
    const others = found.count !== desk.album.count || found.shown !== desk.album.shown;  // pictures came or went
    Object.assign(desk.album, { revision: found.revision, count: found.count, shown: found.shown });
    count(found);
    if (found.changed === null) desk.lines.clear();
    else for (const number of found.changed) desk.lines.delete(number);
    if (others) await desk.refilter?.();
    desk.emit("changed", found.changed);
  };
  desk.look = look;

  // What was done can be taken back, whoever did it and whenever.
  const step = (what) => async () => {
    if (!desk.album) return;
    await desk.flush?.();
    const found = await L.attempt(() => desk.ask("step", { what }));
    if (!found) return;
    L.toast(found.id ? `${what === "undo" ? "Taken back" : "Done again"}: ${found.label || "the last change"}. ${(what === "undo" ? L.undone : L.redone)(found)}` : `There is nothing to ${what}.`);
    await desk.refresh();
  };
  const count = (found) => { summary.textContent = `${L.counted(found.shown, "picture")}, ${L.counted(found.captioned, "caption")}`; };
  const undo = L.button("Undo", step("undo"), "", { id: "tags-undo", disabled: true }), redo = L.button("Redo", step("redo"), "", { id: "tags-redo", disabled: true });
  const steps = ({ undo: back, redo: forth }) => {
    undo.disabled = !back; redo.disabled = !forth;
    undo.title = back ? `Take back: ${back} (Ctrl+Z)` : "Nothing to take back";
    redo.title = forth ? `Do again: ${forth} (Ctrl+Shift+Z)` : "Nothing to do again";
  };

  // Opening
  const summary = el("span", { class: "lor-note", role: "status" }), where = el("b", { class: "lor-path" });
  const saving = el("span", { class: "lor-note lor-saving", role: "status", "aria-live": "polite" });
  desk.saving = (words, kind = "") => { saving.textContent = words; saving.className = `lor-note lor-saving ${kind}`; };
  const wanted = el("input", { class: "lor-input", "aria-label": "Folder with pictures to edit", placeholder: "/home/me/pictures/my subject", spellcheck: "false",
    onkeydown: (event) => { if (event.key === "Enter") go(wanted.value); } });
  const chooser = el("div", { class: "lor-card" }, el("h2", {}, "Tag editor"), el("p", { class: "lor-help" }, "Open a folder with pictures, here or in Dataset. Captions are read from and written to the files beside them; every change can be taken back."),
    el("div", { class: "lor-row" }, wanted, L.button("Browse…", async () => { const chosen = await L.browse("folder", wanted.value, "Folder with pictures"); if (chosen) go(chosen); }), L.button("Open", () => go(wanted.value), "primary")));
  const problems = el("div", {});
  const go = async (path) => { if (await open(path)) L.opened(desk.album.root); };
  const newest = L.latest();
  const open = async (path = null, flush = true) => {
    summary.textContent = "Looking through the folder…";
    if (path) wanted.value = path;
    if (flush) await desk.flush();
    const found = await L.attempt(() => newest(L.openAlbum(path ? { path } : {})));
    if (!found) { summary.textContent = ""; return false; }
    const again = desk.album?.root === found.root;
    const ids = again ? [desk.active, ...desk.selection].map((number) => desk.line(number)?.id ?? null) : [];
    desk.album = found.key ? found : null;
    desk.lines.clear(); desk.selection.clear(); desk.order = []; desk.active = null;
    page.hidden = !desk.album; chooser.hidden = !!desk.album;
    L.fill(problems);
    if (!desk.album) { summary.textContent = ""; return false; }
    wanted.value = found.root; where.textContent = found.name; where.title = found.root;
    count(found);
    L.fill(problems, found.problems.length > 0 && el("details", { class: "lor-details" }, el("summary", {}, `${L.counted(found.more_problems + found.problems.length, "thing")} to look at`), L.problemList(found.problems)));
    steps(found);
    desk.emit("opened", again);
    await desk.refilter();
    if (ids.some(Boolean)) {
      const { numbers } = await desk.ask("numbers", { ids });
      desk.choose(numbers.slice(1).filter((number) => number !== null), numbers[0]);
    }
    desk.emit("changed", null);
    return true;
  };

  const grid = L.tagGrid(desk), filter = L.tagFilter(desk), table = L.tagTable(desk), one = L.tagPicture(desk), several = L.tagSeveral(desk);
  const panes = { pictures: ["Pictures", grid], picture: ["Caption", el("section", { class: "lor-pane lor-one", "aria-label": "Caption" }, one, several)], tags: ["Tags", table] };
  const body = el("div", { class: "lor-editor" }, panes.tags[1], panes.pictures[1], panes.picture[1]);
  const turn = (name) => { body.dataset.pane = name; for (const radio of turns.querySelectorAll("input")) radio.checked = radio.value === name; };
  const turns = el("div", { class: "lor-segments lor-turns", role: "radiogroup", "aria-label": "What is shown" }, Object.entries(panes).map(([name, [word]]) =>
    el("label", {}, el("input", { type: "radio", name: "lor-tag-pane", value: name, onchange: () => turn(name) }), el("span", {}, word))));
  desk.turn = turn;
  const page = el("div", { hidden: true },
    L.put(el("div", { class: "lor-row lor-tagtop" }), where, summary, saving, L.put(desk.toolbar, undo, redo, L.button("History…", () => L.tagHistory(desk), "quiet"))),
    filter, turns, body, problems);
  L.put(root, chooser, page);
  turn("pictures");
  for (const tool of L.tagTools || []) tool(desk);
  L.put(desk.toolbar, L.button("Another folder…", async () => { const chosen = await L.browse("folder", wanted.value, "Folder with pictures"); if (chosen) go(chosen); }, "quiet"), L.button("?", () => L.showShortcuts(), "quiet", { "aria-label": "Keys of the tag editor", title: "Keys (?)" }));

  L.poll(root, 2, look);
  L.onOpened((path) => { if (path !== desk.album?.root && path !== wanted.value) open(); });
  const changed = L.captionsChanged;
  L.captionsChanged = () => { changed?.(); if (desk.album) desk.refresh(); };

  // Keys, wherever the focus is in this room; while typing, Ctrl+Z belongs to the field.
  const KEYS = { "/": () => filter.querySelector("input").focus(), t: () => desk.addTag?.(), e: () => desk.editText?.(), n: () => desk.go?.(1), p: () => desk.go?.(-1), x: () => desk.exclude?.(), "+": () => desk.rate?.(1), "-": () => desk.rate?.(-1) };
  document.addEventListener("keydown", (event) => {
    if (!root.getClientRects().length || !desk.album || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]");
    const letter = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter" && desk.go) { event.preventDefault(); event.stopImmediatePropagation(); desk.go(1); return; }
    if (typing) return;
    if (control && (letter === "z" || letter === "y")) { event.preventDefault(); step(letter === "y" || event.shiftKey ? "redo" : "undo")(); return; }
    if (control || event.altKey || !KEYS[event.key]) return;
    event.preventDefault(); event.stopImmediatePropagation();
    KEYS[event.key]();
  }, true);
  (L.moreKeys ||= []).push(["Tag editor", [
    ["/", "The filter line"], ["Arrow keys", "To another picture; with Shift all between, with Ctrl without choosing"], ["Space", "Choose the picture, or no longer"], ["Ctrl + A", "Choose all that are shown"], ["Esc", "Choose none"],
    ["Enter or T", "Add a tag"], ["E", "The caption as text"], ["N, P, Ctrl + Enter", "Next or previous picture, also while typing (Ctrl + Enter)"], ["X", "Exclude from training, or no longer"], ["+ −", "More or fewer stars"],
    ["Alt + ← →", "Move a tag, on its chip"], ["Delete", "Remove a tag, on its chip"], ["Ctrl + Z, Ctrl + Shift + Z", "Undo, redo (in a text: of the typing)"]]]);
};
// What opening a folder tells. The first time it may take a while: so many pictures are measured.
Loratory.openAlbum = async (wish) => Loratory.finished(await Loratory.post("/api/tags/open", wish));
// The answer of something that may take minutes: it is asked for until it is there.
Loratory.finished = async (found) => {
  while (found.working) found = await Loratory.post("/api/tags/outcome", { ticket: found.working });
  return found;
};
// To the tag editor with a folder opened there: {path}, or that of a captioning run: {run}.
Loratory.editCaptions = async (wish) => {
  const L = Loratory, found = await L.attempt(() => L.openAlbum(wish));
  if (found?.root) L.opened(found.root);
  L.openTab("tags");
};
