// One picture and the box that is kept of it: dragged, zoomed by wheel or slider, moved by the arrow keys. Saved as it is let go.
"use strict";
Loratory.cropEditor = (pictures, index, page) => Loratory.dialog("Crop", (close, dialog) => {
  const L = Loratory, { el } = L;
  dialog.classList.add("lor-crop-editor");
  let one = null, box = null, drawn = false, hold = null, telling;
  const newest = L.latest();
  const image = el("img", { alt: "", draggable: "false" });
  const frame = el("span", { class: "lor-crop-box editing", tabindex: "0", autofocus: true, role: "application", "aria-label": "What is kept. Arrow keys move it, plus and minus make it larger and smaller" },
    ["nw", "ne", "sw", "se"].map((corner) => el("span", { class: `lor-crop-corner ${corner}`, "data-corner": corner })));
  const stage = el("div", { class: "lor-crop-stage" }, image, frame);
  const title = el("h3", { class: "lor-path" }), said = el("p", { class: "lor-note", role: "status" });
  const zoom = el("input", { type: "range", min: 5, max: 100, step: 0.5, "aria-label": "Size of the crop", oninput: () => { scale(Number(zoom.value) / 100 / share()); later(); } });
  const mask = L.button("Mask…", async () => { await L.maskEditor(one); await page.load(); });
  const clear = L.button("No crop", () => save(null));

  const least = () => 8 / Math.min(one.width, one.height);  // pixels, as a share of the shorter side
  const ratio = () => (one.aspect ? (one.aspect * one.height) / one.width : null);  // of shares, width to height
  const largest = () => (!ratio() ? [1, 1] : ratio() > 1 ? [1, 1 / ratio()] : [ratio(), 1]);
  const share = () => Math.max((box[2] - box[0]) / largest()[0], (box[3] - box[1]) / largest()[1]);
  const inside = ([left, top, right, bottom]) => {
    const width = Math.min(1, right - left), height = Math.min(1, bottom - top);
    const x = Math.min(Math.max(0, left), 1 - width), y = Math.min(Math.max(0, top), 1 - height);
    return [x, y, x + width, y + height];
  };
  const show = () => {
    L.cropPlace(frame, box);
    frame.classList.toggle("suggested", !drawn);
    zoom.value = 100 * share();
    clear.disabled = !one.crop;
    const pixels = `${Math.round((box[2] - box[0]) * one.width)} × ${Math.round((box[3] - box[1]) * one.height)} px`;
    title.textContent = `${one.name} · ${index + 1} of ${pictures.length}`;
    return pixels;
  };
  const tell = (found) => {
    const by = { hand: "drawn by hand", face: "around the face", subject: "around the subject" }[found.by] || found.by;
    said.textContent = `${drawn ? "Kept" : "Not drawn; a run would keep this"}: ${show()} (${by}), copied as ${found.size[0]} × ${found.size[1]}${found.scale > 1.001 ? `, enlarged ${found.scale.toFixed(2)} times` : ""}. ${found.missing}`;
  };
  const look = async (crop) => {
    const found = await L.attempt(() => newest(L.post("/api/resize/window", { picture: one.id, crop })));
    if (!found) return;
    if (!crop) box = found.box;
    tell(found);
  };
  const save = async (crop) => {
    clearTimeout(telling);
    telling = undefined;
    const id = one.id, steps = await L.attempt(() => L.post("/api/resize/crops", { crops: { [id]: crop } }));
    if (!steps) return;
    page.steps(steps);
    pictures.find((other) => other.id === id).crop = crop;
    if (one.id !== id) return;
    drawn = Boolean(crop);
    if (!crop) box = [0, 0, 1, 1];
    look(crop);
  };
  const later = () => { drawn = true; said.textContent = `Kept: ${show()}.`; clearTimeout(telling); telling = setTimeout(() => save(box), 400); };
  const scale = (by, at = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) => {
    const [most, high] = largest(), now = share();
    const wanted = Math.min(1, Math.max(least(), now * by));
    let width = ((box[2] - box[0]) / now) * wanted, height = ((box[3] - box[1]) / now) * wanted;
    if (ratio()) [width, height] = [most * wanted, high * wanted];
    const x = (at[0] - box[0]) / (box[2] - box[0]), y = (at[1] - box[1]) / (box[3] - box[1]);
    box = inside([at[0] - x * width, at[1] - y * height, at[0] + (1 - x) * width, at[1] + (1 - y) * height]);
    show();
  };
  const turn = (by) => {
    if (drawn && telling) { clearTimeout(telling); save(box); }
    index = (index + by + pictures.length) % pictures.length;
    one = pictures[index];
    drawn = Boolean(one.crop);
    box = one.crop || [0, 0, 1, 1];
    telling = undefined;
    image.src = L.at(`/api/pictures/${one.id}?side=768`);
    stage.style.aspectRatio = `${one.width} / ${one.height}`;
    stage.style.setProperty("--shape", one.width / one.height);
    said.textContent = "Looking at it…";
    show();
    look(one.crop);
  };
  const point = (event) => {
    const area = stage.getBoundingClientRect();
    return [Math.min(1, Math.max(0, (event.clientX - area.left) / area.width)), Math.min(1, Math.max(0, (event.clientY - area.top) / area.height))];
  };
  // A box between the corner that stays and the pointer, of the shape that is wanted.
  const between = ([x, y], [px, py]) => {
    let width = Math.max(least(), Math.abs(px - x)), height = Math.max(least(), Math.abs(py - y));
    if (ratio()) {
      if (width / height > ratio()) height = width / ratio(); else width = height * ratio();
      const room = Math.min(1, (px < x ? x : 1 - x) / width, (py < y ? y : 1 - y) / height);
      [width, height] = [width * room, height * room];
    }
    return [px < x ? x - width : x, py < y ? y - height : y, px < x ? x : x + width, py < y ? y : y + height];
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const at = point(event), corner = event.target.dataset?.corner;
    if (corner) hold = { fixed: [corner.includes("w") ? box[2] : box[0], corner.includes("n") ? box[3] : box[1]] };
    else if (event.target === frame) hold = { from: at, start: box };
    else hold = { fixed: at, fresh: true };
    stage.setPointerCapture(event.pointerId);
    frame.focus({ preventScroll: true });
  });
  stage.addEventListener("pointermove", (event) => {
    if (!hold) return;
    const at = point(event);
    if (hold.from) box = inside(hold.start.map((share, side) => share + at[side % 2] - hold.from[side % 2]));
    else if (!hold.fresh || Math.hypot(at[0] - hold.fixed[0], at[1] - hold.fixed[1]) > 0.01) box = inside(between(hold.fixed, at));
    else return;
    hold.moved = drawn = true;
    show();
  });
  const release = () => { const moved = hold?.moved; hold = null; if (moved) save(box); };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("wheel", (event) => { event.preventDefault(); scale(Math.exp(event.deltaY / 600), point(event)); later(); }, { passive: false });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea")) return;
    const step = event.shiftKey ? 0.05 : 0.01;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key] && event.target === frame) { box = inside(box.map((share, side) => share + moves[event.key][side % 2])); later(); }
    else if (["+", "="].includes(event.key)) { scale(1.05); later(); }
    else if (event.key === "-") { scale(1 / 1.05); later(); }
    else if (event.key === "PageDown" || (event.key === "Enter" && event.target === frame)) turn(1);
    else if (event.key === "PageUp") turn(-1);
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => { if (telling && drawn) { clearTimeout(telling); save(box); } });
  index -= 1;
  turn(1);
  return [title, el("div", { class: "lor-crop-room" }, stage), said,
    el("label", { class: "lor-slider lor-crop-zoom" }, el("span", {}, "Size of the crop"), zoom),
    el("div", { class: "lor-row" }, L.button("Previous", () => turn(-1), "quiet", { title: "Page up" }), L.button("Next", () => turn(1), "quiet", { title: "Page down" }),
      L.button("Keep this", () => save(box)), clear, mask, L.button("Close", () => close(), "primary"))];
});
