// One finding of the doctor: what it does to training, its cases to look at and choose from, and what can be done.
"use strict";
(() => {
  const L = Loratory, { el } = L;
  const WORDS = { serious: "Serious", warning: "Warning", note: "Note" };
  // Where a person goes on by hand.
  const CAPTIONS = ["Write captions", () => L.openTab("captions")], TAGS = ["Open the tag editor", () => L.openTab("tags")], RESIZE = ["Open Resize & crop", () => L.openPage("resize")];
  const ELSEWHERE = { "captions.missing": CAPTIONS, "captions.folder_words": CAPTIONS, "captions.trigger": TAGS, "captions.long": TAGS, "captions.common": TAGS,
    "files.huge": RESIZE, "sizes.cropped": RESIZE, "sizes.lonely": RESIZE, "quality.odd": RESIZE, "quality.letterboxed": RESIZE };
  let drawn = 0;

  const head = (one) => el("summary", {}, el("h3", {}, one.title), " ", el("span", { class: `lor-chip ${one.severity}` }, WORDS[one.severity]));
  const view = (file) => L.dialog(file.name, (close, dialog) => {
    dialog.classList.add("lor-viewer");
    return [el("img", { alt: "", src: `/api/pictures/${file.id}?side=768` }), el("div", { class: "lor-viewer-text" }, el("h3", { class: "lor-path" }, file.path)),
      el("div", { class: "lor-row end" }, L.button("What the trainer sees", () => L.seen(file.id)), L.button("Close", () => close(), "", { autofocus: true }))];
  });
  const picture = (file) => (file.id ? L.thumb(file, () => view(file)) : el("div", { class: "lor-thumb lor-blind" }, "no picture to show"));

  L.finding = (one, page) => {
    // Which cases are chosen: all but some, or only some; a page knows only the first of them.
    let all = one.fixes.length > 0 && one.fixes[0].all, others = new Set(), redraw = [];
    const keep = new Map(), id = `finding-${drawn += 1}`;
    const chosen = (key) => all !== others.has(key);
    const count = () => (all ? one.count - others.size : others.size);
    const choose = (key, on) => { if (on === all) others.delete(key); else others.add(key); tell(); };
    const some = () => ({ finding: one.name, ...(all ? { but: [...others] } : { cases: [...others] }) });
    const grid = el("div", { class: "lor-cases", role: "list", "aria-label": one.title });
    const number = el("span", { class: "lor-note", role: "status" });
    const set = (value) => { all = value; others = new Set(); tell(); for (const again of redraw) again(); };
    const wordless = ELSEWHERE[one.name] === CAPTIONS;  // words are what they lack: what else can be done comes after
    const ask = () => L.doctorFix({ finding: one, some: some(), keep: [...keep.values()] }, page);
    const buttons = one.fixes.map((fix, index) => L.button(`${fix.label}…`, () => ask()(fix), index || wordless ? "" : "primary"));
    const fine = (more) => page.attempt(async () => page.redraw(await L.post(`/api/examine/${page.examination().id}/fine`, { ...(count() ? some() : { finding: one.name }), fine: true, ...more })));
    const dismiss = L.button("Mark as fine", () => fine({}), "quiet");
    const elsewhere = ELSEWHERE[one.name] && L.button(...ELSEWHERE[one.name], wordless ? "primary" : "quiet");
    const tell = () => {
      for (const button of buttons) button.disabled = !count();
      number.textContent = one.fixes.length && one.count ? `${count().toLocaleString("en")} of ${one.count.toLocaleString("en")} chosen` : "";
      dismiss.textContent = count() && count() < one.count ? `Mark ${count().toLocaleString("en")} as fine` : "Mark as fine";
    };
    const box = (item) => {
      if (!one.fixes.length && one.count < 2) return false;
      const input = el("input", { type: "checkbox", checked: chosen(item.key), "aria-label": `Choose ${item.about || item.files[0]?.name || item.detail}`, onchange: () => choose(item.key, input.checked) });
      redraw.push(() => { input.checked = chosen(item.key); });
      return input;
    };
    const tile = (item) => el("figure", { role: "listitem", class: item.files.length ? "" : "lor-wordy" }, item.files.map(picture),
      el("figcaption", {}, el("label", { class: "lor-row tight" }, box(item), item.files.length > 0 && el("span", { class: "lor-path" }, item.files[0].name)), el("span", { class: "lor-note lor-path" }, item.detail)));
    const group = (item) => {
      const radio = (file, index) => el("label", { class: "lor-row tight" }, el("input", { type: "radio", name: `${id}-${item.key}`, checked: file.keep || (!index && !item.files.some((other) => other.keep)),
        onchange: () => keep.set(item.key, file.path) }), "Keep");
      return el("div", { role: "listitem", class: "lor-alike" }, el("div", { class: "lor-row tight" }, box(item), el("span", { class: "lor-note" }, item.detail)),
        el("div", { class: "lor-side" }, item.files.map((file, index) => el("figure", {}, picture(file), el("figcaption", {}, el("span", { class: "lor-path" }, file.path), one.fixes.some((fix) => fix.how === "bin") && radio(file, index)))),
          item.more > 0 && el("p", { class: "lor-note" }, `and ${item.more} more like these`)));
    };
    const put = (items) => L.put(grid, items.map((item) => (item.files.length > 1 ? group(item) : tile(item))));
    let at = one.cases.length;
    const more = L.button("Show more", () => L.attempt(async () => {
      const found = await L.get(`/api/examine/${page.examination().id}/cases?finding=${encodeURIComponent(one.name)}&start=${at}`);
      at += found.length;
      put(found);
      more.hidden = at >= one.count || !found.length;
    }), "", { hidden: at >= one.count });
    put(one.cases);
    tell();
    const folded = page.folded.get(one.name) ?? one.severity !== "serious";
    return el("details", { class: `lor-card lor-finding ${one.severity}`, "aria-label": one.title, "data-finding": one.name, open: !folded, ontoggle: (event) => page.folded.set(one.name, !event.target.open) },
      head(one), el("p", {}, one.effect), el("p", { class: "lor-note" }, one.fix),
      one.cases.length > 0 && [grid, more, el("div", { class: "lor-row lor-actions" }, wordless && elsewhere, buttons, !wordless && elsewhere, dismiss,
        one.count > 1 && one.fixes.length > 0 && [L.button("Choose all", () => set(true), "quiet"), L.button("Choose none", () => set(false), "quiet")], number,
        el("button", { type: "button", class: "lor-link", onclick: () => fine({ always: true }) }, "Never tell me this of this folder"))]);
  };

  L.findingFine = (one, page) => el("div", { class: "lor-file", "data-fine": one.name }, el("span", { class: "lor-path" }, one.title),
    el("span", { class: "lor-note lor-path" }, one.cases.slice(0, 5).map((item) => item.about || item.files[0]?.name || item.detail).join(", "), one.count > 5 && " …"),
    L.button("Tell me again", () => page.attempt(async () => page.redraw(await L.post(`/api/examine/${page.examination().id}/fine`, { finding: one.name, fine: false })))));
})();
