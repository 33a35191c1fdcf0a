// Resize & crop: the buttons, how far it is, and the table of what happens with each picture.
"use strict";
Loratory.resizing = (root, { about, props, watch, trigger }) => {
  const L = Loratory, { el } = L;
  const field = (name) => document.querySelector(`#${CSS.escape(`${about.form}-${name}`)} input`);
  const square = (side) => {
    const [width, height] = [field("width"), field("height")];
    if (!width || width.disabled) return;
    L.type(width, String(side));
    if (height && height.value) L.type(height, "");
  };
  const place = el("div", {});
  const words = (report) => {
    const { end } = report, made = (end.copies_made || 0) + (end.copies_again || 0);
    if (end.dry_run) return ["Nothing was written. ", end.sentence];
    if (report.state !== "finished") return ["What was made stays; start again to go on from there."];
    return [`${L.counted(made, "copy").replace("copys", "copies")} made`, end.copies_same && `, ${end.copies_same.toLocaleString("en")} there already`,
      (end.captions_made || 0) + (end.captions_again || 0) > 0 && `, ${L.counted((end.captions_made || 0) + (end.captions_again || 0), "caption")}`,
      (end.masks_made || 0) + (end.masks_again || 0) > 0 && `, ${L.counted((end.masks_made || 0) + (end.masks_again || 0), "mask")}`, ". ",
      made + (end.copies_same || 0) > 0 && L.button("Open the copies", () => open(end.output), "quiet")];
  };
  const open = async (path) => {
    if (await L.attempt(() => L.post("/api/dataset", { path }))) { L.opened(path); L.openPage("pictures"); }
  };
  const work = L.work(place, { words, done: (report) => L.resizeTable_show?.(report.id, Boolean(report.end.dry_run)) });
  L.put(root, el("div", { class: "lor-card" }, el("h2", {}, "Make copies"),
    el("p", { class: "lor-label", id: "resize-squares" }, "Squares"),
    el("div", { class: "lor-row lor-fill", role: "group", "aria-labelledby": "resize-squares" }, [512, 768, 1024].map((side) => L.button(String(side), () => square(side), "quiet"))),
    el("p", { class: "lor-help" }, "Other sizes are typed into the form."),
    el("div", { class: "lor-row lor-fill" }, L.button("Dry run", () => trigger("choose", { dry: true })), L.button("Make copies", () => trigger("choose", { dry: false }), "primary")),
    place));
  let last = "", shape = "";
  watch("value", () => {
    const value = props.value || {};
    if (value.job && value.job !== last) { last = value.job; L.resizeTable_show?.(null); work.watch(value.job); }
    if (JSON.stringify(value.shape) !== shape) { shape = JSON.stringify(value.shape); L.cropsChanged?.(); }
  });
  L.attempt(async () => { const { id } = await L.get("/api/work/newest/resize"); if (id && !last) { last = id; work.watch(id); } });
};

Loratory.resizeTable = (root) => {
  const L = Loratory, { el } = L;
  const SHOWN = 200;
  const DRY = { new: "new", again: "would be made anew", done: "there already", kept: "not made: the name is taken" };
  const WET = { ...DRY, new: "made", again: "made anew" };
  L.resizeTable_show = async (id, dry) => {
    if (!id) return L.fill(root);
    let table;
    try { table = await L.get(`/api/resize/table/${encodeURIComponent(id)}`); } catch { return L.fill(root); }
    const size = (pair) => `${pair[0]} × ${pair[1]}`;
    const row = (one) => el("tr", {}, el("td", { class: "lor-path" }, one.name), el("td", {}, size(one.before)), el("td", {}, size(one.after)),
      el("td", {}, `${Math.round(100 * one.scale)} %`), el("td", {}, one.lost < 0.005 ? "–" : `${Math.round(100 * one.lost)} %${one.by_hand ? ", by hand" : ""}`),
      el("td", {}, [one.caption && "caption", one.mask && "mask"].filter(Boolean).join(", ") || "–"), el("td", { class: "lor-path" }, one.copy), el("td", {}, (dry ? DRY : WET)[one.status]));
    const draw = (rows) => L.fill(root, el("details", { class: "lor-details", open: true },
      el("summary", {}, `${dry ? "What would happen" : "What was to be done"} with ${table.rows.length === 1 ? "the picture" : `each of ${table.rows.length.toLocaleString("en")} pictures`}`),
      table.warnings.map((text) => el("p", { class: "lor-warning" }, text)),
      table.problems.length > 0 && L.problemList(table.problems.slice(0, SHOWN).map((one) => ({ ...one, name: one.path.split(/[\\/]/).pop() }))),
      el("div", { class: "lor-wide-table", tabindex: "0", role: "region", "aria-label": "Table of copies" }, el("table", { class: "lor-table" },
        el("thead", {}, el("tr", {}, ["Picture", "Size", "Copy's size", "Scaled to", "Cut off", "With it", "Copy", ""].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, rows.map(row)))),
      rows.length < table.rows.length && L.button(`Show all ${table.rows.length.toLocaleString("en")}`, () => draw(table.rows), "quiet")));
    draw(table.rows.slice(0, SHOWN));
    return undefined;
  };
};
