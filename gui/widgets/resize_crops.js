// The pictures with the crops that were drawn on them. A crop is four shares of the upright picture: left, top, right, bottom.
"use strict";
Loratory.crops = (root) => {
  const L = Loratory, { el } = L;
  const STEP = 300;  // pictures drawn at a time; more as the grid is scrolled
  let data = { path: "", pictures: [] }, shown = [], drawn = 0, only = "all", telling;
  const newest = L.latest();
  const note = el("span", { class: "lor-note", role: "status" });
  const grid = el("div", { class: "lor-grid", role: "list", "aria-label": "Pictures to crop" });
  const undo = L.button("Undo", () => move("undo"), "quiet", { "aria-label": "Undo the last crop" });
  const redo = L.button("Redo", () => move("redo"), "quiet", { "aria-label": "Redo the last crop" });
  const alpha = L.button("Masks from transparency", () => masksFromAlpha(), "quiet");
  const KINDS = { all: "All", cropped: "Cropped by hand", masked: "With a mask" };
  const kinds = el("div", { class: "lor-segments", role: "radiogroup", "aria-label": "Which pictures to show" },
    Object.entries(KINDS).map(([name, label]) => el("label", {}, el("input", { type: "radio", name: "crops-only", value: name, checked: name === only,
      onchange: () => { only = name; draw(); } }), el("span", {}, label))));
  const empty = el("p", { class: "lor-note" }, "Open a folder on the page Pictures, or type one into the form.");
  const card = el("div", {}, el("h2", {}, "Crops and masks"),
    el("p", { class: "lor-help" }, "Click a picture to draw what is kept of it. Crops lie beside the pictures in .loratory/crops.json, are used by every later run, and change nothing in the pictures."),
    el("div", { class: "lor-row" }, kinds, undo, redo, alpha, note), empty, grid);
  root.append(card);
  const more = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) append(); }, { root: grid, rootMargin: "600px" });

  const load = async () => {
    const found = await newest(L.get("/api/resize/pictures"));
    take(found);
  };
  const take = (found) => {
    const same = found.path === data.path && found.pictures.length === data.pictures.length;
    const place = grid.scrollTop;
    data = found;
    draw();
    if (same) grid.scrollTop = place;
  };
  const steps = (found) => { undo.disabled = !found.undo; redo.disabled = !found.redo; };
  const draw = () => {
    steps(data);
    shown = data.pictures.filter((one) => only === "all" || (only === "cropped" ? one.crop : one.mask));
    const cropped = data.pictures.filter((one) => one.crop).length;
    note.textContent = data.pictures.length ? `${shown.length === data.pictures.length ? "" : `${shown.length.toLocaleString("en")} of `}${L.counted(data.pictures.length, "picture")}, ${cropped.toLocaleString("en")} cropped by hand` : "";
    empty.hidden = Boolean(data.path);
    alpha.hidden = !data.pictures.length;
    grid.hidden = !shown.length;
    drawn = 0;
    more.disconnect();
    L.fill(grid);
    append();
  };
  const append = () => {
    const next = shown.slice(drawn, drawn + STEP);
    if (!next.length) return;
    L.put(grid, next.map((one, index) => figure(one, drawn + index)));
    drawn += next.length;
    more.disconnect();
    if (drawn < shown.length) more.observe(grid.lastElementChild);
  };
  const figure = (one, index) => {
    const frame = el("span", { class: "lor-crop-frame" }, el("img", { loading: "lazy", decoding: "async", src: `/api/pictures/${one.id}?side=256`, alt: "" }));
    frame.style.aspectRatio = `${one.width} / ${one.height}`;
    frame.style.width = `${Math.min(100, (100 * one.width) / one.height)}%`;
    if (one.crop) L.put(frame, L.cropBox(one.crop));
    return el("figure", { role: "listitem" },
      el("button", { type: "button", class: "lor-thumb lor-crop-thumb", "aria-label": `${one.name}, crop`, onclick: () => edit(index) }, frame),
      el("figcaption", {}, el("span", { class: "lor-caption" }, one.name),
        el("span", { class: "lor-note" }, `${one.width} × ${one.height}${one.crop ? " · cropped" : ""}${one.mask ? " · mask" : ""}`)));
  };
  const edit = async (index) => { await L.cropEditor(shown, index, { steps, load }); load(); };
  const move = (which) => L.attempt(async () => {
    const found = await L.post(`/api/resize/crops/${which}`);
    take(found);
    L.toast(found.changed ? `${which === "undo" ? "Undone" : "Done again"}: ${L.counted(found.changed, "crop")}.` : "There is nothing to take back.");
  });
  const masksFromAlpha = () => L.attempt(async () => {
    const found = await L.post("/api/resize/masks/alpha", { pictures: data.pictures.filter((one) => !one.mask).map((one) => one.id) });
    L.toast(found.written ? `${L.counted(found.written, "mask")} made from transparency.` : "No picture without a mask has transparent parts.");
    if (found.written) await load();
  });
  L.cropsChanged = () => { clearTimeout(telling); telling = setTimeout(() => L.attempt(load), 150); };
  L.onOpened(() => L.cropsChanged());
  L.cropsChanged();
};

// The box of a crop over a picture.
Loratory.cropBox = ([left, top, right, bottom], kind = "") => {
  const box = Loratory.el("span", { class: `lor-crop-box ${kind}` });
  Loratory.cropPlace(box, [left, top, right, bottom]);
  return box;
};
Loratory.cropPlace = (box, [left, top, right, bottom]) => {
  for (const [side, share] of Object.entries({ left, top, width: right - left, height: bottom - top })) box.style[side] = `${100 * share}%`;
};
