// Captions that are being typed: kept in this browser at once, written soon after, and never over what somebody else wrote.
"use strict";
// Adds to the desk: edit(line, text); draft(id) -> what is typed and not written yet; flush(); node: offers from before.
// The event "text" (id, text) tells of a caption that came out otherwise than typed.
Loratory.tagSaving = (desk) => {
  const L = Loratory, { el } = L;
  const SOON = 700, AGAIN = 3000, PREFIX = "loratory-unsaved-", STALE = 15000;
  const drafts = new Map();
  const mine = (() => { try { return (sessionStorage.loratoryPage ||= String(Math.random()).slice(2)); } catch { return "this"; } })();
  const keep = (draft) => { try { localStorage.setItem(PREFIX + draft.id, JSON.stringify({ root: desk.album.root, name: draft.name, base: draft.base, text: draft.text, at: Date.now(), page: mine })); } catch { /* full, or forbidden: it is still saved in a moment */ } };
  const forget = (id) => { try { localStorage.removeItem(PREFIX + id); } catch { /* as above */ } };
  const tell = () => {
    const all = [...drafts.values()];
    if (all.some((draft) => draft.asked)) desk.saving("Changed by somebody else too: choose which words count", "bad");
    else if (all.some((draft) => draft.refused)) desk.saving(`Not saved: ${all.find((draft) => draft.refused).refused}`, "bad");
    else if (all.some((draft) => draft.lost)) desk.saving("Not saved: no connection. Kept in this browser; trying again…", "bad");
    else desk.saving(all.length ? "Saving…" : "Saved", all.length ? "" : "good");
  };
  const later = (draft, wait) => { clearTimeout(draft.timer); draft.timer = setTimeout(() => save(draft), wait); };
  const done = (draft) => { clearTimeout(draft.timer); if (drafts.get(draft.id) === draft) drafts.delete(draft.id); forget(draft.id); tell(); };

  desk.draft = (id) => drafts.get(id);
  desk.edit = (line, text) => {
    const draft = drafts.get(line.id) || { id: line.id, name: line.name, base: line.text };
    drafts.set(line.id, draft);
    draft.text = text;
    draft.refused = "";
    if (text === draft.base && !draft.saving && !draft.asked) { done(draft); return; }
    keep(draft);
    tell();
    if (!draft.asked) later(draft, SOON);
  };
  const save = (draft) => { clearTimeout(draft.timer); return (draft.saving ||= send(draft).finally(() => { draft.saving = null; tell(); })); };
  const send = async (draft) => {
    const sent = draft.text;
    draft.lost = false;
    tell();
    let found;
    try { found = await desk.ask("write", { texts: { [draft.id]: sent }, expected: { [draft.id]: draft.base } }); }
    catch (error) {
      if (error.status === 410) later(draft, 50);
      else if (error instanceof L.Refused && error.status < 500) draft.refused = error.message;
      else { draft.lost = true; later(draft, AGAIN); }
      return;
    }
    for (const line of found.lines) desk.lines.set(line.number, line);
    if (found.problems.length) { draft.refused = `${found.problems[0].reason}; ${found.problems[0].fix}`; return; }
    const [conflict] = found.kept;
    if (conflict) { settle(draft, sent, conflict); return; }
    const written = found.texts[draft.id];
    draft.base = written;
    if (draft.text === sent) { done(draft); if (written.trim() !== sent.trim()) desk.emit("text", draft.id, written); }
    else { keep(draft); later(draft, SOON); }
    desk.emit("changed", found.lines.map((line) => line.number));
  };
  const settle = (draft, sent, { theirs, merged }) => {
    if (merged !== null && draft.text !== sent) { later(draft, 0); return; }  // typed on meanwhile: ask again with the newest words
    if (merged !== null) {
      Object.assign(draft, { base: theirs, text: merged });
      keep(draft); later(draft, 0);
      desk.emit("text", draft.id, merged);
      L.toast(`${draft.name} was changed somewhere else too. Both changes are in it now.`);
      return;
    }
    draft.asked = true;
    tell();
    choose(draft, theirs);
  };
  const choose = async (draft, theirs) => {
    const base = draft.base;
    const answer = await L.dialog("Two versions of one caption", (close) => {
      const words = el("textarea", { class: "lor-input", rows: 4, id: "tags-conflict-words", value: draft.text });
      return [el("p", {}, `${draft.name} was changed by another program or page while you were writing. Nothing is lost: choose what it shall be.`),
        el("h3", {}, "As it was"), el("p", { class: "lor-said" }, base || "no caption"), el("h3", {}, "Theirs"), el("p", { class: "lor-said lor-diff" }, L.difference(base, theirs)),
        el("label", { class: "lor-label", for: "tags-conflict-words" }, "Yours"), words,
        el("div", { class: "lor-row end" }, L.button("Decide later", () => close(null), "quiet"), L.button("Take theirs", () => close({ take: true })), L.button("Write this", () => close({ text: words.value }), "primary"))];
    });
    if (!answer) { desk.emit("asked", draft.id); return; }
    draft.asked = false;
    draft.base = theirs;
    if (answer.take) { done(draft); desk.emit("text", draft.id, theirs); return; }
    draft.text = answer.text;
    desk.emit("text", draft.id, draft.text);
    keep(draft); later(draft, 0);
  };
  desk.decide = (id) => { const draft = drafts.get(id); if (draft?.asked) { draft.asked = false; save(draft); } };

  // Everything that can be written now; resolves when it is, or when it can't be.
  desk.flush = async () => { await Promise.all([...drafts.values()].filter((draft) => !draft.asked && !draft.refused).map(async (draft) => { await draft.saving; if (drafts.has(draft.id)) await save(draft); })); };
  const leave = () => { if (document.visibilityState !== "visible") desk.flush(); };
  document.addEventListener("visibilitychange", leave);

  // What an earlier page could not write any more.
  const node = el("div", {});
  const offer = () => {
    const found = [];
    for (let index = 0; index < localStorage.length; index += 1) {
      const key = localStorage.key(index);
      if (!key.startsWith(PREFIX)) continue;
      let kept;
      try { kept = JSON.parse(localStorage.getItem(key)); } catch { continue; }
      const id = key.slice(PREFIX.length), alive = kept.page !== mine && Date.now() - kept.at < STALE;
      if (kept.root === desk.album.root && !drafts.has(id) && !alive) found.push({ id, ...kept });
    }
    const drop = (one, line) => { forget(one.id); line.remove(); if (!list.childElementCount) node.replaceChildren(); };
    const list = el("ul", { class: "lor-files" }, found.map((one) => {
      const line = el("li", { class: "lor-file" }, el("b", { class: "lor-path" }, one.name), el("span", { class: "lor-diff grow" }, L.difference(one.base, one.text)),
        L.button("Write it", () => { drop(one, line); desk.edit({ id: one.id, name: one.name, text: one.base }, one.text); desk.emit("text", one.id, one.text); desk.flush(); }, "primary"), L.button("Discard", () => drop(one, line), "quiet"));
      return line;
    }));
    L.fill(node, found.length > 0 && el("div", { class: "lor-card lor-noted", role: "region", "aria-label": "Words not saved" }, el("h3", {}, "Words that were not saved"), el("p", { class: "lor-help" }, "This page was left before they could be written. They were kept in this browser."), list));
  };
  desk.on("opened", () => { try { offer(); } catch { /* a private window keeps nothing */ } });
  return node;
};
